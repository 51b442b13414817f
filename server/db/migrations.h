/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct error;
struct transaction;

/*
 * migrations - the schema, step by step, forward only.
 *
 * The steps are the numbered files of sql/<backend>/, compiled in. What was
 * applied is remembered with name and checksum: a step that was changed after it
 * was applied is refused (-EBADMSG), a database that is newer than this program
 * too (-ENOTSUP).
 */
struct migration {
    int number;       /* from 1; 0 ends the list */
    const char *name; /* of the file, without number and ending */
    const char *text;
    struct digest checksum; /* SHA-256 of the file */
};

extern const struct migration migrations_sqlite[];

/* Inside one write transaction that other processes wait for. apply false: nothing is changed, and
 * a step that is missing is -EBADMSG. *out_applied counts the steps. */
int migrations_run(struct transaction *tx, const struct migration *steps, bool apply, int64_t now_s,
                   unsigned *out_applied, struct error *err);
