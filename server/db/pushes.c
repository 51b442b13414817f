/* SPDX-License-Identifier: MIT */
#include "server/db/pushes.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "common/codec/hex.h"
#include "server/db/database.h"
#include "server/db/driver.h"
#include "server/db/places.h"
#include "server/db/push_rows.h"
#include "server/db/version_rows.h"

#define RENEW_STEP_S 60

struct opening {
    const struct push_opening *request;
    char id[PUSH_ID_SIZE];
    struct push_result result;
};

void push_result_release(struct push_result *result)
{
    push_release(&result->push);
    version_release(&result->version);
    *result = (struct push_result){ 0 };
}

/* 1: answered; 0: a push is needed. */
static int answer_known(struct transaction *tx, struct opening *opening, struct error *err)
{
    const struct push_opening *request = opening->request;
    const struct push_name name = { request->project, request->app, request->version, 0 };
    struct push_result *result = &opening->result;
    int r;

    if (request->version == NULL || request->content == NULL)
        return 0;
    r = push_known(tx, &name, request->content, result, err);
    if (r <= 0 || result->answer != PUSH_ANSWER_EXISTS)
        return r;
    r = version_is_broken(tx, result->version.id, err);
    if (r > 0) {
        version_release(&result->version);
        return 0; /* what the store has lost of it is wanted */
    }
    if (r >= 0)
        r = version_restore_in(tx, &result->version, &request->by, err);
    return r < 0 ? r : 1;
}

static int push_insert(struct transaction *tx, struct opening *opening, int64_t app_id,
                       int64_t *out_number, struct error *err)
{
    const struct push_opening *request = opening->request;
    int64_t now_s = transaction_now_s(tx);

    return transaction_integer(
        tx,
        "INSERT INTO pushes (id, app_id, token_id, version, content, times, base, metadata,"
        " created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING "
        "number",
        VALUES(value_text(opening->id), value_integer(app_id), value_text(request->token_id),
               value_text(request->version), value_digest(request->content),
               value_digest(request->times), value_text(request->base),
               value_text(request->metadata), value_integer(now_s),
               value_integer(now_s + PUSH_LEASE_S)),
        out_number, err);
}

static int open_push(struct transaction *tx, void *context, struct error *err)
{
    struct opening *opening = context;
    const struct push_opening *request = opening->request;
    int64_t app_id;
    int64_t number;
    bool created;
    int r;

    push_result_release(&opening->result);
    r = place_check(tx, request->project, request->app, err);
    if (r >= 0)
        r = answer_known(tx, opening, err);
    if (r != 0)
        return r;
    r = place_app(tx, request->project, request->app, &request->by, &app_id, &created, err);
    if (r >= 0)
        r = push_insert(tx, opening, app_id, &number, err);
    if (r >= 0)
        r = push_find(tx, number, &opening->result.push, err);
    opening->result.answer = PUSH_ANSWER_OPENED;
    return r;
}

int push_open(struct database *database, const struct push_opening *request,
              struct push_result *out, struct error *err)
{
    struct opening opening = { .request = request };
    uint8_t random[16];
    int r = random_bytes(random, sizeof(random), err);

    if (r < 0)
        return r;
    hex_encode(random, sizeof(random), opening.id);
    r = transaction_write(database, open_push, &opening, err);
    if (r < 0) {
        push_result_release(&opening.result);
        return r;
    }
    if (opening.result.answer == PUSH_ANSWER_EXISTS)
        database_version_epoch_advance(database); /* it may have come out of the trash */
    *out = opening.result;
    return 0;
}

struct lookup {
    const char *project, *app, *id, *token_id;
    struct push push;
};

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx,
                              PUSH_SELECT "WHERE s.id = $1 AND s.token_id = $2 AND p.name = $3"
                                          " AND a.name = $4 AND s.expires_at > $5",
                              VALUES(value_text(lookup->id), value_text(lookup->token_id),
                                     value_text(lookup->project), value_text(lookup->app),
                                     value_integer(transaction_now_s(tx))),
                              &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    return r == 0 ? error_set(err, -ENOENT, "no such push") : push_read(&rows, &lookup->push, err);
}

int push_get(struct database *database, const char *project, const char *app, const char *id,
             const char *token_id, struct push *out, struct error *err)
{
    struct lookup lookup = { .project = project, .app = app, .id = id, .token_id = token_id };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0) {
        push_release(&lookup.push);
        return r;
    }
    *out = lookup.push;
    return 0;
}

struct renewal {
    int64_t number;
    int64_t expires_at_s;
};

static int renew(struct transaction *tx, void *context, struct error *err)
{
    struct renewal *renewal = context;
    int r =
        transaction_run(tx,
                        "UPDATE pushes SET expires_at = $2 WHERE number = $1 AND expires_at > $3",
                        VALUES(value_integer(renewal->number), value_integer(renewal->expires_at_s),
                               value_integer(transaction_now_s(tx))),
                        err);

    return r == 0 ? error_set(err, -ENOENT, "the push has ended") : r;
}

int push_renew(struct database *database, struct push *push, struct error *err)
{
    int64_t limit_s = push->created_at_s + PUSH_LIFE_S;
    struct renewal renewal = { .number = push->number,
                               .expires_at_s = database_now_s(database) + PUSH_LEASE_S };
    int r;

    if (renewal.expires_at_s > limit_s)
        renewal.expires_at_s = limit_s;
    if (renewal.expires_at_s < push->expires_at_s + RENEW_STEP_S)
        return 0;
    r = transaction_write(database, renew, &renewal, err);
    if (r >= 0)
        push->expires_at_s = renewal.expires_at_s;
    return r;
}

struct part_setting {
    int64_t number;
    enum push_part part;
    const struct digest *sha256;
};

/* Only a part that is not set, or the same again. */
static const char *const part_texts[] = {
    [PUSH_PART_LISTING] = "UPDATE pushes SET listing_blob_id = $2, content = $3"
                          " WHERE number = $1 AND coalesce(listing_blob_id, $2) = $2",
    [PUSH_PART_TIMES] = "UPDATE pushes SET times_blob_id = $2, times = $3"
                        " WHERE number = $1 AND coalesce(times_blob_id, $2) = $2",
    [PUSH_PART_TREE] = "UPDATE pushes SET tree_blob_id = $2"
                       " WHERE number = $1 AND coalesce(tree_blob_id, $2) = $2",
};

static int part_update(struct transaction *tx, const struct part_setting *setting, int64_t blob_id,
                       struct error *err)
{
    const struct value values[] = { value_integer(setting->number), value_integer(blob_id),
                                    value_digest(setting->sha256) };

    return transaction_run(tx, part_texts[setting->part], values,
                           setting->part == PUSH_PART_TREE ? 2 : 3, err);
}

static int part_set(struct transaction *tx, void *context, struct error *err)
{
    struct part_setting *setting = context;
    int64_t blob_id;
    int r = push_require_alive(tx, setting->number, err);

    if (r < 0)
        return r;
    r = transaction_integer(tx,
                            "SELECT b.id FROM push_blobs h JOIN blobs b ON b.id = h.blob_id"
                            " WHERE h.push = $1 AND h.sha256 = $2 AND b.state = 'live'",
                            VALUES(value_integer(setting->number), value_digest(setting->sha256)),
                            &blob_id, err);
    if (r == -ENOENT)
        return error_set(err, r, "the push does not hold that blob");
    if (r >= 0)
        r = part_update(tx, setting, blob_id, err);
    return r == 0 ? error_set(err, -EEXIST, "the push has another one already") : r;
}

int push_part_set(struct database *database, int64_t number, enum push_part part,
                  const struct digest *sha256, struct error *err)
{
    struct part_setting setting = { .number = number, .part = part, .sha256 = sha256 };

    return transaction_write(database, part_set, &setting, err);
}

static int abandon(struct transaction *tx, void *context, struct error *err)
{
    return push_end(tx, *(int64_t *)context, true, err);
}

int push_abandon(struct database *database, int64_t number, struct error *err)
{
    return transaction_write_long(database, abandon, &number, err);
}

struct expiry {
    size_t limit;
    size_t count;
};

static int expire_one(struct transaction *tx, int64_t now_s, struct error *err)
{
    int64_t number;
    int r = transaction_integer(tx,
                                "SELECT number FROM pushes WHERE expires_at <= $1"
                                " ORDER BY expires_at LIMIT 1",
                                VALUES(value_integer(now_s)), &number, err);

    return r < 0 ? r : push_end(tx, number, true, err);
}

static int expire(struct transaction *tx, void *context, struct error *err)
{
    struct expiry *expiry = context;
    int r = 0;

    for (expiry->count = 0; expiry->count < expiry->limit; expiry->count++) {
        r = expire_one(tx, transaction_now_s(tx), err);
        if (r < 0)
            break;
    }
    return r == -ENOENT ? 0 : r;
}

int push_expire(struct database *database, size_t limit, size_t *out_count, struct error *err)
{
    struct expiry expiry = { .limit = limit };
    int r = transaction_write_long(database, expire, &expiry, err);

    if (r >= 0)
        *out_count = expiry.count;
    return r;
}

static int open_count(struct transaction *tx, void *context, struct error *err)
{
    return transaction_integer(tx, "SELECT count(*) FROM pushes WHERE expires_at > $1",
                               VALUES(value_integer(transaction_now_s(tx))), context, err);
}

int push_open_count(struct database *database, uint64_t *out_count, struct error *err)
{
    int64_t count;
    int r = transaction_read(database, open_count, &count, err);

    if (r >= 0)
        *out_count = (uint64_t)count;
    return r;
}
