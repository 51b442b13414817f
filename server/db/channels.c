/* SPDX-License-Identifier: MIT */
#include "server/db/channels.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/events_outbox.h"
#include "server/db/places.h"
#include "server/db/version_rows.h"

struct promotion {
    const char *project, *app, *channel, *version, *expect, *actor;
    int64_t app_id;
    int64_t current_id; /* 0: none */
    char current[VERSION_NAME_SIZE];
    struct version found;
};

static int current_read(struct transaction *tx, struct promotion *promotion, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          "SELECT v.id, v.name FROM channels c JOIN versions v"
                          " ON v.id = c.version_id WHERE c.app_id = $1 AND c.name = $2",
                          VALUES(value_integer(promotion->app_id), value_text(promotion->channel)),
                          &rows, err);

    promotion->current_id = 0;
    promotion->current[0] = '\0';
    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    promotion->current_id = rows_integer(&rows, 0);
    return rows_text(&rows, 1, promotion->current, sizeof(promotion->current), err);
}

static int check(struct transaction *tx, struct promotion *promotion, struct error *err)
{
    int r = place_find_app(tx, promotion->project, promotion->app, &promotion->app_id, err);

    if (r >= 0)
        r = version_find(tx, promotion->app_id, promotion->version, &promotion->found, err);
    if (r < 0)
        return r;
    if (r == 0 || promotion->found.state != VERSION_READY)
        return error_set(err, -ENOENT, "no version \"%s\" to promote", promotion->version);
    r = current_read(tx, promotion, err);
    if (r < 0)
        return r;
    if (promotion->expect != NULL && strcmp(promotion->expect, promotion->current) != 0)
        return error_set(err, -EBUSY, "channel %s is at \"%s\", not at \"%s\"", promotion->channel,
                         promotion->current, promotion->expect);
    return 0;
}

static int point(struct transaction *tx, struct promotion *promotion, struct error *err)
{
    return transaction_run(
        tx,
        "INSERT INTO channels (app_id, name, version_id, previous_id, updated_at, updated_by)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (app_id, name) DO UPDATE SET"
        " version_id = excluded.version_id, previous_id = excluded.previous_id,"
        " updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        VALUES(value_integer(promotion->app_id), value_text(promotion->channel),
               value_integer(promotion->found.id), value_integer_or_null(promotion->current_id),
               value_integer(transaction_now_s(tx)), value_text(promotion->actor)),
        err);
}

static int remember(struct transaction *tx, struct promotion *promotion, struct error *err)
{
    struct event_draft event = { .type = "version.promoted",
                                 .project = promotion->project,
                                 .app = promotion->app,
                                 .version = promotion->version,
                                 .actor = promotion->actor };
    int r =
        transaction_run(tx,
                        "INSERT INTO promotions (app_id, channel, action, version, previous,"
                        " actor, at) VALUES ($1, $2, 'promote', $3, $4, $5, $6)",
                        VALUES(value_integer(promotion->app_id), value_text(promotion->channel),
                               value_text(promotion->version),
                               value_text_or_null(promotion->current), value_text(promotion->actor),
                               value_integer(transaction_now_s(tx))),
                        err);

    return r < 0 ? r : event_add(tx, &event, err);
}

static int promote(struct transaction *tx, void *context, struct error *err)
{
    struct promotion *promotion = context;
    int r = check(tx, promotion, err);

    if (r >= 0 && promotion->current_id == promotion->found.id)
        return 0;
    if (r >= 0)
        r = point(tx, promotion, err);
    return r < 0 ? r : remember(tx, promotion, err);
}

int channel_promote(struct database *database, const char *project, const char *app,
                    const char *channel, const char *version, const char *expect, const char *actor,
                    struct version *out, struct error *err)
{
    struct promotion promotion = { .project = project,
                                   .app = app,
                                   .channel = channel,
                                   .version = version,
                                   .expect = expect,
                                   .actor = actor };
    int r = transaction_write(database, promote, &promotion, err);

    if (r < 0 || out == NULL) {
        version_release(&promotion.found);
        return r;
    }
    *out = promotion.found;
    return 0;
}
