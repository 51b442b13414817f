/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>

#include "server/db/database.h"
#include "server/db/transaction.h"

/*
 * driver - what a database backend provides. transaction.h has the contract of
 * each call; the wrappers there check what is common.
 */
enum epoch_kind {
    EPOCH_TOKENS,   /* database_epoch() */
    EPOCH_VERSIONS, /* database_version_epoch() */
    EPOCH_KINDS,
};

struct driver {
    const char *name; /* the word before the colon of a location */

    /* `location` is what stands behind the colon. Opened, checked and migrated, or an error. */
    int (*open)(const char *location, const struct database_options *options,
                struct database **out_database, struct error *err);
    void (*close)(struct database *database);

    int (*transact)(struct database *database, enum transaction_kind kind,
                    transaction_function *function, void *context, struct error *err);

    int (*run)(struct transaction *tx, const char *sql, const struct value *values, size_t count,
               struct error *err);
    int (*run_many)(struct transaction *tx, const char *sql, size_t row_count, size_t value_count,
                    transaction_fill *fill, void *context, struct error *err);
    /* Several statements without parameters, as in a migration. */
    int (*script)(struct transaction *tx, const char *text, struct error *err);

    int (*query)(struct transaction *tx, const char *sql, const struct value *values, size_t count,
                 struct rows *out_rows, struct error *err);
    int (*next)(struct rows *rows, struct error *err);
    bool (*is_null)(struct rows *rows, unsigned column);
    int64_t (*integer)(struct rows *rows, unsigned column);
    struct span (*bytes)(struct rows *rows, unsigned column);
    void (*release)(struct rows *rows);

    /* database_snapshot(). */
    int (*snapshot)(struct database *database, const char *path, database_go_on *go_on,
                    void *context, struct error *err);

    /* The second one counts up, called after the commit that it tells of. */
    uint64_t (*epoch)(struct database *database, enum epoch_kind kind);
    void (*epoch_advance)(struct database *database, enum epoch_kind kind);
    void (*count)(struct database *database, struct database_counts *out);
};

extern const struct driver driver_sqlite;

/* First member of every backend's own struct. */
struct database {
    const struct driver *driver;
    int64_t (*now_s)(void);
    atomic_uint_fast64_t statements; /* run so far */
};

/* Runs a migration's text. */
int transaction_script(struct transaction *tx, const char *text, struct error *err);

/* After a committed change of a token, and of a version's state. */
void database_epoch_advance(struct database *database);
void database_version_epoch_advance(struct database *database);
