/* SPDX-License-Identifier: MIT */
#include "server/db/deletion.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/acts.h"
#include "server/db/driver.h"
#include "server/db/job_rows.h"
#include "server/db/places.h"
#include "server/db/version_rows.h"

/* An app, or with app_id 0 a project. */
struct place {
    int64_t project_id, app_id;
};

static int find_place(struct transaction *tx, const char *project, const char *app,
                      struct place *out, struct error *err)
{
    int r = place_find_project(tx, project, &out->project_id, err);

    out->app_id = 0;
    if (r >= 0 && app != NULL)
        r = place_find_app(tx, project, app, &out->app_id, err);
    return r;
}

/* The job that is at it. *out 0: there is none. */
static int find_job(struct transaction *tx, const struct place *place, int64_t *out,
                    struct error *err)
{
    int r = place->app_id != 0
                ? transaction_integer(tx,
                                      "SELECT j.number FROM apps a JOIN jobs j"
                                      " ON j.number = a.deleting"
                                      " WHERE a.id = $1 AND j.state IN ('queued', 'running')",
                                      VALUES(value_integer(place->app_id)), out, err)
                : transaction_integer(tx,
                                      "SELECT j.number FROM projects p JOIN jobs j"
                                      " ON j.number = p.deleting"
                                      " WHERE p.id = $1 AND j.state IN ('queued', 'running')",
                                      VALUES(value_integer(place->project_id)), out, err);

    if (r != -ENOENT)
        return r;
    *out = 0;
    return 0;
}

/* ------------------------------------------------------------ the beginning */

struct beginning {
    const struct actor *by;
    const struct job_draft *draft;
    bool force;
    bool is_known;
    struct job job;
    struct protection protection;
};

static int mark(struct transaction *tx, const struct place *place, int64_t number,
                struct error *err)
{
    if (place->app_id != 0)
        return transaction_run(tx, "UPDATE apps SET deleting = $2 WHERE id = $1",
                               VALUES(value_integer(place->app_id), value_integer(number)), err);
    return transaction_run(tx, "UPDATE projects SET deleting = $2 WHERE id = $1",
                           VALUES(value_integer(place->project_id), value_integer(number)), err);
}

static int ask(struct transaction *tx, struct beginning *self, const struct place *place,
               struct error *err)
{
    int r = self->draft->app != NULL ? place_check(tx, self->draft->project, NULL, err) : 0;

    if (r >= 0 && !self->force)
        r = protection_of_place(tx, place->project_id, place->app_id, &self->protection, err);
    if (r >= 0)
        r = job_insert(tx, self->by, self->draft, &self->job, err);
    return r < 0 ? r : mark(tx, place, self->job.number, err);
}

static int begin(struct transaction *tx, void *context, struct error *err)
{
    struct beginning *self = context;
    struct place place;
    int64_t number;
    int r = find_place(tx, self->draft->project, self->draft->app, &place, err);

    self->protection = (struct protection){ .kind = PROTECTION_NONE };
    if (r >= 0)
        r = find_job(tx, &place, &number, err);
    if (r < 0)
        return r;
    self->is_known = number != 0;
    return self->is_known ? job_find_number(tx, number, &self->job, err)
                          : ask(tx, self, &place, err);
}

int deletion_begin(struct database *database, const struct actor *by, const struct job_draft *draft,
                   bool force, struct job *out, struct protection *out_protection,
                   struct error *err)
{
    struct beginning self = { .by = by, .draft = draft, .force = force };
    /* It looks at every version of the place, which takes as long as they are many. */
    int r = transaction_write_long(database, begin, &self, err);

    if (out_protection != NULL)
        *out_protection = self.protection;
    if (r < 0) {
        job_release(&self.job);
        return r;
    }
    *out = self.job;
    return self.is_known;
}

/* ------------------------------------------------------------ a step */

struct stepping {
    const struct deletion_step *step;
    struct actor by;
    struct place place;
    int64_t app_id; /* of which versions go; 0: none is left */
    char (*versions)[VERSION_NAME_SIZE];
    struct deletion_result result;
    struct protection protection;
};

static const char *app_of(const struct job *job)
{
    return job->app[0] != '\0' ? job->app : NULL;
}

/* Whether this job is at it: somebody else may have ended it since it was looked at, and made the
 * place again. 1: there is nothing left to do, only to be told. */
static int check(struct transaction *tx, struct stepping *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct job *job = self->step->job;
    const struct value values[] = { value_text(job->project), value_integer(job->number),
                                    value_text(job->app) };
    int r = app_of(job) != NULL
                ? transaction_query(tx,
                                    "SELECT p.id, a.id, a.deleted_at IS NOT NULL, j.cancelling"
                                    " FROM projects p"
                                    " JOIN apps a ON a.project_id = p.id"
                                    " JOIN jobs j ON j.number = a.deleting WHERE p.name = $1"
                                    " AND a.name = $3 AND j.number = $2 AND j.state = 'running'",
                                    values, 3, &rows, err)
                : transaction_query(tx,
                                    "SELECT p.id, 0, p.deleted_at IS NOT NULL, j.cancelling"
                                    " FROM projects p"
                                    " JOIN jobs j ON j.number = p.deleting WHERE p.name = $1"
                                    " AND j.number = $2 AND j.state = 'running'",
                                    values, 2, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r < 0 ? r : error_set(err, -ESTALE, "it is not being deleted any more");
    self->place = (struct place){ rows_integer(&rows, 0), rows_integer(&rows, 1) };
    if (rows_integer(&rows, 2) != 0)
        return 1;
    return rows_integer(&rows, 3) != 0 ? error_set(err, -ECANCELED, "the job was cancelled") : 0;
}

static int find_app(struct transaction *tx, struct stepping *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct place *place = &self->place;
    int r = place->app_id != 0
                ? transaction_query(tx, "SELECT id, name FROM apps WHERE id = $1",
                                    VALUES(value_integer(place->app_id)), &rows, err)
                : transaction_query(tx,
                                    "SELECT id, name FROM apps WHERE project_id = $1"
                                    " AND deleted_at IS NULL ORDER BY name LIMIT 1",
                                    VALUES(value_integer(place->project_id)), &rows, err);

    self->app_id = 0;
    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    self->app_id = rows_integer(&rows, 0);
    return rows_text(&rows, 1, self->result.app, sizeof(self->result.app), err);
}

static int find_versions(struct transaction *tx, const struct stepping *self, struct buf *out_ids,
                         struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int64_t id;
    int r = transaction_query(tx,
                              "SELECT id FROM versions WHERE app_id = $1 AND state = 'ready'"
                              " ORDER BY created_at, id LIMIT $2",
                              VALUES(value_integer(self->app_id),
                                     value_integer((int64_t)self->step->limit)),
                              &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        id = rows_integer(&rows, 0);
        buf_add(out_ids, &id, sizeof(id));
    }
    return r < 0 ? r : buf_check(out_ids, err);
}

static int take_one(struct transaction *tx, struct stepping *self, int64_t id, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    const struct version_trashing how = { .by = &self->by,
                                          .reason = self->step->reason,
                                          .force = self->step->force,
                                          .job = self->step->job->id };
    int r = version_find_id(tx, id, &version, err);

    if (r > 0)
        r = version_trash_in(tx, &version, &how, &self->protection, err);
    if (r >= 0)
        memcpy(self->versions[self->result.count++], version.name, sizeof(version.name));
    return r;
}

static int take_versions(struct transaction *tx, struct stepping *self, struct error *err)
{
    cleanup(buf_release) struct buf ids = buf_init(BUF_UNLIMITED);
    int64_t id;
    int r = find_versions(tx, self, &ids, err);

    for (size_t at = 0; r >= 0 && at < ids.size; at += sizeof(id)) {
        memcpy(&id, ids.bytes + at, sizeof(id));
        r = take_one(tx, self, id, err);
    }
    return r;
}

static int tell(struct transaction *tx, const struct stepping *self, const char *app,
                struct error *err)
{
    const struct job *job = self->step->job;
    char data[JOB_ID_SIZE + 16];
    const struct act act = { .operation = app != NULL ? "app.delete" : "project.delete",
                             .event = app != NULL ? "app.deleted" : "project.deleted",
                             .project = job->project,
                             .app = app,
                             .data = data };

    snprintf(data, sizeof(data), "{\"job\":\"%s\"}", job->id);
    return act_write(tx, &self->by, &act, err);
}

/* What is set for it stays as long as something is in its trash. */
static int end_app(struct transaction *tx, struct stepping *self, struct error *err)
{
    int r =
        transaction_run(tx, "UPDATE apps SET deleted_at = $2 WHERE id = $1",
                        VALUES(value_integer(self->app_id), value_integer(transaction_now_s(tx))),
                        err);

    self->result.app_ended = true;
    if (r >= 0)
        r = place_forget_app(tx, self->app_id, err);
    return r < 0 ? r : tell(tx, self, self->result.app, err);
}

static int end_project(struct transaction *tx, struct stepping *self, struct error *err)
{
    int r = transaction_run(tx, "UPDATE projects SET deleted_at = $2 WHERE id = $1",
                            VALUES(value_integer(self->place.project_id),
                                   value_integer(transaction_now_s(tx))),
                            err);

    if (r >= 0)
        r = place_forget_project(tx, self->place.project_id, err);
    self->result.is_done = true;
    return r < 0 ? r : tell(tx, self, NULL, err);
}

static int run_step(struct transaction *tx, void *context, struct error *err)
{
    struct stepping *self = context;
    int r;

    self->result = (struct deletion_result){ .count = 0 };
    self->protection = (struct protection){ .kind = PROTECTION_NONE };
    r = check(tx, self, err);
    if (r > 0) {
        self->result.is_done = true;
        return 0;
    }
    if (r == 0)
        r = find_app(tx, self, err);
    if (r >= 0 && self->app_id == 0)
        return end_project(tx, self, err);
    if (r >= 0)
        r = take_versions(tx, self, err);
    if (r < 0 || self->result.count == self->step->limit)
        return r;
    self->result.is_done = self->place.app_id != 0;
    return end_app(tx, self, err);
}

int deletion_run_step(struct database *database, const struct deletion_step *step,
                      char (*out_versions)[VERSION_NAME_SIZE], struct deletion_result *out,
                      struct protection *out_protection, struct error *err)
{
    struct stepping self = { .step = step,
                             .by = { .name = step->job->actor },
                             .versions = out_versions };
    int r = transaction_write(database, run_step, &self, err);

    *out_protection = self.protection;
    if (r < 0)
        return r;
    if (self.result.count > 0)
        database_version_epoch_advance(database);
    *out = self.result;
    return 0;
}

/* ------------------------------------------------------------ looking */

struct counting {
    const struct job *job;
    int64_t count;
};

static int count(struct transaction *tx, void *context, struct error *err)
{
    struct counting *self = context;

    return transaction_integer(tx,
                               "SELECT count(*) FROM projects p JOIN apps a ON a.project_id = p.id"
                               " JOIN versions v ON v.app_id = a.id WHERE v.state = 'ready'"
                               " AND p.name = $1 AND (CAST($2 AS TEXT) IS NULL OR a.name = $2)",
                               VALUES(value_text(self->job->project),
                                      value_text(app_of(self->job))),
                               &self->count, err);
}

int deletion_count(struct database *database, const struct job *job, uint64_t *out,
                   struct error *err)
{
    struct counting self = { .job = job };
    int r = transaction_read(database, count, &self, err);

    if (r == 0)
        *out = (uint64_t)self.count;
    return r;
}
