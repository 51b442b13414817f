/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/error.h"
#include "server/db/job_rows.h"

struct working {
    const char *lane, *holder;
    int64_t lease_s;
    int64_t number;
    int64_t done, total;
    const struct job_end *end;
    bool found;
    struct job job;
};

/* The one that runs, for its lease may be over; else the one that waits longest. No lease is for
 * longer than `lease_s` from now: one that is was given by a clock that was ahead, and says
 * nothing, for whoever still has it renews it at once. Twice that is room for a clock set back a
 * little. */
static int find_next(struct transaction *tx, void *context, struct error *err)
{
    struct working *self = context;
    const int64_t now_s = transaction_now_s(tx);
    int64_t taken;
    int r;

    self->found = false;
    r = transaction_integer(tx,
                            "SELECT count(*) FROM jobs WHERE lane = $1 AND state = 'running'"
                            " AND holder <> $2 AND leased_until > $3 AND leased_until <= $4",
                            VALUES(value_text(self->lane), value_text(self->holder),
                                   value_integer(now_s), value_integer(now_s + 2 * self->lease_s)),
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
    int64_t begun;
    int r = transaction_integer(tx,
                                "UPDATE jobs SET state = 'running', holder = $2, leased_until = $3,"
                                " started_at = coalesce(started_at, $4), done = 0, total = 0,"
                                " begun = begun + 1 WHERE number = $1 RETURNING begun",
                                VALUES(value_integer(self->number), value_text(self->holder),
                                       value_integer(now_s + self->lease_s), value_integer(now_s)),
                                &begun, err);

    if (r >= 0)
        r = job_find_number(tx, self->number, &self->job, err);
    if (r >= 0)
        self->job.begun = begun;
    return r;
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
    const struct actor *by;
    const struct job_draft *draft;
    struct job job;
    struct working working;
};

static int begin(struct transaction *tx, void *context, struct error *err)
{
    struct beginning *self = context;
    const char *lane = self->draft->lane;
    int64_t running;
    int r =
        transaction_integer(tx, "SELECT count(*) FROM jobs WHERE lane = $1 AND state = 'running'",
                            VALUES(value_text(lane)), &running, err);

    if (r >= 0 && running > 0)
        return error_set(err, -EBUSY, "another job of the lane %s is running", lane);
    if (r >= 0)
        r = job_insert(tx, self->by, self->draft, &self->job, err);
    self->working.number = self->job.number;
    return r < 0 ? r : take(tx, &self->working, err);
}

int job_begin(struct database *database, const struct actor *by, const struct job_draft *draft,
              const char *holder, int64_t lease_s, struct job *out, struct error *err)
{
    struct beginning self = { .by = by,
                              .draft = draft,
                              .working = { .holder = holder, .lease_s = lease_s } };
    int r = transaction_write(database, begin, &self, err);

    job_release(&self.job);
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
    int r = transaction_run(
        tx,
        "UPDATE jobs SET state = 'queued', holder = NULL, leased_until = NULL,"
        " begun = begun - 1 WHERE number = $1 AND state = 'running' AND holder = $2",
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
        r = job_find_number(tx, self->number, &self->job, err);
    if (r < 0)
        return r;
    by.name = self->job.actor;
    return job_tell(tx, &by, &self->job, "end", "job.finished", state, err);
}

int job_finish(struct database *database, int64_t number, const char *holder,
               const struct job_end *end, struct error *err)
{
    struct working self = { .holder = holder, .number = number, .end = end };
    int r = transaction_write(database, finish, &self, err);

    job_release(&self.job);
    return r;
}
