/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

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
#include "server/main/output.h"
#include "server/main/server_settings.h"
#include "server/main/verbs.h"
#include "server/service/backup.h"
#include "server/service/jobs.h"
#include "server/service/services.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"

#define OUTPUT_MAX ((size_t)1 << 20)
#define DATA_MODE 0700
#define PATH_SIZE 4096
#define LOOK_MS 200

static int refuse_overlap(const char *directory, const char *other, struct error *err)
{
    bool overlaps;
    int r = data_directory_overlap(directory, other, &overlaps, err);

    if (r < 0 || !overlaps)
        return r;
    return error_set(err, -EINVAL, "%s overlaps with %s, which is to be copied", directory, other);
}

/* Beside everything that is copied, and empty or a data directory. */
static int check_place(const struct settings *settings, const char *directory, struct error *err)
{
    cleanup_memory char *storage = NULL;
    int r = server_settings_storage(settings, &storage, err);

    if (r == 0)
        r = refuse_overlap(directory, settings_text(settings, "data"), err);
    if (r == 0)
        r = refuse_overlap(directory, storage, err);
    if (r == 0)
        r = data_directory_look(directory, err);
    return r < 0 ? r : 0;
}

static int open_store(const char *directory, const char *id, struct blob_store **out,
                      struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    int r;

    buf_format(&path, "%s/blobs", directory);
    r = buf_check(&path, err);
    return r < 0 ? r : blob_store_file_open(buf_text(&path), id, true, out, err);
}

/* What deletes has its turn, and is done here when no server does it. */
static int make(struct services *services, const struct backup_target *target,
                struct backup_result *out, struct error *err)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
    size_t count;
    int r;

    for (;;) {
        r = jobs_work(services, &count, err);
        if (r == 0)
            r = backup_make(services, target, out, err);
        if (r != -EBUSY)
            return r;
        nanosleep(&pause, NULL);
    }
}

static int tell(const struct options *options, const struct backup_result *result,
                struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    char bytes[NUMBER_SIZE_TEXT];
    int r;

    if (options_has(options, "json")) {
        backup_write(&writer, result);
        buf_add_byte(&out, '\n');
    } else {
        number_format_size(result->copied_bytes, bytes);
        buf_format(&out, "objects: %llu, of which %llu (%s) were copied now\n",
                   (unsigned long long)result->objects, (unsigned long long)result->copied_objects,
                   bytes);
        buf_format(&out, "removed objects: %llu\n", (unsigned long long)result->removed_objects);
        backup_write_lacking(&out, result);
    }
    r = output_write(&out, err);
    return r < 0 ? r : backup_outcome(result, "the backup", err);
}

int verb_backup(const struct options *options, struct settings *settings, struct error *err)
{
    const char *directory = options_operand(options, 0);
    cleanup(blob_store_free_at) struct blob_store *store = NULL;
    cleanup(app_close) struct app app = { 0 };
    struct backup_target target = { .directory = directory };
    cleanup(backup_result_release) struct backup_result result;
    cleanup_fd int lock = -1;
    int r = check_place(settings, directory, err);

    backup_result_init(&result);
    if (r == 0)
        r = app_open(settings, APP_LOOK, &app, err);
    if (r == 0)
        r = file_make_directories(directory, DATA_MODE, err);
    if (r == 0)
        r = data_directory_lock(directory, &lock, err);
    if (r == 0)
        r = open_store(directory, services_store_id(app.services), &store, err);
    if (r < 0)
        return r;
    target.store = store;
    r = make(app.services, &target, &result, err);
    return r < 0 ? r : tell(options, &result, err);
}
