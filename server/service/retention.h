/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/retention.h"
#include "server/service/projects.h"

struct caller;
struct error;
struct identity;
struct job;
struct job_run;
struct refusal;
struct services;

/*
 * retention - letting go of versions that are too many: the job `retention`.
 *
 * What goes and what stays is judged by server/db/retention.h, with the numbers of policy.h. A run
 * that would take more than a fifth of an app's versions, and more than five, or more than a tenth
 * of all bytes, not counting what makes room by itself, takes nothing unless it is forced: asking
 * for it is refused with REFUSAL_SAFETY_LIMIT, and one that runs all the same (more is too many
 * since) fails with a problem that begins with "safety-limit".
 *
 * The result is {"trashed", "bytes", "kept": {"newest", "promoted", "previous", "pinned", "leased",
 * "min-age"}, "versions"}: numbers, and the first thousand that went, as P/A/V. `bytes` is what no
 * ready version has since; the trash has it still.
 */
int retention_run(struct job_run *run, struct error *err);

struct retention_request {
    const char *project, *app; /* NULL: all that the identity's scope has */
    bool force;
};

/* Asks for a run of the scope: ADMIN there; of an app PUSH is enough unless it is forced. 1: one
 * that waits already is *out. -ENOENT: no such place, or not to be seen. Release *out. */
int retention_ask(struct services *services, const struct caller *caller,
                  const struct retention_request *request, struct job *out, struct refusal *why,
                  struct error *err);

#define RETENTION_WHY_SIZE 256
struct retention_preview {
    struct retained *items; /* beyond the newest N: those that go, and those that are protected */
    size_t count;
    struct retention_sum sum;
    char too_much
        [RETENTION_WHY_SIZE]; /* why a run that is not forced is refused; "" when it is not */
    char next_cursor[CURSOR_SIZE];
};

/* What a run would do now; changes nothing. Rights as above. retention_preview_release() it. */
int retention_preview(struct services *services, const struct identity *identity,
                      const struct retention_request *request, const struct page_request *page,
                      struct retention_preview *out, struct refusal *why, struct error *err);
void retention_preview_release(struct retention_preview *preview);
