/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/apps.h"
#include "server/db/jobs.h"
#include "server/db/protection.h"

/*
 * deletion - an app, or a project with all its apps, goes to the trash.
 *
 * It begins with one transaction: what protects a version is judged, and the place is marked as
 * being deleted by a job, which is added there. From then on, as long as that job waits or runs,
 * nothing is made, promoted or brought back in the place (places.h). The job takes the versions
 * away in steps, each a transaction; where the last one of an app is in the trash the app is
 * deleted: it is not there any more, and what points at it stays, as of any version in the trash. A
 * job that ended before (cancelled, failed) leaves what is left as it was.
 *
 * A host that leases a version, or an administrator who pins one, is not refused meanwhile: each
 * step judges again, so what came before it protects.
 */

/* 0: *out is the new job; 1: *out is the one that deletes this place already. -ENOENT: there is no
 * such place, or it was deleted. -EBUSY with *out_protection, and nothing is done: something
 * protects a version, and it is not forced. -EINPROGRESS: the project of the app is being deleted.
 * draft->project, and draft->app or NULL, are the place. */
int deletion_begin(struct database *database, const struct actor *by, const struct job_draft *draft,
                   bool force, struct job *out, struct protection *out_protection,
                   struct error *err);

struct deletion_step {
    const struct job *job; /* its place */
    bool force;
    const char *reason; /* of versions in the trash */
    size_t limit;       /* versions of one step */
};

struct deletion_result {
    bool is_done; /* there is nothing left of the place */
    bool app_ended;
    char app[NAME_SIZE]; /* of which versions went; "" when none was left */
    size_t count;
};

/* Takes some versions of one app; out_versions has room for `limit` names. -EBUSY with
 * *out_protection: something protects one of them, and the step did nothing. -ECANCELED: the job is
 * to end here. -ESTALE: the place is not being deleted by this job any more. */
int deletion_run_step(struct database *database, const struct deletion_step *step,
                      char (*out_versions)[VERSION_NAME_SIZE], struct deletion_result *out,
                      struct protection *out_protection, struct error *err);

/* How many ready versions the place of a job has. */
int deletion_count(struct database *database, const struct job *job, uint64_t *out,
                   struct error *err);
