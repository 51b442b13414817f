/* SPDX-License-Identifier: MIT */
#include "server/db/transaction.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/driver.h"

int transaction_read(struct database *database, transaction_function *function, void *context,
                     struct error *err)
{
    return database->driver->transact(database, TRANSACTION_READ, function, context, err);
}

int transaction_write(struct database *database, transaction_function *function, void *context,
                      struct error *err)
{
    return database->driver->transact(database, TRANSACTION_WRITE, function, context, err);
}

int transaction_write_long(struct database *database, transaction_function *function, void *context,
                           struct error *err)
{
    return database->driver->transact(database, TRANSACTION_LONG, function, context, err);
}

int64_t transaction_now_s(const struct transaction *tx)
{
    return database_now_s(tx->database);
}

struct value value_null(void)
{
    return (struct value){ .kind = VALUE_NULL };
}

struct value value_integer(int64_t integer)
{
    return (struct value){ .kind = VALUE_INTEGER, .integer = integer };
}

struct value value_integer_or_null(int64_t integer)
{
    return integer == 0 ? value_null() : value_integer(integer);
}

struct value value_text(const char *text)
{
    if (text == NULL)
        return value_null();
    return (struct value){ .kind = VALUE_TEXT, .bytes = text, .size = strlen(text) };
}

struct value value_text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? value_null() : value_text(text);
}

struct value value_bytes(const void *bytes, size_t size)
{
    return (struct value){ .kind = VALUE_BYTES, .bytes = bytes, .size = size };
}

struct value value_digest(const struct digest *digest)
{
    return digest == NULL ? value_null() : value_bytes(digest->bytes, DIGEST_SIZE);
}

int transaction_run(struct transaction *tx, const char *sql, const struct value *values,
                    size_t count, struct error *err)
{
    assert(count <= VALUE_MAX);
    atomic_fetch_add_explicit(&tx->database->statements, 1, memory_order_relaxed);
    return tx->database->driver->run(tx, sql, values, count, err);
}

int transaction_run_many(struct transaction *tx, const char *sql, size_t row_count,
                         size_t value_count, transaction_fill *fill, void *context,
                         struct error *err)
{
    assert(value_count <= VALUE_MAX);
    atomic_fetch_add_explicit(&tx->database->statements, row_count, memory_order_relaxed);
    return tx->database->driver->run_many(tx, sql, row_count, value_count, fill, context, err);
}

int transaction_script(struct transaction *tx, const char *text, struct error *err)
{
    return tx->database->driver->script(tx, text, err);
}

int transaction_query(struct transaction *tx, const char *sql, const struct value *values,
                      size_t count, struct rows *out_rows, struct error *err)
{
    assert(count <= VALUE_MAX && out_rows->tx == NULL);
    atomic_fetch_add_explicit(&tx->database->statements, 1, memory_order_relaxed);
    return tx->database->driver->query(tx, sql, values, count, out_rows, err);
}

int rows_next(struct rows *rows, struct error *err)
{
    return rows->tx->database->driver->next(rows, err);
}

void rows_release(struct rows *rows)
{
    if (rows->tx != NULL)
        rows->tx->database->driver->release(rows);
    *rows = (struct rows){ 0 };
}

bool rows_is_null(struct rows *rows, unsigned column)
{
    return rows->tx->database->driver->is_null(rows, column);
}

int64_t rows_integer(struct rows *rows, unsigned column)
{
    return rows->tx->database->driver->integer(rows, column);
}

struct span rows_bytes(struct rows *rows, unsigned column)
{
    return rows->tx->database->driver->bytes(rows, column);
}

int rows_text(struct rows *rows, unsigned column, char *out, size_t size, struct error *err)
{
    struct span text = rows_bytes(rows, column);

    if (text.size >= size)
        return error_set(err, -EBADMSG, "the database has a text of %zu bytes where %zu fit",
                         text.size, size - 1);
    if (text.size > 0)
        memcpy(out, text.bytes, text.size);
    out[text.size] = '\0';
    return 0;
}

int rows_text_copy(struct rows *rows, unsigned column, char **out, struct error *err)
{
    struct span text;
    char *copy;

    if (rows_is_null(rows, column)) {
        *out = NULL;
        return 0;
    }
    text = rows_bytes(rows, column);
    copy = memory_copy(text.bytes, text.size);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = copy;
    return 0;
}

int rows_digest(struct rows *rows, unsigned column, struct digest *out, struct error *err)
{
    struct span bytes;

    if (rows_is_null(rows, column)) {
        *out = (struct digest){ 0 };
        return 0;
    }
    bytes = rows_bytes(rows, column);
    if (bytes.size != DIGEST_SIZE)
        return error_set(err, -EBADMSG, "the database has a digest of %zu bytes", bytes.size);
    memcpy(out->bytes, bytes.bytes, DIGEST_SIZE);
    return 0;
}

int transaction_integer(struct transaction *tx, const char *sql, const struct value *values,
                        size_t count, int64_t *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, sql, values, count, &rows, err);

    if (r < 0)
        return r;
    r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no such row");
    *out = rows_integer(&rows, 0);
    return 0;
}

struct alone {
    const char *sql;
    const struct value *values;
    size_t value_count;
    int changed;
};

static int run_alone(struct transaction *tx, void *context, struct error *err)
{
    struct alone *alone = context;

    alone->changed = transaction_run(tx, alone->sql, alone->values, alone->value_count, err);
    return alone->changed;
}

int transaction_run_alone(struct database *database, const char *sql, const struct value *values,
                          size_t count, struct error *err)
{
    struct alone alone = { .sql = sql, .values = values, .value_count = count };
    int r = transaction_write(database, run_alone, &alone, err);

    return r < 0 ? r : alone.changed;
}

int rows_read(struct rows *rows, const struct row_shape *shape, size_t limit, void *items,
              size_t *out_count, struct error *err)
{
    size_t count = 0;
    int r = 0;

    while (r >= 0 && count < limit && (r = rows_next(rows, err)) > 0) {
        r = shape->read(rows, (char *)items + count * shape->size, err);
        count++;
    }
    *out_count = count;
    return r < 0 ? r : 0;
}

struct listing {
    const char *sql;
    const struct value *values;
    size_t value_count;
    const struct row_shape *shape;
    size_t limit;
    char *items;
    size_t count;
};

static void listing_clear(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (listing->shape->release != NULL)
            listing->shape->release(listing->items + i * listing->shape->size);
    }
    memset(listing->items, 0, listing->count * listing->shape->size);
    listing->count = 0;
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int r = transaction_query(tx, listing->sql, listing->values, listing->value_count, &rows, err);

    listing_clear(listing);
    return r < 0 ? r
                 : rows_read(&rows, listing->shape, listing->limit, listing->items, &listing->count,
                             err);
}

int transaction_list(struct database *database, const char *sql, const struct value *values,
                     size_t count, const struct row_shape *shape, size_t limit, void **out_items,
                     size_t *out_count, struct error *err)
{
    struct listing listing = {
        .sql = sql, .values = values, .value_count = count, .shape = shape, .limit = limit
    };
    int r;

    listing.items = memory_array(limit, shape->size);
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0)
        listing_clear(&listing);
    if (r < 0 || listing.count == 0)
        listing.items = memory_free(listing.items);
    if (r < 0)
        return r;
    *out_items = listing.items;
    *out_count = listing.count;
    return 0;
}
