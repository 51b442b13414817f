/* SPDX-License-Identifier: MIT */
#include "server/db/database.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "server/db/driver.h"

static const struct driver *const drivers[] = { &driver_sqlite };

int database_open(const struct database_options *options, struct database **out_database,
                  struct error *err)
{
    const char *colon = strchr(options->location, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - options->location);
    struct database *database;
    int r;

    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strlen(drivers[i]->name) != size ||
            memcmp(drivers[i]->name, options->location, size) != 0)
            continue;
        r = drivers[i]->open(colon + 1, options, &database, err);
        if (r < 0)
            return r;
        *out_database = database;
        return 0;
    }
    return error_set(err, -EINVAL, "unknown database \"%s\": sqlite:PATH is known",
                     options->location);
}

struct database *database_close(struct database *database)
{
    if (database != NULL)
        database->driver->close(database);
    return NULL;
}

void database_close_at(struct database **at)
{
    *at = database_close(*at);
}

const char *database_name(const struct database *database)
{
    return database->driver->name;
}

int64_t database_now_s(const struct database *database)
{
    return database->now_s != NULL ? database->now_s() : clock_now_s();
}

/* The row is written over by itself, so that a disk that is read-only or full shows. */
static int touch(struct transaction *tx, void *context, struct error *err)
{
    int r = transaction_run(tx, "UPDATE store SET created_at = created_at WHERE one = 1", NO_VALUES,
                            err);

    if (r < 0)
        return r;
    return r == 1 ? 0 : error_set(err, -EBADMSG, "the database has no store");
}

int database_check(struct database *database, struct error *err)
{
    return transaction_write(database, touch, NULL, err);
}

int database_snapshot(struct database *database, const char *path, database_go_on *go_on,
                      void *context, struct error *err)
{
    return database->driver->snapshot(database, path, go_on, context, err);
}

uint64_t database_epoch(struct database *database)
{
    return database->driver->epoch(database, EPOCH_TOKENS);
}

uint64_t database_version_epoch(struct database *database)
{
    return database->driver->epoch(database, EPOCH_VERSIONS);
}

void database_epoch_advance(struct database *database)
{
    database->driver->epoch_advance(database, EPOCH_TOKENS);
}

void database_version_epoch_advance(struct database *database)
{
    database->driver->epoch_advance(database, EPOCH_VERSIONS);
}

void database_count(struct database *database, struct database_counts *out)
{
    database->driver->count(database, out);
    out->statements = atomic_load(&database->statements);
}
