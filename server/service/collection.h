/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/sweep.h"

struct error;
struct job_run;
struct services;

/*
 * collection - letting go of what nothing refers to: the job `gc`.
 *
 * Pushes whose lease is over end; versions that were in the trash for `trash_age` are purged;
 * candidates that nothing refers to are condemned; what was condemned for `collect_grace` loses its
 * row, then its object (policy.h, server/db/sweep.h, tombstone_clearing.h). It begins with the
 * store's sentinel and ends at the first error of the database or of that: nothing is deleted on a
 * guess. What it costs is in proportion to what was purged. Begun again, it goes on where it was.
 *
 * The result is {"purged_versions", "purge_failures", "candidates", "kept", "condemned",
 * "deleted_blobs", "deleted_bytes", "removed_objects"}, numbers.
 */
int collection_run(struct job_run *run, struct error *err);

struct collection_preview {
    uint64_t due_versions; /* that would be purged */
    struct sweep_preview blobs;
    int64_t trash_age_s, grace_s;
};

/* What a run would do now; reads, and changes nothing. The blobs that only the due versions hold
 * are not among the candidates yet. */
int collection_look(struct services *services, struct collection_preview *out, struct error *err);

/* As an object: {"due_versions", "candidates", "unreferenced", "unreferenced_bytes", "condemned",
 * "condemned_bytes", "due_blobs", "due_bytes", "tombstones", "trash_age", "grace"}, numbers; the
 * last two in seconds. */
struct json_writer;
void collection_write(struct json_writer *writer, const char *name,
                      const struct collection_preview *preview);

/* For metrics. */
int collection_count(struct services *services, struct sweep_counts *out, struct error *err);

/* Asks for a run when there is something for it to do. *out_count: 1 when it did. */
int collection_ask(struct services *services, size_t *out_count, struct error *err);
