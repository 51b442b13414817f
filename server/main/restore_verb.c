/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/settings.h"
#include "server/main/app.h"
#include "server/main/data_directory.h"
#include "server/main/job_wait.h"
#include "server/main/output.h"
#include "server/main/server_settings.h"
#include "server/main/verbs.h"
#include "server/service/jobs.h"
#include "server/service/restore.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"

#define OUTPUT_MAX ((size_t)1 << 20)
#define DATA_MODE 0700
#define PATH_SIZE 4096

/* Everything that restore_run() takes, and what it stands on. */
struct places {
    struct buf backup_database, backup_store;
    char *location, *storage;
    const char *database_path; /* in location */
    struct blob_store *from, *to;
    int backup_lock, data_lock;
};

static void places_release(struct places *places)
{
    places->from = blob_store_free(places->from);
    places->to = blob_store_free(places->to);
    buf_release(&places->backup_database);
    buf_release(&places->backup_store);
    memory_free(places->location);
    memory_free(places->storage);
    cleanup_fd_at(&places->backup_lock);
    cleanup_fd_at(&places->data_lock);
}

static bool is_there(const char *path, const char *end)
{
    cleanup(buf_release) struct buf whole = buf_init(PATH_SIZE);
    cleanup_fd int fd = -1;

    buf_format(&whole, "%s%s", path, end);
    return buf_check(&whole, NULL) < 0 || file_open_read(buf_text(&whole), &fd, NULL) != -ENOENT;
}

static int find_places(const struct settings *settings, const char *directory,
                       struct places *places, struct error *err)
{
    const char *data = settings_text(settings, "data");
    bool overlaps = false;
    int r = data_directory_overlap(directory, data, &overlaps, err);

    if (r == 0 && overlaps)
        r = error_set(err, -EINVAL, "%s and %s overlap", directory, data);
    buf_format(&places->backup_database, "%s/kkartifact.db", directory);
    buf_format(&places->backup_store, "%s/blobs", directory);
    if (r == 0)
        r = buf_check(&places->backup_database, err);
    if (r == 0)
        r = buf_check(&places->backup_store, err);
    if (r == 0 && !is_there(buf_text(&places->backup_database), ""))
        r = error_set(err, -ENOENT, "%s is no backup: it has no kkartifact.db", directory);
    if (r == 0)
        r = server_settings_database_file(settings, &places->location, &places->database_path, err);
    if (r == 0)
        r = server_settings_storage(settings, &places->storage, err);
    return r;
}

static int refuse_any(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                      struct error *err)
{
    return error_set(err, -EEXIST, "it has objects already");
}

static int open_stores(struct places *places, struct error *err)
{
    char id[BLOB_STORE_ID_SIZE];
    int r = blob_store_file_id(buf_text(&places->backup_store), id, err);

    if (r == 0)
        r = blob_store_file_open(buf_text(&places->backup_store), id, false, &places->from, err);
    if (r == 0)
        r = blob_store_file_open(places->storage, id, true, &places->to, err);
    /* A restore that was killed is gone on with. */
    if (r == 0 && !is_there(places->database_path, ".new"))
        r = blob_store_list(places->to, refuse_any, NULL, err);
    return r < 0 && places->from != NULL ? error_prefix(err, r, "%s", places->storage) : r;
}

static int prepare(const struct settings *settings, const char *directory, struct places *places,
                   struct error *err)
{
    const char *data = settings_text(settings, "data");
    int r = find_places(settings, directory, places, err);

    if (r < 0)
        return r;
    if (is_there(places->database_path, ""))
        return error_set(err, -EEXIST, "%s is there: restore makes a new data directory",
                         places->database_path);
    r = data_directory_lock(directory, &places->backup_lock, err);
    if (r == 0)
        r = file_make_directories(data, DATA_MODE, err);
    if (r == 0)
        r = data_directory_lock(data, &places->data_lock, err);
    return r < 0 ? r : open_stores(places, err);
}

/* As `fsck` without --full: the bytes were read on the way. */
static int check(struct settings *settings, struct error *err)
{
    cleanup(job_release) struct job job = { 0 };
    cleanup(app_close) struct app app = { 0 };
    int r = app_open(settings, APP_LOOK, &app, err);

    if (r == 0)
        r = job_wait(app.services, "fsck", "{\"full\":false,\"repair\":false}", &job, err);
    return r < 0 ? r : job_outcome(&job, err);
}

static int tell(const struct options *options, const struct settings *settings,
                const struct backup_result *result, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    char bytes[NUMBER_SIZE_TEXT];
    int r;

    number_format_size(result->copied_bytes, bytes);
    if (options_has(options, "json")) {
        backup_write(&writer, result);
        buf_add_byte(&out, '\n');
    } else {
        buf_format(&out, "restored objects: %llu (%s now)\n", (unsigned long long)result->objects,
                   bytes);
        buf_format(&out, "go on with: kkartifact-server serve --data %s\n",
                   settings_text(settings, "data"));
        backup_write_lacking(&out, result);
    }
    r = output_write(&out, err);
    return r < 0 ? r : backup_outcome(result, "what is restored", err);
}

int verb_restore(const struct options *options, struct settings *settings, struct error *err)
{
    const char *directory = options_operand(options, 0);
    cleanup(places_release) struct places places = { .backup_database = buf_init(PATH_SIZE),
                                                     .backup_store = buf_init(PATH_SIZE),
                                                     .backup_lock = -1,
                                                     .data_lock = -1 };
    cleanup(backup_result_release) struct backup_result result;
    struct restore restore;
    int r = prepare(settings, directory, &places, err);

    backup_result_init(&result);
    if (r < 0)
        return r;
    restore = (struct restore){ .backup_path = buf_text(&places.backup_database),
                                .database_path = places.database_path,
                                .from = places.from,
                                .to = places.to };
    r = restore_run(&restore, &result, err);
    if (r == 0)
        r = check(settings, err);
    return r < 0 ? r : tell(options, settings, &result, err);
}
