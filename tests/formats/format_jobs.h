/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"

struct error;

/* A job of format-tool, and what its verbs share. */
#define FIELDS_MAX 6
#define ANSWER_SIZE 1024

struct job {
    char *fields[FIELDS_MAX]; /* the first is the job's name */
    size_t count;
    struct buf loaded[3]; /* files that were read for it */
    char answer[ANSWER_SIZE];
};

struct verb {
    const char *name;
    size_t fields;
    int (*run)(struct job *job, struct error *err);
};

/* The file's bytes; they live as long as the job. -EIO: no refusal of what is in it. */
int job_load(struct job *job, size_t slot, size_t field, struct span *out, struct error *err);
int job_save(const char *path, struct span bytes, struct error *err);
void job_answer_digest(struct job *job, const struct digest *digest, uint64_t number, bool counted);

/* How bytes travel: chunk lists, deltas, packs (format_transfer.c). Ends with a verb without a
 * name. */
extern const struct verb transfer_verbs[];
