/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct actor;
struct error;
struct transaction;

/* places - project and app rows inside a transaction: found, or made with their act. */
int place_project(struct transaction *tx, const char *name, const struct actor *by, int64_t *out_id,
                  bool *out_created, struct error *err);

/* And its project. */
int place_app(struct transaction *tx, const char *project, const char *name, const struct actor *by,
              int64_t *out_id, bool *out_created, struct error *err);

/* -ENOENT when there is no such app. */
int place_find_app(struct transaction *tx, const char *project, const char *name, int64_t *out_id,
                   struct error *err);
