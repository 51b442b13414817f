/* SPDX-License-Identifier: MIT */
#include "server/main/app.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/model/settings.h"
#include "server/cache/cache.h"
#include "server/cache/cache_memory.h"
#include "server/db/database.h"
#include "server/db/store.h"
#include "server/main/data_directory.h"
#include "server/main/server_settings.h"
#include "server/service/services.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"

#define DATA_MODE 0700
#define PATH_MAX_TEXT 4096

static int open_cache_memory(const struct settings *settings, struct cache **out, struct error *err)
{
    return cache_memory_new((size_t)settings_number(settings, "cache_size"), NULL, out, err);
}

static const struct {
    const char *name; /* as the setting `cache` says */
    int (*open)(const struct settings *settings, struct cache **out, struct error *err);
} caches[] = {
    { "memory", open_cache_memory },
};

static int open_store_file(const struct settings *settings, const struct store *identity,
                           struct blob_store **out, struct error *err)
{
    cleanup_memory char *path = NULL;
    int r = server_settings_storage(settings, &path, err);

    return r < 0 ? r : blob_store_file_open(path, identity->id, identity->is_new, out, err);
}

static const struct {
    const char *scheme; /* of the setting `storage` */
    int (*open)(const struct settings *settings, const struct store *identity,
                struct blob_store **out, struct error *err);
} stores[] = {
    { "file:", open_store_file },
};

static int open_cache(const struct settings *settings, struct app *app, struct error *err)
{
    const char *name = settings_text(settings, "cache");

    for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
        if (strcmp(caches[i].name, name) == 0)
            return caches[i].open(settings, &app->cache, err);
    }
    return error_set(err, -ENOTSUP, "cache: \"%s\" is not known", name);
}

static int open_store(const struct settings *settings, struct app *app, struct error *err)
{
    const char *value =
        settings_has(settings, "storage") ? settings_text(settings, "storage") : "file:";
    struct store identity;
    int r = store_get(app->database, &identity, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        if (strncmp(value, stores[i].scheme, strlen(stores[i].scheme)) == 0)
            return stores[i].open(settings, &identity, &app->store, err);
    }
    return error_set(err, -ENOTSUP, "storage: \"%s\" is not known", value);
}

static int open_database(const struct settings *settings, enum app_use use, bool verify,
                         struct app *app, struct error *err)
{
    struct database_options options = { .create = use != APP_LOOK,
                                        .migrate = true,
                                        .verify = verify };
    cleanup_memory char *location = NULL;
    int r = server_settings_database(settings, &location, err);

    if (r < 0)
        return r;
    options.location = location;
    return database_open(&options, &app->database, err);
}

static int data_path(const struct settings *settings, const char *name, char **out,
                     struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_TEXT);
    int r;

    buf_format(&path, "%s/%s", settings_text(settings, "data"), name);
    r = buf_check(&path, err);
    if (r < 0)
        return r;
    *out = buf_take(&path);
    return *out != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* One server on a data directory: the guards of unfinished work are in the memory of one process.
 * The lock ends with the process, however that ends. *out_unclean: the last process that served
 * did not come to its end. */
static int put_marker(const struct settings *settings, struct app *app, bool *out_unclean,
                      struct error *err)
{
    cleanup_fd int fd = -1;
    struct stat info;
    int r = data_directory_lock(settings_text(settings, "data"), &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &info) < 0)
        return error_system(err, errno, "the mark of the data directory");
    *out_unclean = info.st_size > 0;
    if (info.st_size == 0 && write(fd, "1\n", 2) != 2)
        return error_system(err, errno, "the mark of the data directory");
    app->marker = take_fd(&fd);
    app->is_serving = true;
    return 0;
}

/* Those who listen never keep the others out. */
static size_t event_listeners_max(const struct settings *settings)
{
    const size_t wanted = (size_t)settings_number(settings, "event_listeners");
    const size_t room = (size_t)settings_number(settings, "connections") * 3 / 4;

    return wanted < room ? wanted : room;
}

static int open_services(const struct settings *settings, struct app *app, struct error *err)
{
    cleanup_memory char *scratch = NULL;
    cleanup_memory char *deltas = NULL;
    struct services_settings wanted = {
        .database = app->database,
        .store = app->store,
        .cache = app->cache,
        .part_size = (uint32_t)settings_number(settings, "part_size"),
        .listing_max = settings_number(settings, "listing_max"),
        .delta_cache_size = settings_number(settings, "delta_cache_size"),
        .workers = (unsigned)settings_number(settings, "workers"),
        .event_listeners_max = event_listeners_max(settings),
        .event_listeners_per_token_max =
            (size_t)settings_number(settings, "event_listeners_per_token"),
        .event_beat_ms = (uint32_t)settings_number(settings, "event_heartbeat"),
    };
    int r = data_path(settings, "scratch", &scratch, err);

    if (r == 0)
        r = file_make_directories(scratch, DATA_MODE, err);
    if (r == 0)
        r = data_path(settings, "delta", &deltas, err);
    if (r == 0)
        r = file_make_directories(deltas, DATA_MODE, err);
    if (r < 0)
        return r;
    wanted.scratch_path = scratch;
    wanted.delta_path = deltas;
    return services_new(&wanted, &app->services, err);
}

static int open_all(const struct settings *settings, enum app_use use, struct app *app,
                    struct error *err)
{
    bool unclean = false;
    int r = 0;

    if (use != APP_LOOK)
        r = file_make_directories(settings_text(settings, "data"), DATA_MODE, err);
    if (r < 0)
        return error_prefix(err, r, "the data directory");
    if (use == APP_SERVE)
        r = put_marker(settings, app, &unclean, err);
    if (unclean)
        log_warning(
            "the last server on this data directory ended without a stop: looking through the "
            "database");
    if (r == 0)
        r = open_database(settings, use, unclean, app, err);
    if (r == 0)
        r = open_store(settings, app, err);
    if (r == 0)
        r = open_cache(settings, app, err);
    if (r == 0)
        r = open_services(settings, app, err);
    return r;
}

int app_open(const struct settings *settings, enum app_use use, struct app *out_app,
             struct error *err)
{
    cleanup(app_close) struct app app = { 0 };
    int r = open_all(settings, use, &app, err);

    if (r < 0)
        return r;
    *out_app = app;
    app = (struct app){ 0 };
    return 0;
}

void app_close(struct app *app)
{
    app->services = services_free(app->services);
    app->cache = cache_free(app->cache);
    app->store = blob_store_free(app->store);
    app->database = database_close(app->database);
    /* Emptied, not removed: two that start at once must meet at the same file. */
    if (!app->is_serving)
        return;
    if (ftruncate(app->marker, 0) < 0)
        log_warning("the data directory stays marked: the next start looks through the database");
    cleanup_fd_at(&app->marker);
    app->is_serving = false;
}

int app_migrate(const struct settings *settings, bool check, struct error *err)
{
    struct database_options options = { .create = !check, .migrate = !check };
    cleanup(database_close_at) struct database *database = NULL;
    cleanup_memory char *location = NULL;
    int r = server_settings_database(settings, &location, err);

    if (r == 0 && !check)
        r = file_make_directories(settings_text(settings, "data"), DATA_MODE, err);
    if (r < 0)
        return r;
    options.location = location;
    return database_open(&options, &database, err);
}
