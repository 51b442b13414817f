/* SPDX-License-Identifier: MIT */
#include "server/db/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/codec/hex.h"
#include "server/db/transaction.h"

#define COLUMNS                                                                   \
    "j.number, j.id, j.kind, j.state, j.cancelling, j.project, j.app, j.params, " \
    "j.result, j.problem, j.actor, j.done, j.total, j.created_at, j.started_at, " \
    "j.finished_at"
#define SELECT "SELECT " COLUMNS " FROM jobs j "

static const char *const state_names[] = {
    [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running",     [JOB_DONE] = "done",
    [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == JOB_STATE_COUNT, "a name each");

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

void job_release(struct job *job)
{
    memory_free(job->params);
    memory_free(job->result);
    memory_free(job->problem);
    memory_free(job->actor);
    memset(job, 0, sizeof(*job));
}

struct job *job_list_free(struct job *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        job_release(&items[i]);
    return memory_free(items);
}

static int state_read(struct span text, enum job_state *out, struct error *err)
{
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        if (span_equal(text, span_text(state_names[i]))) {
            *out = (enum job_state)i;
            return 0;
        }
    }
    return error_set(err, -EBADMSG, "a job is in no known state");
}

static int texts_read(struct rows *rows, struct job *out, struct error *err)
{
    const struct {
        unsigned column;
        char *at;
        size_t size;
    } fixed[] = {
        { 1, out->id, sizeof(out->id) },
        { 2, out->kind, sizeof(out->kind) },
        { 5, out->project, sizeof(out->project) },
        { 6, out->app, sizeof(out->app) },
    };
    const struct {
        unsigned column;
        char **at;
    } copied[] = {
        { 7, &out->params }, { 8, &out->result }, { 9, &out->problem }, { 10, &out->actor }
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        r = rows_text(rows, fixed[i].column, fixed[i].at, fixed[i].size, err);
    for (size_t i = 0; r >= 0 && i < sizeof(copied) / sizeof(copied[0]); i++)
        r = rows_text_copy(rows, copied[i].column, copied[i].at, err);
    return r;
}

static int job_read(struct rows *rows, struct job *out, struct error *err)
{
    int r;

    out->number = rows_integer(rows, 0);
    out->cancelling = rows_integer(rows, 4) != 0;
    out->done = rows_integer(rows, 11);
    out->total = rows_integer(rows, 12);
    out->created_at_s = rows_integer(rows, 13);
    out->started_at_s = rows_integer(rows, 14);
    out->finished_at_s = rows_integer(rows, 15);
    r = state_read(rows_bytes(rows, 3), &out->state, err);
    return r < 0 ? r : texts_read(rows, out, err);
}

/* 1 and the job, or 0. */
static int job_next(struct rows *rows, struct job *out, struct error *err)
{
    int r = rows_next(rows, err);

    job_release(out);
    if (r <= 0)
        return r;
    r = job_read(rows, out, err);
    return r < 0 ? r : 1;
}

static int find_number(struct transaction *tx, int64_t number, struct job *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, SELECT "WHERE j.number = $1", VALUES(value_integer(number)),
                              &rows, err);

    if (r >= 0)
        r = job_next(&rows, out, err);
    return r == 0 ? error_set(err, -ENOENT, "no such job") : r;
}

static int find_id(struct transaction *tx, const char *id, struct job *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, SELECT "WHERE j.id = $1", VALUES(value_text(id)), &rows, err);

    if (r >= 0)
        r = job_next(&rows, out, err);
    return r == 0 ? error_set(err, -ENOENT, "no such job") : r;
}

/* `what` behind the kind, or alone when it begins with "job." */
static int tell(struct transaction *tx, const struct actor *by, const struct job *job,
                const char *what, const char *event, const char *more, struct error *err)
{
    char operation[JOB_NAME_SIZE + 16], data[160];
    const struct act act = { .operation = operation,
                             .event = event,
                             .project = job->project[0] == '\0' ? NULL : job->project,
                             .app = job->app[0] == '\0' ? NULL : job->app,
                             .data = data };

    snprintf(operation, sizeof(operation), "%s.%s", job->kind, what);
    snprintf(data, sizeof(data), "{\"job\":\"%s\",\"kind\":\"%s\"%s%s%s}", job->id, job->kind,
             more != NULL ? ",\"state\":\"" : "", more != NULL ? more : "",
             more != NULL ? "\"" : "");
    return act_write(tx, by, &act, err);
}

/* ------------------------------------------------------------ asking for one */

struct adding {
    const struct actor *by;
    const struct job_draft *draft;
    char id[JOB_ID_SIZE];
    bool is_known;
    struct job job;
};

static int find_same(struct transaction *tx, struct adding *adding, struct error *err)
{
    const struct job_draft *draft = adding->draft;
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          SELECT
                          "WHERE j.lane = $1 AND j.state = 'queued' AND j.kind = $2"
                          " AND j.project IS NOT DISTINCT FROM $3 AND j.app IS NOT DISTINCT FROM $4"
                          " AND j.params IS NOT DISTINCT FROM $5 ORDER BY j.number LIMIT 1",
                          VALUES(value_text(draft->lane), value_text(draft->kind),
                                 value_text(draft->project), value_text(draft->app),
                                 value_text(draft->params)),
                          &rows, err);

    return r < 0 ? r : job_next(&rows, &adding->job, err);
}

static int insert(struct transaction *tx, struct adding *adding, struct error *err)
{
    const struct job_draft *draft = adding->draft;
    int64_t number;
    int r = transaction_integer(
        tx,
        "INSERT INTO jobs (id, kind, lane, state, project, app, params, actor, created_at)"
        " VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8) RETURNING number",
        VALUES(value_text(adding->id), value_text(draft->kind), value_text(draft->lane),
               value_text(draft->project), value_text(draft->app), value_text(draft->params),
               value_text(adding->by->name), value_integer(transaction_now_s(tx))),
        &number, err);

    if (r >= 0)
        r = find_number(tx, number, &adding->job, err);
    return r < 0 ? r : tell(tx, adding->by, &adding->job, "run", "job.queued", NULL, err);
}

static int id_make(char out[JOB_ID_SIZE], struct error *err)
{
    uint8_t random[(JOB_ID_SIZE - 1) / 2];
    int r = random_bytes(random, sizeof(random), err);

    if (r == 0)
        hex_encode(random, sizeof(random), out);
    return r;
}

int job_add_in(struct transaction *tx, const struct actor *by, const struct job_draft *draft,
               struct job *out, struct error *err)
{
    struct adding adding = { .by = by, .draft = draft };
    int r = id_make(adding.id, err);

    if (r < 0)
        return r;
    r = find_same(tx, &adding, err);
    adding.is_known = r > 0;
    if (r == 0)
        r = insert(tx, &adding, err);
    if (r < 0) {
        job_release(&adding.job);
        return r;
    }
    *out = adding.job;
    return adding.is_known;
}

struct asking {
    const struct actor *by;
    const struct job_draft *draft;
    bool is_known;
    struct job job;
};

static int add(struct transaction *tx, void *context, struct error *err)
{
    struct asking *asking = context;
    int r;

    job_release(&asking->job);
    r = job_add_in(tx, asking->by, asking->draft, &asking->job, err);
    asking->is_known = r > 0;
    return r;
}

int job_add(struct database *database, const struct actor *by, const struct job_draft *draft,
            struct job *out, struct error *err)
{
    struct asking asking = { .by = by, .draft = draft };
    int r = transaction_write(database, add, &asking, err);

    if (r < 0) {
        job_release(&asking.job);
        return r;
    }
    *out = asking.job;
    return asking.is_known;
}

/* ------------------------------------------------------------ working on one */

struct working {
    const char *lane, *holder;
    int64_t lease_s;
    int64_t number;
    int64_t done, total;
    const struct job_end *end;
    bool found;
    struct job job;
};

/* The one that runs, for its lease may be over; else the one that waits longest. */
static int find_next(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    int64_t taken;
    int r;

    self->found = false;
    r = transaction_integer(tx,
                            "SELECT count(*) FROM jobs WHERE lane = $1 AND state = 'running'"
                            " AND holder <> $2 AND leased_until > $3",
                            VALUES(value_text(self->lane), value_text(self->holder),
                                   value_integer(transaction_now_s(tx))),
                            &taken, err);
    if (r < 0 || taken > 0)
        return r;
    r = transaction_integer(tx,
                            "SELECT number FROM jobs WHERE lane = $1"
                            " AND state IN ('queued', 'running')"
                            " ORDER BY state = 'running' DESC, number LIMIT 1",
                            VALUES(value_text(self->lane)), &self->number, err);
    if (r == -ENOENT)
        return 0;
    self->found = r >= 0;
    return r;
}

static int take(struct transaction *tx, struct working *self, struct error *err)
{
    const int64_t now_s = transaction_now_s(tx);
    int r = transaction_run(tx,
                            "UPDATE jobs SET state = 'running', holder = $2, leased_until = $3,"
                            " started_at = coalesce(started_at, $4), done = 0, total = 0"
                            " WHERE number = $1",
                            VALUES(value_integer(self->number), value_text(self->holder),
                                   value_integer(now_s + self->lease_s), value_integer(now_s)),
                            err);

    return r < 0 ? r : find_number(tx, self->number, &self->job, err);
}

static int claim(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    int r = find_next(tx, self, err);

    return r < 0 || !self->found ? r : take(tx, self, err);
}

int job_claim(struct database *database, const char *lane, const char *holder, int64_t lease_s,
              struct job *out, struct error *err)
{
    struct working self = { .lane = lane, .holder = holder, .lease_s = lease_s };
    /* Mostly there is nothing, and looking takes the database from nobody. */
    int r = transaction_read(database, find_next, &self, err);

    if (r < 0 || !self.found)
        return r;
    r = transaction_write(database, claim, &self, err);
    if (r < 0 || !self.found) {
        job_release(&self.job);
        return r;
    }
    *out = self.job;
    return 1;
}

struct beginning {
    struct adding adding;
    struct working working;
};

static int begin(struct transaction *tx, void *context, struct error *err)
{
    struct beginning *self = context;
    const char *lane = self->adding.draft->lane;
    int64_t running;
    int r =
        transaction_integer(tx, "SELECT count(*) FROM jobs WHERE lane = $1 AND state = 'running'",
                            VALUES(value_text(lane)), &running, err);

    if (r >= 0 && running > 0)
        return error_set(err, -EBUSY, "another job of the lane %s is running", lane);
    if (r >= 0)
        r = insert(tx, &self->adding, err);
    self->working.number = self->adding.job.number;
    return r < 0 ? r : take(tx, &self->working, err);
}

int job_begin(struct database *database, const struct actor *by, const struct job_draft *draft,
              const char *holder, int64_t lease_s, struct job *out, struct error *err)
{
    struct beginning self = { .adding = { .by = by, .draft = draft },
                              .working = { .holder = holder, .lease_s = lease_s } };
    int r = id_make(self.adding.id, err);

    if (r == 0)
        r = transaction_write(database, begin, &self, err);
    job_release(&self.adding.job);
    if (r < 0) {
        job_release(&self.working.job);
        return r;
    }
    *out = self.working.job;
    return 0;
}

static int lost(struct error *err)
{
    return error_set(err, -EBUSY, "another server has taken the job");
}

static int renew(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    int64_t cancelling;
    int r = transaction_integer(
        tx,
        "UPDATE jobs SET leased_until = $3, done = $4, total = $5"
        " WHERE number = $1 AND state = 'running' AND holder = $2 RETURNING cancelling",
        VALUES(value_integer(self->number), value_text(self->holder),
               value_integer(transaction_now_s(tx) + self->lease_s), value_integer(self->done),
               value_integer(self->total)),
        &cancelling, err);

    if (r == -ENOENT)
        return lost(err);
    self->job.cancelling = r >= 0 && cancelling != 0;
    return r;
}

int job_renew(struct database *database, int64_t number, const char *holder, int64_t lease_s,
              int64_t done, int64_t total, struct error *err)
{
    struct working self = {
        .holder = holder, .lease_s = lease_s, .number = number, .done = done, .total = total
    };
    int r = transaction_write(database, renew, &self, err);

    return r < 0 ? r : self.job.cancelling;
}

static int put_back(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    int r = transaction_run(tx,
                            "UPDATE jobs SET state = 'queued', holder = NULL, leased_until = NULL"
                            " WHERE number = $1 AND state = 'running' AND holder = $2",
                            VALUES(value_integer(self->number), value_text(self->holder)), err);

    return r == 0 ? lost(err) : r;
}

int job_put_back(struct database *database, int64_t number, const char *holder, struct error *err)
{
    struct working self = { .holder = holder, .number = number };

    return transaction_write(database, put_back, &self, err);
}

static int finish(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    const char *state = job_state_name(self->end->state);
    struct actor by = { .name = NULL };
    int r = transaction_run(tx,
                            "UPDATE jobs SET state = $3, result = $4, problem = $5, done = $6,"
                            " finished_at = $7, holder = NULL, leased_until = NULL"
                            " WHERE number = $1 AND state = 'running' AND holder = $2",
                            VALUES(value_integer(self->number), value_text(self->holder),
                                   value_text(state), value_text(self->end->result),
                                   value_text(self->end->problem), value_integer(self->end->done),
                                   value_integer(transaction_now_s(tx))),
                            err);

    if (r == 0)
        return lost(err);
    if (r > 0)
        r = find_number(tx, self->number, &self->job, err);
    if (r < 0)
        return r;
    by.name = self->job.actor;
    return tell(tx, &by, &self->job, "end", "job.finished", state, err);
}

int job_finish(struct database *database, int64_t number, const char *holder,
               const struct job_end *end, struct error *err)
{
    struct working self = { .holder = holder, .number = number, .end = end };
    int r = transaction_write(database, finish, &self, err);

    job_release(&self.job);
    return r;
}

/* ------------------------------------------------------------ cancelling one */

struct cancelling {
    const struct actor *by;
    const char *id;
    struct job job;
};

static int cancel_queued(struct transaction *tx, struct cancelling *self, struct error *err)
{
    int r = transaction_run(
        tx, "UPDATE jobs SET state = 'cancelled', finished_at = $2 WHERE number = $1",
        VALUES(value_integer(self->job.number), value_integer(transaction_now_s(tx))), err);

    if (r >= 0)
        r = tell(tx, self->by, &self->job, "end", "job.finished", job_state_name(JOB_CANCELLED),
                 err);
    return r;
}

static int cancel(struct transaction *tx, void *context, struct error *err)
{
    struct cancelling *self = context;
    int r = find_id(tx, self->id, &self->job, err);

    if (r < 0 || self->job.cancelling || self->job.finished_at_s != 0)
        return r;
    r = tell(tx, self->by, &self->job, "cancel", NULL, NULL, err);
    if (r >= 0)
        r = self->job.state == JOB_QUEUED
                ? cancel_queued(tx, self, err)
                : transaction_run(tx, "UPDATE jobs SET cancelling = 1 WHERE number = $1",
                                  VALUES(value_integer(self->job.number)), err);
    return r < 0 ? r : find_id(tx, self->id, &self->job, err);
}

int job_cancel(struct database *database, const struct actor *by, const char *id, struct job *out,
               struct error *err)
{
    struct cancelling self = { .by = by, .id = id };
    int r = transaction_write(database, cancel, &self, err);

    if (r < 0) {
        job_release(&self.job);
        return r;
    }
    *out = self.job;
    return 0;
}

/* ------------------------------------------------------------ looking */

static int get(struct transaction *tx, void *context, struct error *err)
{
    struct cancelling *self = context;

    return find_id(tx, self->id, &self->job, err);
}

int job_get(struct database *database, const char *id, struct job *out, struct error *err)
{
    struct cancelling self = { .id = id };
    int r = transaction_read(database, get, &self, err);

    if (r < 0) {
        job_release(&self.job);
        return r;
    }
    *out = self.job;
    return 0;
}

struct listing {
    const struct job_scope *scope;
    int64_t before;
    size_t limit;
    struct job *items;
    size_t count;
};

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int r;

    listing->count = 0;
    r = transaction_query(
        tx,
        SELECT "WHERE j.number < $1 AND ($2 = '' OR j.project = $2) AND ($3 = '' OR j.app = $3)"
               " AND ($4 = 0 OR j.project IS NOT NULL) ORDER BY j.number DESC LIMIT $5",
        VALUES(value_integer(listing->before > 0 ? listing->before : INT64_MAX),
               value_text(listing->scope->project), value_text(listing->scope->app),
               value_integer(listing->scope->placed), value_integer((int64_t)listing->limit)),
        &rows, err);
    while (r >= 0 && (r = job_next(&rows, &listing->items[listing->count], err)) > 0)
        listing->count++;
    return r;
}

int job_list(struct database *database, const struct job_scope *scope, int64_t before, size_t limit,
             struct job **out_items, size_t *out_count, struct error *err)
{
    struct listing listing = { .scope = scope, .before = before, .limit = limit };
    int r;

    listing.items = memory_array(limit + 1, sizeof(*listing.items));
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0) {
        job_list_free(listing.items, limit + 1);
        return r;
    }
    *out_items = listing.items;
    *out_count = listing.count;
    return 0;
}

struct forgetting {
    int64_t before_s;
    size_t limit;
    int count;
};

static int forget(struct transaction *tx, void *context, struct error *err)
{
    struct forgetting *self = context;

    self->count =
        transaction_run(tx,
                        "DELETE FROM jobs WHERE number IN (SELECT number FROM jobs"
                        " WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)",
                        VALUES(value_integer(self->before_s), value_integer((int64_t)self->limit)),
                        err);
    return self->count;
}

int job_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
               struct error *err)
{
    struct forgetting self = { .before_s = before_s, .limit = limit };
    int r = transaction_write(database, forget, &self, err);

    if (r < 0)
        return r;
    *out_count = (size_t)self.count;
    return 0;
}
