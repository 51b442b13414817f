/* SPDX-License-Identifier: MIT */
#include "server/db/push_holds.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "server/db/blob_rows.h"
#include "server/db/push_rows.h"

struct wanting {
    int64_t number;
    const struct blob_scope *scope;
    int64_t app_id, project_id; /* of the scope; 0: everything */
    const struct blob_want *wants;
    size_t count;
    const unsigned char *random; /* 8 bytes for each */
    bool *missing;
    bool *held; /* the push has the i-th by now */
};

/* The scope's rows, -1 (which nothing has) when there are none yet. */
static int scope_resolve(struct transaction *tx, struct wanting *self, struct error *err)
{
    const struct blob_scope *scope = self->scope;
    int r = 0;

    self->project_id = 0;
    self->app_id = 0;
    if (scope->project == NULL)
        return 0;
    r = transaction_integer(tx, "SELECT id FROM projects WHERE name = $1",
                            VALUES(value_text(scope->project)), &self->project_id, err);
    if (r >= 0 && scope->app != NULL)
        r = transaction_integer(tx, "SELECT id FROM apps WHERE project_id = $1 AND name = $2",
                                VALUES(value_integer(self->project_id), value_text(scope->app)),
                                &self->app_id, err);
    if (r == -ENOENT) {
        self->project_id = -1;
        self->app_id = scope->app == NULL ? 0 : -1;
        r = 0;
    }
    return r;
}

/* What is there, and what the token may know of it: $2 is the token, $3 the scope's row, 0 for
 * everything. */
#define IS_THERE " AND b.state <> 'uploading' AND b.state IN ('live', 'condemned') AND "
#define HAS_EDGE "(EXISTS (SELECT 1 FROM version_blobs e WHERE e.blob_id = b.id AND "
/* What the token sent itself, in a push that still lives. */
#define OR_WAS_SENT                                                              \
    ") OR EXISTS (SELECT 1 FROM push_blobs h JOIN pushes s ON s.number = h.push" \
    " WHERE h.blob_id = b.id AND h.sent = 1 AND s.token_id = $2))"

#define KNOWN_EVERYWHERE IS_THERE HAS_EDGE "$3 = 0" OR_WAS_SENT
#define KNOWN_IN_PROJECT \
    IS_THERE HAS_EDGE "e.app_id IN (SELECT a.id FROM apps a WHERE a.project_id = $3)" OR_WAS_SENT
#define KNOWN_IN_APP IS_THERE HAS_EDGE "e.app_id = $3" OR_WAS_SENT

#define FIND "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1"
/* $1: digests, one behind the other. One statement for all: each one costs more than its row. */
#define HOLD                                                                   \
    "WITH RECURSIVE w (place) AS (SELECT 0 UNION ALL SELECT place + 32 FROM w" \
    " WHERE place + 32 < length($1))"                                          \
    " INSERT INTO push_blobs (push, sha256, size, blob_id, sent)"              \
    " SELECT $4, b.sha256, b.size, b.id, 0 FROM w CROSS JOIN blobs b"          \
    " WHERE b.sha256 = substr($1, w.place + 1, 32)"
#define ONCE " ON CONFLICT DO NOTHING"

enum scope_kind { SCOPE_EVERYTHING, SCOPE_PROJECT, SCOPE_APP };

static const struct {
    const char *find, *hold;
} known_texts[] = {
    [SCOPE_EVERYTHING] = { FIND KNOWN_EVERYWHERE, HOLD KNOWN_EVERYWHERE ONCE },
    [SCOPE_PROJECT] = { FIND KNOWN_IN_PROJECT, HOLD KNOWN_IN_PROJECT ONCE },
    [SCOPE_APP] = { FIND KNOWN_IN_APP, HOLD KNOWN_IN_APP ONCE },
};

static enum scope_kind scope_kind(const struct wanting *self)
{
    if (self->app_id != 0)
        return SCOPE_APP;
    return self->project_id != 0 ? SCOPE_PROJECT : SCOPE_EVERYTHING;
}

static struct value scope_value(const struct wanting *self)
{
    return value_integer(self->app_id != 0 ? self->app_id : self->project_id);
}

/* 1 and a blob that is there and that the token may know about, or 0. */
static int known_find(struct transaction *tx, const struct wanting *self,
                      const struct digest *sha256, struct blob *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, known_texts[scope_kind(self)].find,
                              VALUES(value_digest(sha256), value_text(self->scope->token_id),
                                     scope_value(self)),
                              &rows, err);

    return r < 0 ? r : blob_next(&rows, out, err);
}

int push_hold_find(struct transaction *tx, int64_t push_number, const struct digest *sha256,
                   struct blob *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          "SELECT " BLOB_COLUMNS " FROM push_blobs h"
                          " JOIN blobs b ON b.id = h.blob_id WHERE h.push = $1 AND h.sha256 = $2",
                          VALUES(value_integer(push_number), value_digest(sha256)), &rows, err);

    return r < 0 ? r : blob_next(&rows, out, err);
}

static int hold_add(struct transaction *tx, int64_t number, const struct digest *sha256,
                    uint64_t size, int64_t blob_id, bool sent, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO push_blobs (push, sha256, size, blob_id, sent)"
                           " VALUES ($1, $2, $3, $4, $5)",
                           VALUES(value_integer(number), value_digest(sha256),
                                  value_integer((int64_t)size), value_integer(blob_id),
                                  value_integer(sent)),
                           err);
}

static int size_check(const struct blob *blob, const struct blob_want *want, struct error *err)
{
    char hex[DIGEST_HEX_SIZE];

    if (blob->size == want->size)
        return 0;
    digest_hex(&want->sha256, hex);
    return error_set(err, -EINVAL, "blob %s has not %" PRIu64 " bytes", hex, want->size);
}

/* A row of its own for bytes that are to be sent. */
static int begin_one(struct transaction *tx, const struct wanting *self, size_t index,
                     struct error *err)
{
    const struct blob_want *want = &self->wants[index];
    int64_t id;
    int r = blob_begin(tx, &want->sha256, want->size, self->random + 8 * index, &id, err);

    self->missing[index] = true;
    return r < 0 ? r : hold_add(tx, self->number, &want->sha256, want->size, id, true, err);
}

static int want_one(struct transaction *tx, const struct wanting *self, size_t index,
                    struct error *err)
{
    const struct blob_want *want = &self->wants[index];
    struct blob blob;
    int r = push_hold_find(tx, self->number, &want->sha256, &blob, err);

    if (r == 0) {
        r = known_find(tx, self, &want->sha256, &blob, err);
        if (r > 0 && blob.size == want->size)
            r = hold_add(tx, self->number, &want->sha256, want->size, blob.id, false, err);
    }
    if (r < 0)
        return r;
    if (r > 0) {
        self->missing[index] = blob.state != BLOB_LIVE && blob.state != BLOB_CONDEMNED;
        return size_check(&blob, want, err);
    }
    return begin_one(tx, self, index, err);
}

static bool is_ascending(const struct wanting *self)
{
    for (size_t i = 1; i < self->count; i++) {
        if (digest_compare(&self->wants[i - 1].sha256, &self->wants[i].sha256) >= 0)
            return false;
    }
    return self->count > 1;
}

static int hold_known(struct transaction *tx, const struct wanting *self, struct error *err)
{
    cleanup_memory struct digest *digests = memory_array(self->count, sizeof(*digests));

    if (digests == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < self->count; i++)
        digests[i] = self->wants[i].sha256;
    return transaction_run(tx, known_texts[scope_kind(self)].hold,
                           VALUES(value_bytes(digests, self->count * sizeof(*digests)),
                                  value_text(self->scope->token_id), scope_value(self),
                                  value_integer(self->number)),
                           err);
}

/* A blob that the push has: the wants stand in the same order. */
static int note_held(const struct wanting *self, const struct blob *blob, size_t *at,
                     struct error *err)
{
    int order = -1;

    while (*at < self->count &&
           (order = digest_compare(&self->wants[*at].sha256, &blob->sha256)) < 0)
        (*at)++;
    if (*at == self->count || order > 0)
        return 0;
    self->held[*at] = true;
    self->missing[*at] = blob->state != BLOB_LIVE && blob->state != BLOB_CONDEMNED;
    return size_check(blob, &self->wants[*at], err);
}

static int look_at_held(struct transaction *tx, const struct wanting *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct blob blob;
    size_t at = 0;
    int r =
        transaction_query(tx,
                          "SELECT h.sha256, b.size, b.state FROM push_blobs h"
                          " JOIN blobs b ON b.id = h.blob_id WHERE h.push = $1"
                          " AND h.sha256 BETWEEN $2 AND $3 ORDER BY h.sha256",
                          VALUES(value_integer(self->number), value_digest(&self->wants[0].sha256),
                                 value_digest(&self->wants[self->count - 1].sha256)),
                          &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = rows_digest(&rows, 0, &blob.sha256, err);
        blob.size = (uint64_t)rows_integer(&rows, 1);
        if (r >= 0)
            r = blob_state_parse(rows_bytes(&rows, 2), &blob.state, err);
        if (r >= 0)
            r = note_held(self, &blob, &at, err);
    }
    return r;
}

/* In ascending order: what is known in one statement, then what is not. */
static int want_together(struct transaction *tx, const struct wanting *self, struct error *err)
{
    int r;

    memset(self->held, 0, self->count * sizeof(*self->held));
    r = hold_known(tx, self, err);
    if (r >= 0)
        r = look_at_held(tx, self, err);
    for (size_t i = 0; i < self->count && r >= 0; i++) {
        if (!self->held[i])
            r = begin_one(tx, self, i, err);
    }
    return r;
}

static int want_each(struct transaction *tx, const struct wanting *self, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < self->count && r >= 0; i++)
        r = want_one(tx, self, i, err);
    return r;
}

/* Of what was wanted. */
static int reprieve(struct transaction *tx, const struct wanting *self, struct error *err)
{
    const struct digest *first = &self->wants[0].sha256, *last = first;

    for (size_t i = 1; i < self->count; i++) {
        const struct digest *digest = &self->wants[i].sha256;

        if (digest_compare(digest, first) < 0)
            first = digest;
        if (digest_compare(digest, last) > 0)
            last = digest;
    }
    return blob_reprieve(tx, self->number, first, last, err);
}

/* First the holds, then, in a later statement, a look at the state of what is held. */
static int want_all(struct transaction *tx, void *context, struct error *err)
{
    struct wanting *self = context;
    int r = push_require_alive(tx, self->number, err);

    if (r >= 0)
        r = scope_resolve(tx, self, err);
    if (r >= 0)
        r = is_ascending(self) ? want_together(tx, self, err) : want_each(tx, self, err);
    return r < 0 || self->count == 0 ? r : reprieve(tx, self, err);
}

static int random_fill(unsigned char *out, size_t size, struct error *err)
{
    int r = 0;

    for (size_t at = 0; at < size && r >= 0; at += 256)
        r = random_bytes(out + at, size - at < 256 ? size - at : 256, err);
    return r;
}

int push_blobs_want(struct database *database, int64_t push_number, const struct blob_scope *scope,
                    const struct blob_want *wants, size_t count, bool *out_missing,
                    struct error *err)
{
    cleanup_memory unsigned char *random = memory_array(count, 8);
    cleanup_memory bool *held = memory_array(count, sizeof(*held));
    struct wanting self = { .number = push_number,
                            .scope = scope,
                            .wants = wants,
                            .count = count,
                            .random = random,
                            .missing = out_missing,
                            .held = held };
    int r;

    assert(count <= PUSH_WANT_MAX);
    if (random == NULL || held == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = random_fill(random, 8 * count, err);
    if (r < 0)
        return r;
    if (count > 256)
        return transaction_write_long(database, want_all, &self, err);
    return transaction_write(database, want_all, &self, err);
}

struct holding {
    struct wanting wanting;
    const struct digest *sha256;
    struct blob blob;
};

static int hold_one(struct transaction *tx, void *context, struct error *err)
{
    struct holding *self = context;
    struct wanting *wanting = &self->wanting;
    int r = push_require_alive(tx, wanting->number, err);

    if (r >= 0)
        r = scope_resolve(tx, wanting, err);
    if (r >= 0)
        r = push_hold_find(tx, wanting->number, self->sha256, &self->blob, err);
    if (r == 0) {
        r = known_find(tx, wanting, self->sha256, &self->blob, err);
        if (r > 0)
            r = hold_add(tx, wanting->number, self->sha256, self->blob.size, self->blob.id, false,
                         err);
    }
    if (r >= 0)
        r = blob_reprieve(tx, wanting->number, self->sha256, self->sha256, err);
    if (r >= 0)
        r = push_hold_find(tx, wanting->number, self->sha256, &self->blob, err);
    if (r < 0)
        return r;
    return r > 0 && self->blob.state == BLOB_LIVE ? 0
                                                  : error_set(err, -ENOENT, "no such blob here");
}

int push_blob_hold(struct database *database, int64_t push_number, const struct blob_scope *scope,
                   const struct digest *sha256, struct blob *out, struct error *err)
{
    struct holding self = { .wanting = { .number = push_number, .scope = scope },
                            .sha256 = sha256 };
    int r = transaction_write(database, hold_one, &self, err);

    if (r >= 0)
        *out = self.blob;
    return r;
}

int push_hold_renew(struct transaction *tx, int64_t push_number, const struct digest *sha256,
                    uint64_t size, const unsigned char random[8], struct error *err)
{
    int64_t id;
    int r = blob_begin(tx, sha256, size, random, &id, err);

    if (r < 0)
        return r;
    return transaction_run(tx,
                           "UPDATE push_blobs SET blob_id = $3, sent = 1, received = 0, hash = NULL"
                           " WHERE push = $1 AND sha256 = $2",
                           VALUES(value_integer(push_number), value_digest(sha256),
                                  value_integer(id)),
                           err);
}
