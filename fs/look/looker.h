/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * looker - has a look (look.h) made from time to time, by a process of its own.
 *
 * The process is this program again, `kkartifact-fs --look DEVICE...`, with the lowest priority. So
 * whoever asks never waits, reads nothing that strangers have written, and ends it when it takes
 * too long: what it has found until then counts. It writes a line "DEVICE SLOT" for each version
 * that is in use.
 *
 * One thread, which calls looker_turn() about each second.
 */
struct looker;

#define LOOK_WORD "--look"
#define LOOKER_EVERY_MS 60000
#define LOOKER_FIRST_MS 5000   /* before the first one */
#define LOOKER_LIMIT_MS 300000 /* for one */
#define LOOKER_USES_MAX 10000  /* more than that are not told */
/* For tests: the variable of the environment that says how many milliseconds lie between two looks,
 * and before the first one. */
#define LOOKER_EVERY_VARIABLE "KKARTIFACT_FS_LOOK_MS"

/* Between two looks. */
uint64_t looker_every_ms(void);

struct look_use {
    uint64_t device; /* as in st_dev */
    uint32_t slot;   /* of a version there (fs/ids) */
};
/* A look has ended, and this is what it has found. */
typedef void looker_found(void *context, const struct look_use *uses, size_t count);

/* program: a descriptor of the program, which stays the caller's. */
int looker_new(struct looker **out_looker, int program, struct error *err);
/* Ends a look that is going on. NULL is fine; returns NULL. */
struct looker *looker_free(struct looker *looker);

/* Begins a look at these mounts when it is time for one, goes on with the one that was begun; found
 * is called from inside. Waits for nothing. */
void looker_turn(struct looker *looker, const uint64_t *devices, size_t count, looker_found *found,
                 void *context);

/* The pure part, for tests: the lines of `text` that are right, LOOKER_USES_MAX at most; -ENOMEM. A
 * last line that is not whole is none. *out_uses is memory_free()d. */
int looker_read(struct span text, struct look_use **out_uses, size_t *out_count, struct error *err);
