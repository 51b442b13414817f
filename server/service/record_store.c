/* SPDX-License-Identifier: MIT */
#include "server/service/record_store.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/digest.h"
#include "common/base/clock.h"
#include "common/codec/hex.h"
#include "common/codec/json.h"
#include "server/db/apps.h"
#include "server/db/projects.h"
#include "server/db/purge.h"
#include "server/db/versions.h"
#include "server/service/context.h"
#include "server/service/version_record.h"
#include "server/storage/blob_store.h"

#define PAGE 200

/* The name of a version's objects, without what they are. */
static void stem_of(const char *project, const char *app, const char *version,
                    const struct digest *content, int64_t created_at_s, char out[RECORD_KEY_SIZE])
{
    static const char magic[] = "kkartifact-record-key-1";
    struct digest_stream stream;
    struct digest digest;
    uint8_t created[8];

    bytes_set_u64(created, (uint64_t)created_at_s);
    digest_stream_init(&stream);
    digest_stream_add(&stream, magic, sizeof(magic));
    digest_stream_add(&stream, project, strlen(project) + 1);
    digest_stream_add(&stream, app, strlen(app) + 1);
    digest_stream_add(&stream, version, strlen(version) + 1);
    digest_stream_add(&stream, content->bytes, DIGEST_SIZE);
    digest_stream_add(&stream, created, sizeof(created));
    digest = digest_stream_end(&stream);
    hex_encode(digest.bytes, 16, out);
}

void record_key(const struct record *record, char out[RECORD_KEY_SIZE])
{
    stem_of(record->project, record->app, record->version, &record->content, record->created_at_s,
            out);
    memcpy(out + 32, ".r", 3);
}

enum record_object record_object_of(const char *name)
{
    const size_t stem = RECORD_KEY_SIZE - 3;

    if (strlen(name) != stem + 2 || strspn(name, "0123456789abcdef") != stem || name[stem] != '.')
        return RECORD_NONE;
    return name[stem + 1] == 'r'   ? RECORD_VERSION
           : name[stem + 1] == 'd' ? RECORD_PURGED
                                   : RECORD_NONE;
}

static int read_object(struct blob_store *store, const char *name, struct buf *out,
                       struct error *err)
{
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    cleanup_memory uint8_t *bytes = NULL;
    int r = blob_store_open(store, name, 0, UINT64_MAX, &reader, err);

    if (r < 0)
        return r;
    if (reader.size > RECORD_MAX_SIZE)
        return error_set(err, -EBADMSG, "%s is too long for a record", name);
    bytes = memory_array((size_t)reader.size + 1, 1);
    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = blob_reader_read(&reader, 0, bytes, (size_t)reader.size, err);
    if (r == 0)
        buf_add(out, bytes, (size_t)reader.size);
    return r < 0 ? r : buf_check(out, err);
}

int record_store_read(struct blob_store *store, const char *name, struct record *out,
                      struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);
    char key[RECORD_KEY_SIZE];
    int r = read_object(store, name, &text, err);

    if (r == 0)
        r = record_read(buf_span(&text), out, err);
    if (r < 0)
        return r;
    record_key(out, key);
    return strcmp(key, name) == 0 ? 0
                                  : error_set(err, -EBADMSG, "%s is the record of %s", name, key);
}

/* 1: it is there; 0: it is not. */
static int has_object(struct services *services, const char *key, struct error *err)
{
    struct blob_reader reader;
    int r = blob_store_open(services->store, key, 0, UINT64_MAX, &reader, err);

    if (r == 0)
        blob_reader_release(&reader);
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* One that a crash left unfinished is written again. */
static int put_object(struct services *services, const char *key, const struct buf *text,
                      struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    uint64_t offset = 0;
    int r = blob_store_create(services->store, key, text->size, &writer, err);

    if (r == -EEXIST)
        r = blob_store_resume(services->store, key, text->size, &offset, &writer, err);
    if (r == 0)
        r = blob_writer_write(writer, text->bytes, text->size, err);
    if (r == 0)
        r = blob_writer_commit(take_pointer(&writer), err);
    return r;
}

/* 1: written; 0: it was there. */
static int ensure(struct services *services, const struct record *record, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);
    char key[RECORD_KEY_SIZE];
    int r;

    record_key(record, key);
    r = has_object(services, key, err);
    if (r != 0)
        return r < 0 ? r : 0;
    record_write(record, &text);
    r = buf_check(&text, err);
    if (r == 0)
        r = put_object(services, key, &text, err);
    return r < 0 ? r : 1;
}

static int ensure_version(struct services *services, const struct version *version,
                          struct error *err)
{
    cleanup(record_release) struct record record;
    int r;

    record_init(&record);
    r = version_record_of(version, &record, err);
    if (r == 0)
        r = ensure(services, &record, err);
    return r;
}

int record_store_ensure(struct services *services, const struct version *version, struct error *err)
{
    int r = ensure_version(services, version, err);

    return r < 0 ? r : 0;
}

static int complete_app(struct services *services, const struct app *app, size_t *count,
                        struct error *err)
{
    int64_t before_s = 0, before_id = 0;
    struct version *items;
    size_t got;
    int r;

    do {
        r = version_list(services->database, app->project, app->name, before_s, before_id, PAGE,
                         &items, &got, err);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < got && r >= 0; i++) {
            r = ensure_version(services, &items[i], err);
            *count += r > 0 ? 1 : 0;
            before_s = items[i].created_at_s;
            before_id = items[i].id;
        }
        version_list_free(items, got);
    } while (r >= 0 && got == PAGE);
    return r < 0 ? r : 0;
}

static int complete_project(struct services *services, const char *project, size_t *count,
                            struct error *err)
{
    char after[NAME_SIZE] = "";
    size_t got;
    int r = 0;

    do {
        cleanup_memory struct app *items = NULL;

        r = app_list(services->database, project, NULL, after[0] != '\0' ? after : NULL, PAGE,
                     &items, &got, err);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < got && r == 0; i++) {
            r = complete_app(services, &items[i], count, err);
            memcpy(after, items[i].name, sizeof(after));
        }
    } while (r == 0 && got == PAGE);
    return r;
}

int record_store_complete(struct services *services, size_t *out_count, struct error *err)
{
    char after[NAME_SIZE] = "";
    size_t count = 0;
    size_t got;
    int r = 0;

    do {
        cleanup_memory struct project *items = NULL;

        r = project_list(services->database, NULL, after[0] != '\0' ? after : NULL, PAGE, &items,
                         &got, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < got && r == 0; i++) {
            r = complete_project(services, items[i].name, &count, err);
            memcpy(after, items[i].name, sizeof(after));
        }
    } while (r == 0 && got == PAGE);
    if (r == 0)
        *out_count = count;
    return r;
}

/* ------------------------------------------------------------ purged ones */

static void write_time(struct json_writer *writer, const char *name, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (clock_format(time_s, text, NULL) == 0)
        json_text(writer, name, text);
}

static void write_purged(const struct purged_record *purged, struct buf *out)
{
    struct json_writer writer = json_writer_init(out);
    char content[DIGEST_HEX_SIZE];

    digest_hex(&purged->content, content);
    json_begin_object(&writer, NULL);
    json_text(&writer, "schema", RECORD_PURGED_SCHEMA);
    json_text(&writer, "project", purged->project);
    json_text(&writer, "app", purged->app);
    json_text(&writer, "version", purged->version);
    json_text(&writer, "content", content);
    write_time(&writer, "created_at", purged->created_at_s);
    write_time(&writer, "purged_at", purged->purged_at_s);
    json_end(&writer);
}

static int tell_purged(struct services *services, const struct purged_record *purged,
                       struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);
    char key[RECORD_KEY_SIZE];
    int r;

    stem_of(purged->project, purged->app, purged->version, &purged->content, purged->created_at_s,
            key);
    memcpy(key + 32, ".d", 3);
    r = has_object(services, key, err);
    if (r == 0) {
        write_purged(purged, &text);
        r = buf_check(&text, err);
        if (r == 0)
            r = put_object(services, key, &text, err);
    }
    if (r < 0)
        return r;
    /* In this order: never is there neither of the two. */
    memcpy(key + 32, ".r", 3);
    r = blob_store_remove(services->store, key, err);
    return r < 0 ? r : purged_record_done(services->database, purged->id, err);
}

int record_store_tell_purged(struct services *services, size_t *out_count, struct error *err)
{
    size_t got, count = 0;
    int r = 0;

    do {
        cleanup_memory struct purged_record *items = NULL;

        r = purged_record_list(services->database, PAGE, &items, &got, err);
        for (size_t i = 0; r == 0 && i < got; i++) {
            r = tell_purged(services, &items[i], err);
            count += r == 0;
        }
    } while (r == 0 && got == PAGE);
    *out_count = count;
    return r;
}

static int read_name(const struct json_value *object, const char *name, char *out, size_t size,
                     struct error *err)
{
    const char *text;
    int r = json_get_text(json_member(object, name), name, &text, err);

    if (r < 0)
        return r;
    if (strlen(text) >= size)
        return error_set(err, -EBADMSG, "%s is too long", name);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int read_time(const struct json_value *object, const char *name, int64_t *out,
                     struct error *err)
{
    const char *text;
    int r = json_get_text(json_member(object, name), name, &text, err);

    return r < 0 ? r : clock_parse(span_text(text), out, err);
}

static int read_purged(const struct json_value *object, struct purged_record *out,
                       struct error *err)
{
    const char *text;
    int r = json_get_text(json_member(object, "schema"), "schema", &text, err);

    if (r == 0 && strcmp(text, RECORD_PURGED_SCHEMA) != 0)
        r = error_set(err, -EBADMSG, "its schema is %s", text);
    if (r == 0)
        r = read_name(object, "project", out->project, sizeof(out->project), err);
    if (r == 0)
        r = read_name(object, "app", out->app, sizeof(out->app), err);
    if (r == 0)
        r = read_name(object, "version", out->version, sizeof(out->version), err);
    if (r == 0)
        r = json_get_text(json_member(object, "content"), "content", &text, err);
    if (r == 0)
        r = digest_parse(span_text(text), &out->content, err);
    if (r == 0)
        r = read_time(object, "created_at", &out->created_at_s, err);
    return r < 0 ? r : read_time(object, "purged_at", &out->purged_at_s, err);
}

/* The names have to be names, too: the record's own rules. */
static int check_purged(const struct purged_record *purged, const char *key, struct error *err)
{
    cleanup(record_release) struct record record;
    char expected[RECORD_KEY_SIZE];
    int r;

    record_init(&record);
    r = record_set_names(&record, span_text(purged->project), span_text(purged->app),
                         span_text(purged->version), err);
    if (r < 0)
        return r;
    stem_of(purged->project, purged->app, purged->version, &purged->content, purged->created_at_s,
            expected);
    return memcmp(expected, key, 32) == 0 ? 0 : error_set(err, -EBADMSG, "its key is another's");
}

int record_store_read_purged(struct blob_store *store, const char *name, struct purged_record *out,
                             struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);
    struct purged_record purged = { .id = 0 };
    struct json *json = NULL;
    int r = read_object(store, name, &text, err);

    if (r == 0)
        r = json_parse(buf_span(&text), &json, err);
    if (r == 0)
        r = read_purged(json_root(json), &purged, err);
    json_free(json);
    if (r == 0)
        r = check_purged(&purged, name, err);
    if (r == 0)
        *out = purged;
    return r == -EINVAL ? -EBADMSG : r;
}
