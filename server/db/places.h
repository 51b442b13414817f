/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct actor;
struct error;
struct transaction;

/*
 * places - project and app rows inside a transaction: found, or made with their act.
 *
 * One that was deleted keeps its row, and is not there for who looks for it. It comes back when it
 * is made again, and when a version of it comes out of the trash. While it is being deleted
 * (deletion.h) nothing is made in it: -EINPROGRESS, from all that make or bring back.
 */
int place_project(struct transaction *tx, const char *name, const struct actor *by, int64_t *out_id,
                  bool *out_created, struct error *err);

/* And its project. */
int place_app(struct transaction *tx, const char *project, const char *name, const struct actor *by,
              int64_t *out_id, bool *out_created, struct error *err);

/* -ENOENT when there is none, or it was deleted. */
int place_find_project(struct transaction *tx, const char *name, int64_t *out_id,
                       struct error *err);
int place_find_app(struct transaction *tx, const char *project, const char *name, int64_t *out_id,
                   struct error *err);

/* Also one that was deleted: for its trash and its history. */
int place_find_any_app(struct transaction *tx, const char *project, const char *name,
                       int64_t *out_id, struct error *err);

/* 0: it may be changed, or is not there; -EINPROGRESS: it, or its project, is being deleted. app
 * NULL: the project itself. */
int place_check(struct transaction *tx, const char *project, const char *app, struct error *err);

/* A version of that app is ready again: so app and project are there again, each with its act. */
int place_return(struct transaction *tx, const char *project, const char *app,
                 const struct actor *by, struct error *err);

/* Where a place was deleted and nothing of it is left, not in the trash either, what was set for it
 * goes: it would be a new one. An app's project is looked at, too. */
int place_forget_project(struct transaction *tx, int64_t project_id, struct error *err);
int place_forget_app(struct transaction *tx, int64_t app_id, struct error *err);
