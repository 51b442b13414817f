/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct caller;
struct error;
struct job;
struct job_run;
struct refusal;
struct services;

/*
 * deletion - taking an app, or a project with all its apps, to the trash: the job `delete`.
 *
 * What protects a version, and when nothing may be made in the place, is server/db/deletion.h. A
 * job that comes upon something that protects since fails with a problem that begins with
 * "promoted: ", "pinned: " or "leased: ", and leaves what is left; asked for again, it goes on.
 *
 * The result is {"trashed", "apps", "versions"}: numbers, and the first thousand versions that
 * went, as P/A/V. Begun again after a crash, it tells what went since.
 */
int deletion_run(struct job_run *run, struct error *err);

/* Asks for it: ADMIN there. app NULL: the whole project. 1: one that is at it already is *out,
 * whether it is forced or not. -ENOENT: no such place; -EBUSY: REFUSAL_PROMOTED, _PINNED or
 * _LEASED, with the versions; -EINPROGRESS: the app's project is being deleted. Release *out. */
int deletion_ask(struct services *services, const struct caller *caller, const char *project,
                 const char *app, bool force, struct job *out, struct refusal *why,
                 struct error *err);
