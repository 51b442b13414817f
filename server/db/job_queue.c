/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "common/codec/hex.h"
#include "server/db/job_rows.h"

/* ------------------------------------------------------------ asking for one */

static int id_make(char out[JOB_ID_SIZE], struct error *err)
{
    uint8_t random[(JOB_ID_SIZE - 1) / 2];
    int r = random_bytes(random, sizeof(random), err);

    if (r == 0)
        hex_encode(random, sizeof(random), out);
    return r;
}

int job_insert(struct transaction *tx, const struct actor *by, const struct job_draft *draft,
               struct job *out, struct error *err)
{
    char id[JOB_ID_SIZE];
    int64_t number;
    int r = id_make(id, err);

    if (r < 0)
        return r;
    r = transaction_integer(
        tx,
        "INSERT INTO jobs (id, kind, lane, state, project, app, params, actor, created_at)"
        " VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8) RETURNING number",
        VALUES(value_text(id), value_text(draft->kind), value_text(draft->lane),
               value_text(draft->project), value_text(draft->app), value_text(draft->params),
               value_text(by->name), value_integer(transaction_now_s(tx))),
        &number, err);
    if (r >= 0)
        r = job_find_number(tx, number, out, err);
    return r < 0 ? r : job_tell(tx, by, out, "run", "job.queued", NULL, err);
}

static int find_same(struct transaction *tx, const struct job_draft *draft, struct job *out,
                     struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          JOB_SELECT
                          "WHERE j.lane = $1 AND j.state = 'queued' AND j.kind = $2"
                          " AND j.project IS NOT DISTINCT FROM $3 AND j.app IS NOT DISTINCT FROM $4"
                          " AND j.params IS NOT DISTINCT FROM $5 ORDER BY j.number LIMIT 1",
                          VALUES(value_text(draft->lane), value_text(draft->kind),
                                 value_text(draft->project), value_text(draft->app),
                                 value_text(draft->params)),
                          &rows, err);

    return r < 0 ? r : job_next(&rows, out, err);
}

int job_add_in(struct transaction *tx, const struct actor *by, const struct job_draft *draft,
               struct job *out, struct error *err)
{
    struct job job = { .number = 0 };
    int r = find_same(tx, draft, &job, err);
    const bool is_known = r > 0;

    if (r == 0)
        r = job_insert(tx, by, draft, &job, err);
    if (r < 0) {
        job_release(&job);
        return r;
    }
    *out = job;
    return is_known;
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
        r = job_tell(tx, self->by, &self->job, "end", "job.finished", job_state_name(JOB_CANCELLED),
                     err);
    return r;
}

static int cancel(struct transaction *tx, void *context, struct error *err)
{
    struct cancelling *self = context;
    int r = job_find_id(tx, self->id, &self->job, err);

    if (r < 0 || self->job.cancelling || self->job.finished_at_s != 0)
        return r;
    r = job_tell(tx, self->by, &self->job, "cancel", NULL, NULL, err);
    if (r >= 0)
        r = self->job.state == JOB_QUEUED
                ? cancel_queued(tx, self, err)
                : transaction_run(tx, "UPDATE jobs SET cancelling = 1 WHERE number = $1",
                                  VALUES(value_integer(self->job.number)), err);
    return r < 0 ? r : job_find_id(tx, self->id, &self->job, err);
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
