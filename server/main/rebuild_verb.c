/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/settings.h"
#include "server/db/database.h"
#include "server/db/store.h"
#include "server/main/data_directory.h"
#include "server/main/output.h"
#include "server/main/server_settings.h"
#include "server/main/verbs.h"
#include "server/service/new_database.h"
#include "server/service/rebuild.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"

#define OUTPUT_MAX ((size_t)16 << 20)
#define FOUND_MAX 10000 /* lines */

/* Lines, or texts of a JSON array. */
struct found {
    bool is_json;
    size_t count;
    struct buf text;
    struct json_writer writer;
};

static void note(void *context, enum rebuild_found kind, const char *name, const char *why)
{
    static const char *const words[] = {
        [REBUILD_DAMAGED] = "damaged",
        [REBUILD_RECORD] = "wrong record",
        [REBUILD_INCOMPLETE] = "incomplete",
    };
    cleanup(buf_release) struct buf line = buf_init(1024);
    struct found *found = context;

    if (found->count++ >= FOUND_MAX)
        return;
    buf_format(&line, "%s: %s (%s)", words[kind], name, why);
    if (found->is_json)
        json_text(&found->writer, NULL, buf_text(&line));
    else
        buf_format(&found->text, "%s\n", buf_text(&line));
}

/* One that is there and knows of no blob and no name may go: `serve` made it beside a store that it
 * then refused. */
static int check_old(const char *path, const char *location, struct error *err)
{
    cleanup(database_close_at) struct database *database = NULL;
    struct database_options options = { .location = location, .migrate = true };
    cleanup_fd int fd = -1;
    struct store store = { .is_new = false };
    int r = file_open_read(path, &fd, NULL);

    if (r == -ENOENT)
        return 0;
    r = database_open(&options, &database, err);
    if (r == 0)
        r = store_get(database, &store, err);
    if (r == 0 && store.is_new)
        return 0;
    return error_set(err, -EEXIST, "%s is there: move it away when it is of no use any more", path);
}

static int open_store(const struct settings *settings, struct blob_store **out, struct error *err)
{
    cleanup_memory char *storage = NULL;
    char id[BLOB_STORE_ID_SIZE];
    int r = server_settings_storage(settings, &storage, err);

    if (r == 0)
        r = blob_store_file_id(storage, id, err);
    return r < 0 ? r : blob_store_file_open(storage, id, false, out, err);
}

static int make(const char *path, struct rebuild *rebuild, struct rebuild_result *out,
                struct error *err)
{
    cleanup(new_database_release) struct new_database place = { .directory = NULL };
    struct database_options options = { .create = true, .migrate = true };
    int r = new_database_begin(&place, path, err);

    if (r == 0)
        r = new_database_require_place(&place, err);
    if (r == 0) {
        options.location = buf_text(&place.location);
        r = database_open(&options, &rebuild->database, err);
    }
    if (r == 0)
        r = rebuild_run(rebuild, out, err);
    rebuild->database = database_close(rebuild->database);
    return r < 0 ? r : new_database_place(&place, true, err);
}

static void write_result(struct found *found, const struct rebuild_result *result)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        { "objects", result->objects },
        { "bytes", result->bytes },
        { "blobs", result->blobs },
        { "duplicates", result->duplicates },
        { "damaged", result->damaged },
        { "versions", result->versions },
        { "incomplete", result->incomplete },
        { "purged", result->purged },
        { "wrong_records", result->wrong_records },
    };

    json_end(&found->writer);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        json_integer(&found->writer, members[i].name, (int64_t)members[i].value);
    json_end(&found->writer);
    buf_add_byte(&found->text, '\n');
}

static int tell(struct found *found, const struct rebuild_result *result, struct error *err)
{
    int r;

    if (found->is_json) {
        write_result(found, result);
    } else {
        buf_format(&found->text,
                   "%llu objects read: %llu blobs, %llu duplicates, %llu damaged\n"
                   "%llu versions are back, %llu are incomplete; %llu purged names, "
                   "%llu wrong records\n",
                   (unsigned long long)result->objects, (unsigned long long)result->blobs,
                   (unsigned long long)result->duplicates, (unsigned long long)result->damaged,
                   (unsigned long long)result->versions, (unsigned long long)result->incomplete,
                   (unsigned long long)result->purged, (unsigned long long)result->wrong_records);
        buf_add_text(&found->text, "there are no tokens: make new ones with token create\n");
    }
    r = output_write(&found->text, err);
    if (r < 0 || result->damaged + result->incomplete + result->wrong_records == 0)
        return r;
    return error_set(err, -EIO, "the database is made, but for what is damaged or incomplete");
}

static int run(const struct settings *settings, const char *location, const char *path,
               struct found *found, struct error *err)
{
    cleanup(blob_store_free_at) struct blob_store *store = NULL;
    struct rebuild rebuild = { .tell = note, .context = found };
    struct rebuild_result result;
    cleanup_fd int lock = -1;
    int r = data_directory_lock(settings_text(settings, "data"), &lock, err);

    if (r == 0)
        r = open_store(settings, &store, err);
    if (r == 0)
        r = check_old(path, location, err);
    rebuild.store = store;
    if (r == 0)
        r = make(path, &rebuild, &result, err);
    return r < 0 ? r : tell(found, &result, err);
}

int verb_rebuild(const struct options *options, struct settings *settings, struct error *err)
{
    struct found found = { .is_json = options_has(options, "json"), .text = buf_init(OUTPUT_MAX) };
    cleanup_memory char *location = NULL;
    const char *path = NULL;
    int r = server_settings_database_file(settings, &location, &path, err);

    if (r == 0 && found.is_json) {
        found.writer = json_writer_init(&found.text);
        json_begin_object(&found.writer, NULL);
        json_begin_array(&found.writer, "found");
    }
    if (r == 0)
        r = run(settings, location, path, &found, err);
    buf_release(&found.text);
    return r;
}
