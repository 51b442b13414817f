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
#include "common/codec/hex.h"
#include "server/db/apps.h"
#include "server/db/projects.h"
#include "server/db/versions.h"
#include "server/service/context.h"
#include "server/service/version_record.h"
#include "server/storage/blob_store.h"

#define PAGE 200

void record_key(const struct record *record, char out[RECORD_KEY_SIZE])
{
    static const char magic[] = "kkartifact-record-key-1";
    struct digest_stream stream;
    struct digest digest;
    uint8_t created[8];

    bytes_set_u64(created, (uint64_t)record->created_at_s);
    digest_stream_init(&stream);
    digest_stream_add(&stream, magic, sizeof(magic));
    digest_stream_add(&stream, record->project, strlen(record->project) + 1);
    digest_stream_add(&stream, record->app, strlen(record->app) + 1);
    digest_stream_add(&stream, record->version, strlen(record->version) + 1);
    digest_stream_add(&stream, record->content.bytes, DIGEST_SIZE);
    digest_stream_add(&stream, created, sizeof(created));
    digest = digest_stream_end(&stream);
    hex_encode(digest.bytes, 16, out);
    memcpy(out + 32, ".r", 3);
}

/* 1: written; 0: it was there. */
static int ensure(struct services *services, const struct record *record, struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);
    struct blob_reader reader;
    char key[RECORD_KEY_SIZE];
    uint64_t offset = 0;
    int r;

    record_key(record, key);
    r = blob_store_open(services->store, key, 0, UINT64_MAX, &reader, err);
    if (r == 0) {
        blob_reader_release(&reader);
        return 0;
    }
    if (r != -ENOENT)
        return r;
    record_write(record, &text);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    r = blob_store_create(services->store, key, text.size, &writer, err);
    if (r == -EEXIST)
        r = blob_store_resume(services->store, key, text.size, &offset, &writer, err);
    if (r == 0)
        r = blob_writer_write(writer, text.bytes, text.size, err);
    if (r == 0)
        r = blob_writer_commit(take_pointer(&writer), err);
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
