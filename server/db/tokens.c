/* SPDX-License-Identifier: MIT */
#include "server/db/tokens.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/acts.h"
#include "server/db/driver.h"
#include "server/db/transaction.h"

#define TOKEN_COLUMNS \
    "id, hash, name, project, app, permissions, created_at, expires_at, revoked_at, last_used_at"
#define USE_INTERVAL_S 60

struct change {
    const struct token *token;
    const char *id;
    const struct actor *by;
    bool changed;
};

/* Which token, and who did it to it. */
static int tell(struct transaction *tx, const char *event, const char *operation,
                const struct token *token, const struct actor *by, struct error *err)
{
    char data[sizeof(token->id) + 16];
    const struct act act = { .operation = operation,
                             .event = event,
                             .project = token->project[0] == '\0' ? NULL : token->project,
                             .app = token->app[0] == '\0' ? NULL : token->app,
                             .data = data };

    snprintf(data, sizeof(data), "{\"token\":\"%s\"}", token->id);
    return act_write(tx, by, &act, err);
}

static int create(struct transaction *tx, void *context, struct error *err)
{
    struct change *change = context;
    const struct token *token = change->token;
    int r = transaction_run(
        tx,
        "INSERT INTO tokens (id, hash, name, project, app, permissions, created_at, created_by,"
        " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        VALUES(value_text(token->id), value_text(token->hash), value_text(token->name),
               value_text_or_null(token->project), value_text_or_null(token->app),
               value_integer(token->permissions), value_integer(transaction_now_s(tx)),
               value_text(change->by->name), value_integer_or_null(token->expires_at_s)),
        err);

    if (r == -EEXIST)
        return error_set(err, r, "token %s is there already", token->id);
    return r < 0 ? r : tell(tx, "token.created", "token.create", token, change->by, err);
}

int token_create(struct database *database, const struct token *token, const struct actor *by,
                 struct error *err)
{
    struct change change = { .token = token, .by = by };
    int r = transaction_write(database, create, &change, err);

    if (r >= 0)
        database_epoch_advance(database);
    return r;
}

static int token_read(struct rows *rows, struct token *out, struct error *err)
{
    int r = rows_text(rows, 0, out->id, sizeof(out->id), err);

    if (r >= 0)
        r = rows_text(rows, 1, out->hash, sizeof(out->hash), err);
    if (r >= 0)
        r = rows_text(rows, 2, out->name, sizeof(out->name), err);
    if (r >= 0)
        r = rows_text(rows, 3, out->project, sizeof(out->project), err);
    if (r >= 0)
        r = rows_text(rows, 4, out->app, sizeof(out->app), err);
    out->permissions = (uint32_t)rows_integer(rows, 5);
    out->created_at_s = rows_integer(rows, 6);
    out->expires_at_s = rows_integer(rows, 7);
    out->revoked_at_s = rows_integer(rows, 8);
    out->last_used_s = rows_integer(rows, 9);
    return r;
}

struct lookup {
    const char *id;
    struct token token;
};

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx, "SELECT " TOKEN_COLUMNS " FROM tokens WHERE id = $1",
                              VALUES(value_text(lookup->id)), &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no token %s", lookup->id);
    return token_read(&rows, &lookup->token, err);
}

int token_get(struct database *database, const char *id, struct token *out, struct error *err)
{
    struct lookup lookup = { .id = id };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.token;
    return 0;
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct buf *items = context;
    struct token token;
    int r;

    buf_clear(items);
    r = transaction_query(tx, "SELECT " TOKEN_COLUMNS " FROM tokens ORDER BY created_at DESC, id",
                          NO_VALUES, &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = token_read(&rows, &token, err);
        buf_add(items, &token, sizeof(token));
    }
    return r < 0 ? r : buf_check(items, err);
}

int token_list(struct database *database, struct token **out_items, size_t *out_count,
               struct error *err)
{
    cleanup(buf_release) struct buf items = buf_init(BUF_UNLIMITED);
    size_t count;
    int r = transaction_read(database, list, &items, err);

    if (r < 0)
        return r;
    count = items.size / sizeof(struct token);
    *out_items = count == 0 ? NULL : buf_take(&items);
    *out_count = count;
    return 0;
}

static int revoke(struct transaction *tx, void *context, struct error *err)
{
    struct change *change = context;
    struct lookup lookup = { .id = change->id };
    int r = get(tx, &lookup, err);

    change->changed = false;
    if (r < 0 || lookup.token.revoked_at_s != 0)
        return r;
    r = transaction_run(tx, "UPDATE tokens SET revoked_at = $2 WHERE id = $1",
                        VALUES(value_text(change->id), value_integer(transaction_now_s(tx))), err);
    if (r < 0)
        return r;
    change->changed = true;
    return tell(tx, "token.revoked", "token.revoke", &lookup.token, change->by, err);
}

int token_revoke(struct database *database, const char *id, const struct actor *by,
                 struct error *err)
{
    struct change change = { .id = id, .by = by };
    int r = transaction_write(database, revoke, &change, err);

    if (r >= 0 && change.changed)
        database_epoch_advance(database);
    return r;
}

static int use(struct transaction *tx, void *context, struct error *err)
{
    int64_t now_s = transaction_now_s(tx);

    return transaction_run(tx,
                           "UPDATE tokens SET last_used_at = $2"
                           " WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
                           VALUES(value_text(context), value_integer(now_s),
                                  value_integer(now_s - USE_INTERVAL_S)),
                           err);
}

int token_used(struct database *database, const char *id, struct error *err)
{
    struct lookup lookup = { .id = id };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0 || lookup.token.last_used_s >= database_now_s(database) - USE_INTERVAL_S)
        return r;
    return transaction_write(database, use, lookup.token.id, err);
}
