/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/codec/digest.h"

struct error;
struct transaction;

/*
 * names - (project, app, version) -> content, for ever.
 *
 * A row is made with the first version of that name and never goes: not with the
 * version, nor the app, nor the project. It remembers when the last version of that
 * name went that was purged (purged_at), also when there is one again.
 */

/* 1 and the content it is spent on, or 0: free. */
int name_look(struct transaction *tx, const char *project, const char *app, const char *version,
              struct digest *out_content, struct error *err);

/* Spends it. It was free, or is spent on that content (and purged). *out_created_at_s: when its
 * version begins to be: now, but after the end of the one that was purged, also when that was in
 * this second, or a clock went back. So the two are never taken for each other: the key of a
 * version's record is made of its name and that time. */
int name_spend(struct transaction *tx, const char *project, const char *app, const char *version,
               const struct digest *content, int64_t *out_created_at_s, struct error *err);

/* Its version, made at that time, was purged at that one. */
int name_mark_purged(struct transaction *tx, const char *project, const char *app,
                     const char *version, int64_t created_at_s, int64_t purged_at_s,
                     struct error *err);
