/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct caller;
struct error;
struct refusal;
struct services;

/* retain - how many versions of a project's apps (app NULL), or of an app, stay: for projects.c and
 * apps.c, which have checked the rights. */

/* Before anything is made. NULL: nothing is said. -EINVAL with the pointer "/retain_versions". */
int retain_check(const int64_t *retain, struct refusal *why, struct error *err);

/* One that was checked. */
int retain_put(struct services *services, const struct caller *caller, const char *project,
               const char *app, int64_t retain, struct error *err);
