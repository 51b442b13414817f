/* SPDX-License-Identifier: MIT */
#include "server/db/job_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/acts.h"

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

int job_next(struct rows *rows, struct job *out, struct error *err)
{
    int r = rows_next(rows, err);

    job_release(out);
    if (r <= 0)
        return r;
    r = job_read(rows, out, err);
    return r < 0 ? r : 1;
}

int job_find_number(struct transaction *tx, int64_t number, struct job *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, JOB_SELECT "WHERE j.number = $1", VALUES(value_integer(number)),
                              &rows, err);

    if (r >= 0)
        r = job_next(&rows, out, err);
    return r == 0 ? error_set(err, -ENOENT, "no such job") : r;
}

int job_find_id(struct transaction *tx, const char *id, struct job *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, JOB_SELECT "WHERE j.id = $1", VALUES(value_text(id)), &rows, err);

    if (r >= 0)
        r = job_next(&rows, out, err);
    return r == 0 ? error_set(err, -ENOENT, "no such job") : r;
}

int job_tell(struct transaction *tx, const struct actor *by, const struct job *job,
             const char *what, const char *event, const char *state, struct error *err)
{
    char operation[JOB_NAME_SIZE + 16], data[160];
    const struct act act = { .operation = operation,
                             .event = event,
                             .project = job->project[0] == '\0' ? NULL : job->project,
                             .app = job->app[0] == '\0' ? NULL : job->app,
                             .data = data };

    snprintf(operation, sizeof(operation), "%s.%s", job->kind, what);
    snprintf(data, sizeof(data), "{\"job\":\"%s\",\"kind\":\"%s\"%s%s%s}", job->id, job->kind,
             state != NULL ? ",\"state\":\"" : "", state != NULL ? state : "",
             state != NULL ? "\"" : "");
    return act_write(tx, by, &act, err);
}

int job_last_done(struct transaction *tx, const char *kind, int64_t *out_began_s, struct error *err)
{
    int r = transaction_integer(tx,
                                "SELECT started_at FROM jobs WHERE kind = $1 AND state = 'done'"
                                " AND project IS NULL AND started_at <= $2"
                                " ORDER BY started_at DESC LIMIT 1",
                                VALUES(value_text(kind), value_integer(transaction_now_s(tx))),
                                out_began_s, err);

    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}
