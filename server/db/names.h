/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/codec/digest.h"

struct error;
struct transaction;

/*
 * names - (project, app, version) -> content, for ever.
 *
 * A row is made with the first version of that name and never goes: not with the
 * version, nor the app, nor the project.
 */

/* 1 and the content it is spent on, or 0: free. */
int name_look(struct transaction *tx, const char *project, const char *app, const char *version,
              struct digest *out_content, struct error *err);

/* Spends it. It was free, or is spent on that content (and purged). */
int name_spend(struct transaction *tx, const char *project, const char *app, const char *version,
               const struct digest *content, struct error *err);

/* Its version was purged. */
int name_mark_purged(struct transaction *tx, const char *project, const char *app,
                     const char *version, struct error *err);
