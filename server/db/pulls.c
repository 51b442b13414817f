/* SPDX-License-Identifier: MIT */
#include "server/db/pulls.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/transaction.h"

#define DATA_MAX 1024

struct adding {
    const struct pull *pull;
    const struct actor *by;
    bool counted;
};

static int tell(struct transaction *tx, const struct adding *adding, struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = "version.pull",
                       .event = "version.pulled",
                       .project = adding->pull->project,
                       .app = adding->pull->app,
                       .version = adding->pull->version };
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "host", adding->pull->host);
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = buf_text(&data);
    return act_write(tx, adding->by, &act, err);
}

static int add(struct transaction *tx, void *context, struct error *err)
{
    struct adding *adding = context;
    const struct pull *pull = adding->pull;
    int r = transaction_run(
        tx,
        "INSERT INTO pulls (project, app, version, host, at) SELECT $1, $2, $3, CAST($4 AS TEXT),"
        " CAST($5 AS BIGINT)"
        " WHERE (SELECT count(*) FROM pulls WHERE project = $1 AND app = $2 AND version = $3) < $6"
        " ON CONFLICT DO NOTHING",
        VALUES(value_text(pull->project), value_text(pull->app), value_text(pull->version),
               value_text(pull->host), value_integer(transaction_now_s(tx)),
               value_integer(PULL_HOSTS_MAX)),
        err);

    if (r < 0)
        return r;
    adding->counted = r > 0;
    return adding->counted ? tell(tx, adding, err) : 0;
}

static int look(struct transaction *tx, void *context, struct error *err)
{
    struct adding *adding = context;
    const struct pull *pull = adding->pull;
    int64_t count = 0;
    int r = transaction_integer(tx,
                                "SELECT count(*) FROM pulls WHERE project = $1 AND app = $2"
                                " AND version = $3 AND host = $4",
                                VALUES(value_text(pull->project), value_text(pull->app),
                                       value_text(pull->version), value_text(pull->host)),
                                &count, err);

    adding->counted = count > 0;
    return r;
}

int pull_add(struct database *database, const struct pull *pull, const struct actor *by,
             bool *out_counted, struct error *err)
{
    struct adding adding = { .pull = pull, .by = by };
    /* Mostly it is known: then the writer is left alone. */
    int r = transaction_read(database, look, &adding, err);

    if (r >= 0 && adding.counted) {
        *out_counted = false;
        return 0;
    }
    if (r >= 0 && pull->known_only)
        return error_set(err, -EBUSY, "no new host is counted now");
    if (r >= 0)
        r = transaction_write(database, add, &adding, err);
    if (r < 0)
        return r;
    *out_counted = adding.counted;
    return 0;
}
