/* SPDX-License-Identifier: MIT */
#include "server/db/channels.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/db/places.h"
#include "server/db/version_rows.h"

#define DATA_MAX ((size_t)64 << 10)

#define CHANNEL_SELECT                                                                    \
    "SELECT c.name, v.name, v.state <> 'ready', before.name, c.updated_at, c.updated_by," \
    " c.version_id, c.previous_id FROM channels c JOIN versions v ON v.id = c.version_id" \
    " LEFT JOIN versions before ON before.id = c.previous_id "

struct moving {
    const struct promotion *promotion;
    bool back;
    int64_t app_id;
    int64_t current_id, previous_id; /* of the channel; 0: none */
    struct version found;
    struct promotion_result result;
};

static int channel_read(struct rows *rows, struct channel *out, struct error *err)
{
    int r = rows_text(rows, 0, out->name, sizeof(out->name), err);

    if (r >= 0)
        r = rows_text(rows, 1, out->version, sizeof(out->version), err);
    if (r >= 0)
        r = rows_text(rows, 3, out->previous, sizeof(out->previous), err);
    if (r >= 0)
        r = rows_text(rows, 5, out->updated_by, sizeof(out->updated_by), err);
    out->trashed = rows_integer(rows, 2) != 0;
    out->updated_at_s = rows_integer(rows, 4);
    return r;
}

/* As it stands now into the result. */
static int channel_look(struct transaction *tx, struct moving *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct channel *channel = &self->result.channel;
    const char *name = self->promotion->channel;
    int r = transaction_query(tx, CHANNEL_SELECT "WHERE c.app_id = $1 AND c.name = $2",
                              VALUES(value_integer(self->app_id), value_text(name)), &rows, err);

    *channel = (struct channel){ 0 };
    self->current_id = self->previous_id = 0;
    if (r >= 0)
        r = rows_next(&rows, err);
    if (r > 0) {
        self->current_id = rows_integer(&rows, 6);
        self->previous_id = rows_integer(&rows, 7);
        return channel_read(&rows, channel, err);
    }
    memcpy(channel->name, name, strnlen(name, sizeof(channel->name) - 1));
    return r;
}

static int find_on_channel(struct transaction *tx, struct moving *self, const char *channel,
                           struct error *err)
{
    int64_t id;
    int r =
        transaction_integer(tx, "SELECT version_id FROM channels WHERE app_id = $1 AND name = $2",
                            VALUES(value_integer(self->app_id), value_text(channel)), &id, err);

    if (r == -ENOENT)
        return error_set(err, r, "nothing is on channel %s", channel);
    return r < 0 ? r : version_find_id(tx, id, &self->found, err);
}

/* 1: there is nothing to go back to. */
static int find(struct transaction *tx, struct moving *self, struct error *err)
{
    const struct promotion *promotion = self->promotion;
    int r;

    version_release(&self->found);
    if (promotion->from_channel != NULL)
        r = find_on_channel(tx, self, promotion->from_channel, err);
    else if (promotion->version != NULL)
        r = version_find_named(tx, promotion->project, promotion->app, promotion->version,
                               &self->found, err);
    else if (self->previous_id == 0)
        return 1;
    else
        r = version_find_id(tx, self->previous_id, &self->found, err);
    if (r < 0)
        return r;
    if (self->found.state == VERSION_PURGING)
        return error_set(err, -ESTALE, "version %s is being purged", self->found.name);
    if (self->found.state == VERSION_TRASHED)
        return error_set(err, -ENOENT, "version %s is in the trash", self->found.name);
    return 0;
}

/* Whoever may promote makes channels; no app gets so many that nobody can list them. */
static int count_channels(struct transaction *tx, struct moving *self, struct error *err)
{
    int64_t count = 0;
    int r = 0;

    if (self->current_id == 0)
        r = transaction_integer(tx, "SELECT count(*) FROM channels WHERE app_id = $1",
                                VALUES(value_integer(self->app_id)), &count, err);
    return r < 0 ? r : count >= CHANNELS_MAX;
}

static int point(struct transaction *tx, struct moving *self, struct error *err)
{
    return transaction_run(
        tx,
        "INSERT INTO channels (app_id, name, version_id, previous_id, updated_at, updated_by)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (app_id, name) DO UPDATE SET"
        " version_id = excluded.version_id, previous_id = excluded.previous_id,"
        " updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        VALUES(value_integer(self->app_id), value_text(self->promotion->channel),
               value_integer(self->found.id), value_integer_or_null(self->current_id),
               value_integer(transaction_now_s(tx)), value_text(self->promotion->by.name)),
        err);
}

static int tell(struct transaction *tx, const struct moving *self, const char *previous,
                struct error *err)
{
    const struct promotion *promotion = self->promotion;
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = self->back ? "version.rollback" : "version.promote",
                       .event = self->back ? "version.rolled-back" : "version.promoted",
                       .project = promotion->project,
                       .app = promotion->app,
                       .version = self->found.name };
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "channel", promotion->channel);
    json_text(&writer, "previous", previous[0] != '\0' ? previous : NULL);
    json_text(&writer, "note", promotion->note);
    json_end(&writer);
    buf_add_byte(&data, 0);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = (const char *)data.bytes;
    return act_write(tx, &promotion->by, &act, err);
}

/* Also of one that did not exist, where there is nothing before. */
static int remember(struct transaction *tx, struct moving *self, struct error *err)
{
    const struct promotion *promotion = self->promotion;
    const char *previous = self->result.channel.version;
    int r = transaction_run(
        tx,
        "INSERT INTO promotions (app_id, channel, action, version, previous, actor, note, at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        VALUES(value_integer(self->app_id), value_text(promotion->channel),
               value_text(self->back ? "rollback" : "promote"), value_text(self->found.name),
               value_text_or_null(previous), value_text(promotion->by.name),
               value_text(promotion->note), value_integer(transaction_now_s(tx))),
        err);

    return r < 0 ? r : tell(tx, self, previous, err);
}

static int answer(struct moving *self, enum promotion_answer answer)
{
    self->result.answer = answer;
    return 0;
}

static bool is_expected(const struct moving *self)
{
    const char *expect = self->promotion->expect;

    return expect == NULL || strcmp(expect, self->result.channel.version) == 0;
}

static int move(struct transaction *tx, void *context, struct error *err)
{
    struct moving *self = context;
    const struct promotion *promotion = self->promotion;
    int r = place_check(tx, promotion->project, promotion->app, err);

    if (r >= 0)
        r = place_find_app(tx, promotion->project, promotion->app, &self->app_id, err);
    if (r >= 0)
        r = channel_look(tx, self, err);
    if (r >= 0)
        r = find(tx, self, err);
    if (r != 0)
        return r < 0 ? r : answer(self, PROMOTION_NO_PREVIOUS);
    if (!is_expected(self))
        return answer(self, PROMOTION_UNEXPECTED);
    if (self->current_id == self->found.id)
        return answer(self, PROMOTION_CURRENT);
    r = count_channels(tx, self, err);
    if (r != 0)
        return r < 0 ? r : answer(self, PROMOTION_TOO_MANY);
    r = point(tx, self, err);
    if (r >= 0)
        r = remember(tx, self, err);
    if (r >= 0)
        r = channel_look(tx, self, err);
    return r < 0 ? r : answer(self, PROMOTION_DONE);
}

static int run(struct database *database, struct moving *self, struct promotion_result *out,
               struct error *err)
{
    int r = transaction_write(database, move, self, err);

    version_release(&self->found);
    if (r == 0)
        *out = self->result;
    return r;
}

int channel_promote(struct database *database, const struct promotion *promotion,
                    struct promotion_result *out, struct error *err)
{
    struct moving self = { .promotion = promotion };

    return run(database, &self, out, err);
}

int channel_rollback(struct database *database, const struct promotion *promotion,
                     struct promotion_result *out, struct error *err)
{
    struct moving self = { .promotion = promotion, .back = true };

    return run(database, &self, out, err);
}

struct listing {
    const char *project, *app;
    int64_t version_id;
    struct channel *items;
    size_t count;
};

static int collect(struct transaction *tx, struct listing *listing, const char *sql, int64_t id,
                   struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct channel *items;
    int r = transaction_query(tx, sql, VALUES(value_integer(id), value_integer(CHANNELS_MAX)),
                              &rows, err);

    listing->count = 0;
    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        items = memory_resize(listing->items, listing->count + 1, sizeof(*items));
        if (items == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        listing->items = items;
        r = channel_read(&rows, &items[listing->count++], err);
    }
    return r;
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    struct listing *listing = context;
    int64_t app_id;
    int r = place_find_app(tx, listing->project, listing->app, &app_id, err);

    return r < 0
               ? r
               : collect(tx, listing, CHANNEL_SELECT "WHERE c.app_id = $1 ORDER BY c.name LIMIT $2",
                         app_id, err);
}

static int list_of(struct transaction *tx, void *context, struct error *err)
{
    struct listing *listing = context;

    return collect(tx, listing, CHANNEL_SELECT "WHERE c.version_id = $1 ORDER BY c.name LIMIT $2",
                   listing->version_id, err);
}

static int list_run(struct database *database, transaction_function *function,
                    struct listing *listing, struct channel **out_items, size_t *out_count,
                    struct error *err)
{
    int r = transaction_read(database, function, listing, err);

    if (r < 0) {
        memory_free(listing->items);
        return r;
    }
    if (listing->count == 0)
        listing->items = memory_free(listing->items);
    *out_items = listing->items;
    *out_count = listing->count;
    return 0;
}

int channel_list(struct database *database, const char *project, const char *app,
                 struct channel **out_items, size_t *out_count, struct error *err)
{
    struct listing listing = { .project = project, .app = app };

    return list_run(database, list, &listing, out_items, out_count, err);
}

int channel_list_of(struct database *database, int64_t version_id, struct channel **out_items,
                    size_t *out_count, struct error *err)
{
    struct listing listing = { .version_id = version_id };

    return list_run(database, list_of, &listing, out_items, out_count, err);
}
