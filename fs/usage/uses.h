/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * uses - when each version of a mount was last used, also over its restarts.
 *
 * A small file (JSON) has what was known when it was last written: versions whose use is not long
 * ago, by their names. It is read with suspicion: names are checked, times in the future are now, a
 * file that is damaged in any way is none. It is written by whoever calls uses_save(), whole, under
 * another name first, and not synced. A directory that cannot be written costs only the memory over
 * restarts.
 *
 * Times of day in seconds. Any thread.
 */
struct uses;

#define USES_MAX 10000 /* versions; of more than that the one used longest ago is forgotten */

struct use {
    const char *project, *app, *version; /* valid inside the function that gets it */
    int64_t used_at_s;
    uint64_t seen_ms; /* clock_monotonic_ms: a look found it open; 0: none did */
};

/* path NULL: nothing is remembered. */
int uses_open(const char *path, int64_t now_s, struct uses **out_uses, struct error *err);
struct uses *uses_close(struct uses *uses); /* without saving; NULL is fine; returns NULL */

/* It is used at that time. seen_ms: as above, when a look found it open, else 0. *out_new: it was
 * not known to be used. -ENOMEM. */
int uses_note(struct uses *uses, const char *project, const char *app, const char *version,
              int64_t now_s, uint64_t seen_ms, bool *out_new);

size_t uses_count(struct uses *uses);
/* What was used before that time is forgotten. */
void uses_forget(struct uses *uses, int64_t before_s);
/* In no order, under the lock. Non-zero ends it and is returned. */
typedef int uses_each_function(void *context, const struct use *use);
int uses_each(struct uses *uses, uses_each_function *each, void *context);

/* Writes what has changed since the last time; 0 when nothing has. Blocks on the disk. */
int uses_save(struct uses *uses, struct error *err);
