/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct database;
struct error;

/*
 * transaction - statements, run together or not at all. For the entities of this folder.
 *
 * A transaction is a function that is handed to transaction_read() or
 * transaction_write() and that runs statements with literal SQL texts and `$n`
 * parameters (at most VALUE_MAX). When it returns a negative number everything it
 * did is undone, and that number is the result; else the result is 0, after the
 * commit, which is durable. Rules for such functions:
 *
 *   - it may be run on another thread than the caller's, who waits;
 *   - it may be run again from the start when the commit had to be repeated, so
 *     it sets its outputs afresh each time and has no other effect;
 *   - a write takes the database for itself: nothing slow that is not a statement.
 *
 * SQL texts are literals: prepared statements are kept by their text. What both
 * backends understand is written once.
 */
struct transaction {
    struct database *database;
    void *state; /* the backend's connection */
};

typedef int transaction_function(struct transaction *tx, void *context, struct error *err);

enum transaction_kind {
    TRANSACTION_READ,
    TRANSACTION_WRITE, /* shares its commit with others that wait at the same time */
    TRANSACTION_LONG,  /* a write of very many rows: has its commit alone */
};

int transaction_read(struct database *database, transaction_function *function, void *context,
                     struct error *err);
int transaction_write(struct database *database, transaction_function *function, void *context,
                      struct error *err);
int transaction_write_long(struct database *database, transaction_function *function, void *context,
                           struct error *err);

/* Seconds since 1970, as the database's options say. */
int64_t transaction_now_s(const struct transaction *tx);

#define VALUE_MAX 24

enum value_kind { VALUE_NULL, VALUE_INTEGER, VALUE_TEXT, VALUE_BYTES };

/* A parameter. Its bytes must live until the statement has run, or its rows are released. */
struct value {
    enum value_kind kind;
    int64_t integer;
    const void *bytes;
    size_t size;
};

struct value value_null(void);
struct value value_integer(int64_t integer);
struct value value_integer_or_null(int64_t integer); /* 0: NULL */
struct value value_text(const char *text);           /* NULL: NULL */
struct value value_text_or_null(const char *text);   /* NULL or "": NULL */
struct value value_bytes(const void *bytes, size_t size);
struct value value_digest(const struct digest *digest); /* NULL: NULL */

/* VALUES(value_integer(1), value_text("x")): two arguments, the array and its count. */
#define VALUES(...)                        \
    (const struct value[]){ __VA_ARGS__ }, \
        sizeof((const struct value[]){ __VA_ARGS__ }) / sizeof(struct value)
#define NO_VALUES NULL, 0

/* Runs a statement that gives no rows. The number of rows it changed (at most INT_MAX), or an
 * error. */
int transaction_run(struct transaction *tx, const char *sql, const struct value *values,
                    size_t count, struct error *err);

/* The same statement for many rows: `fill` sets the values of the index-th. Stops at the first
 * error. */
typedef void transaction_fill(void *context, size_t index, struct value *values);
int transaction_run_many(struct transaction *tx, const char *sql, size_t row_count,
                         size_t value_count, transaction_fill *fill, void *context,
                         struct error *err);

/*
 * Rows of a statement, one after the other:
 *     cleanup(rows_release) struct rows rows = {0};
 *     r = transaction_query(tx, "SELECT ...", VALUES(...), &rows, err);
 *     while (r >= 0 && (r = rows_next(&rows, err)) > 0) ...
 */
struct rows {
    struct transaction *tx;
    void *state;
};

int transaction_query(struct transaction *tx, const char *sql, const struct value *values,
                      size_t count, struct rows *out_rows, struct error *err);
int rows_next(struct rows *rows, struct error *err); /* 1: there is one; 0: no more */
void rows_release(struct rows *rows);                /* twice is fine */

/* Of the row that rows_next() came to; columns from 0. */
bool rows_is_null(struct rows *rows, unsigned column);
int64_t rows_integer(struct rows *rows, unsigned column);   /* NULL: 0 */
struct span rows_bytes(struct rows *rows, unsigned column); /* text or bytes, until the next row */

/* Into an array of `size` bytes, terminated; NULL gives "". Longer than that: -EBADMSG. */
int rows_text(struct rows *rows, unsigned column, char *out, size_t size, struct error *err);
/* A copy, memory_free() it; NULL for NULL. */
int rows_text_copy(struct rows *rows, unsigned column, char **out, struct error *err);
/* 32 bytes, or NULL, which gives zeros; else -EBADMSG. */
int rows_digest(struct rows *rows, unsigned column, struct digest *out, struct error *err);

/* The first row's only integer. No row: -ENOENT without words; NULL: 0. */
int transaction_integer(struct transaction *tx, const char *sql, const struct value *values,
                        size_t count, int64_t *out, struct error *err);

/* ------------------------------------------------------------ alone */

/* One statement that gives no rows, as a transaction of its own. The number of rows it changed, or
 * an error. */
int transaction_run_alone(struct database *database, const char *sql, const struct value *values,
                          size_t count, struct error *err);

/* What the items of a list are. */
struct row_shape {
    size_t size;
    /* *out_item is zeroes before. */
    int (*read)(struct rows *rows, void *out_item, struct error *err);
    void (*release)(void *item); /* also of one half read; NULL: an item owns nothing */
};

/* The rest of the rows, at most `limit`, into an array that has room for them; *out_count of them
 * also on failure, the last of which may be half read. */
int rows_read(struct rows *rows, const struct row_shape *shape, size_t limit, void *items,
              size_t *out_count, struct error *err);

/* A list that is one statement, as a read of its own: at most `limit` items, an array to
 * memory_free() (what its items own before), NULL when *out_count is 0. */
int transaction_list(struct database *database, const char *sql, const struct value *values,
                     size_t count, const struct row_shape *shape, size_t limit, void **out_items,
                     size_t *out_count, struct error *err);
