/* SPDX-License-Identifier: MIT */
#include "server/service/tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/bitmap.h"
#include "common/model/listing.h"
#include "common/model/times.h"
#include "server/db/database.h"
#include "server/db/store.h"
#include "server/service/content.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tokens.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"
#include "server/storage/blob_store_memory.h"

static _Atomic int64_t now_s = 1700000000;

int64_t world_now(void)
{
    return now_s;
}

void world_sleep(int64_t seconds)
{
    now_s += seconds;
}

static void open_database(struct world *world)
{
    char location[128];
    struct database_options options = {
        .location = location, .create = true, .migrate = true, .now_s = world_now
    };
    struct error err = { 0 };
    int r;

    snprintf(location, sizeof(location), "sqlite:%s/kk.db", world->directory);
    r = database_open(&options, &world->database, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

static void open_store(struct world *world)
{
    char path[128];
    struct store store;
    struct error err = { 0 };
    int r;

    assert_int_equal(store_get(world->database, &store, NULL), 0);
    snprintf(path, sizeof(path), "%s/store", world->directory);
    if (world->kind == WORLD_FILE)
        r = blob_store_file_open(path, store.id, true, &world->inner, &err);
    else
        r = blob_store_memory_new(store.id, 1u << 30, &world->inner, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    assert_int_equal(fault_store_new(world->inner, &world->store), 0);
}

static void open_services(struct world *world)
{
    char deltas[128];
    struct services_settings settings = {
        .database = world->database,
        .store = world->store,
        .scratch_path = world->kind == WORLD_FILE ? world->directory : NULL,
        .part_size = 1u << 20,
        .delta_path = world->kind == WORLD_FILE ? deltas : NULL,
        .delta_cache_size = 64u << 20,
        .event_listeners_max = world->listeners_max,
        .event_listeners_per_token_max = world->listeners_per_token_max,
        .event_beat_ms = world->beat_ms,
    };
    struct error err = { 0 };
    int r;

    snprintf(deltas, sizeof(deltas), "%s/delta", world->directory);
    mkdir(deltas, 0700);
    r = services_new(&settings, &world->services, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

void world_open(struct world *world, enum world_kind kind)
{
    char text[64];

    memset(world, 0, sizeof(*world));
    world->kind = kind;
    snprintf(world->directory, sizeof(world->directory), "/tmp/kk-service-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    open_database(world);
    open_store(world);
    open_services(world);
    world_token(world, NULL, NULL, ACCESS_ALL, &world->caller, text);
}

void world_restart(struct world *world)
{
    world->services = services_free(world->services);
    world->database = database_close(world->database);
    fault_store_heal(world->store);
    open_database(world);
    open_services(world);
}

void world_close(struct world *world)
{
    struct directory *tmp;

    services_free(world->services);
    blob_store_free(world->store); /* and the inner one */
    database_close(world->database);
    assert_int_equal(directory_open("/tmp", &tmp, NULL), 0);
    assert_int_equal(directory_remove_all(tmp, world->directory + 5, NULL), 0);
    directory_close(tmp);
}

void world_token(struct world *world, const char *project, const char *app, uint32_t permissions,
                 struct caller *out_caller, char out_text[64])
{
    const struct token_request request = {
        .name = "tester", .project = project, .app = app, .permissions = permissions
    };
    struct token_info info;
    struct error err = { 0 };
    int r = tokens_create(world->services, NULL, &request, out_text, &info, NULL, &err);

    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    memset(out_caller, 0, sizeof(*out_caller));
    out_caller->identity = info.identity;
    snprintf(out_caller->request_id, sizeof(out_caller->request_id), "test");
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void make_blob(struct sample_blob *blob, uint32_t seed, size_t size)
{
    uint32_t state = seed * 2654435761u + 1;

    blob->size = size;
    blob->bytes = memory_new(size + 4);
    assert_non_null(blob->bytes);
    for (size_t i = 0; i < size; i += 4) {
        uint32_t word = next_random(&state);

        memcpy(blob->bytes + i, &word, 4);
    }
    blob->sha256 = digest_of(blob->bytes, size);
}

/* Listing and times of the blobs that are there. */
static void list_blobs(struct sample *sample, uint32_t seed)
{
    struct listing_writer *listing = memory_new(sizeof(*listing));
    struct times_writer *times = memory_new(sizeof(*times));
    struct listing_totals totals;
    char path[32];

    sample->listing = buf_init(BUF_UNLIMITED);
    sample->times = buf_init(BUF_UNLIMITED);
    assert_int_equal(listing_writer_init(listing, sink_to_buf(&sample->listing), NULL), 0);
    assert_int_equal(times_writer_init(times, sink_to_buf(&sample->times), NULL), 0);
    struct entry directory = { .kind = ENTRY_DIRECTORY, .mode = 0755, .path = span_text("d") };
    assert_int_equal(listing_writer_add(listing, &directory, NULL), 0);
    assert_int_equal(times_writer_add(times, 1600000000 + seed, NULL), 0);
    for (size_t i = 0; i < sample->count; i++) {
        snprintf(path, sizeof(path), "d/f%07zu", i);
        struct entry file = { .kind = ENTRY_FILE,
                              .mode = 0644,
                              .size = sample->blobs[i].size,
                              .sha256 = sample->blobs[i].sha256,
                              .path = span_text(path) };
        assert_int_equal(listing_writer_add(listing, &file, NULL), 0);
        assert_int_equal(times_writer_add(times, 1600000000 + (int64_t)i, NULL), 0);
    }
    struct entry link = { .kind = ENTRY_LINK,
                          .path = span_text("d/link"),
                          .target = span_text("../elsewhere") };
    assert_int_equal(listing_writer_add(listing, &link, NULL), 0);
    assert_int_equal(times_writer_add(times, 0, NULL), 0);
    assert_int_equal(listing_writer_end(listing, &totals, NULL), 0);
    assert_int_equal(times_writer_end(times, &sample->times_sha256, NULL), 0);
    sample->content = totals.content;
    memory_free(listing);
    memory_free(times);
}

static void begin_sample(struct sample *sample, size_t count)
{
    memset(sample, 0, sizeof(*sample));
    sample->count = count;
    sample->blobs = memory_array(count, sizeof(*sample->blobs));
    assert_non_null(sample->blobs);
}

void sample_make(struct sample *sample, uint32_t seed, size_t count, size_t size)
{
    begin_sample(sample, count);
    for (size_t i = 0; i < count; i++)
        make_blob(&sample->blobs[i], (uint32_t)(seed * 1000003u + i), size + i);
    list_blobs(sample, seed);
}

void sample_make_of(struct sample *sample, uint32_t seed, const struct span *files, size_t count)
{
    begin_sample(sample, count);
    for (size_t i = 0; i < count; i++) {
        struct sample_blob *blob = &sample->blobs[i];

        blob->size = files[i].size;
        blob->bytes = memory_copy(files[i].bytes, files[i].size);
        assert_non_null(blob->bytes);
        blob->sha256 = digest_of(blob->bytes, blob->size);
    }
    list_blobs(sample, seed);
}

void sample_release(struct sample *sample)
{
    for (size_t i = 0; i < sample->count; i++)
        memory_free(sample->blobs[i].bytes);
    memory_free(sample->blobs);
    buf_release(&sample->listing);
    buf_release(&sample->times);
}

static int put_document(struct world *world, const struct caller *caller, const char *project,
                        const char *app, const char *id, enum push_document_kind kind,
                        struct span body, struct refusal *why, struct error *err)
{
    struct push_document *document = NULL;
    int r = push_document_begin(world->services, caller, project, app, id, kind,
                                PUSH_DOCUMENT_PLAIN, body.size, &document, why, err);

    for (size_t at = 0; at < body.size && r == 0; at += 10007)
        r = push_document_add(document, span_slice(body, at, 10007), why, err);
    if (r == 0)
        r = push_document_end(document, why, err);
    push_document_free(document);
    return r;
}

int sample_put_listing(struct world *world, const struct caller *caller, const char *project,
                       const char *app, const char *id, struct span listing, struct refusal *why,
                       struct error *err)
{
    return put_document(world, caller, project, app, id, PUSH_DOCUMENT_LISTING, listing, why, err);
}

int sample_put_times(struct world *world, const struct caller *caller, const char *project,
                     const char *app, const char *id, struct span times, struct refusal *why,
                     struct error *err)
{
    return put_document(world, caller, project, app, id, PUSH_DOCUMENT_TIMES, times, why, err);
}

void sample_describe(struct world *world, const struct caller *caller, const char *project,
                     const char *app, const char *id, const struct sample *sample)
{
    assert_int_equal(sample_put_listing(world, caller, project, app, id, buf_span(&sample->listing),
                                        NULL, NULL),
                     0);
    assert_int_equal(sample_put_times(world, caller, project, app, id, buf_span(&sample->times),
                                      NULL, NULL),
                     0);
}

int sample_put_blob(struct world *world, const struct caller *caller, const char *project,
                    const char *app, const char *id, const struct sample_blob *blob,
                    uint32_t part_size, struct refusal *why, struct error *err)
{
    uint64_t at = 0;
    int r;

    if (part_size == 0)
        part_size = services_part_size(world->services);
    do {
        struct blob_upload *upload = NULL;
        struct span part = span_slice(span_of(blob->bytes, blob->size), (size_t)at, part_size);

        r = blob_upload_begin(world->services, caller, project, app, id, &blob->sha256, at,
                              blob->size, part.size, &upload, why, err);
        for (size_t i = 0; i < part.size && r == 0; i += 65536)
            r = blob_upload_add(upload, span_slice(part, i, 65536), why, err);
        if (r == 0)
            r = blob_upload_end(upload, &at, why, err);
        blob_upload_free(upload);
    } while (r == 0 && at < blob->size);
    return r;
}

static int send_all(struct world *world, const struct caller *caller, const char *project,
                    const char *app, const struct push_info *push, const struct sample *sample,
                    size_t *sent, struct refusal *why, struct error *err)
{
    cleanup(buf_release) struct buf bitmap = buf_init(BUF_UNLIMITED);
    int r = 0;

    if (push->wants_listing)
        r = sample_put_listing(world, caller, project, app, push->id, buf_span(&sample->listing),
                               why, err);
    if (r == 0 && push->wants_times)
        r = sample_put_times(world, caller, project, app, push->id, buf_span(&sample->times), why,
                             err);
    if (r == 0)
        r = pushes_missing(world->services, caller, project, app, push->id, &bitmap, why, err);
    if (r == 0)
        assert_int_equal(bitmap_check(buf_span(&bitmap), sample->count, NULL), 0);
    for (size_t i = 0; i < sample->count && r == 0; i++) {
        if (!bitmap_get(bitmap.bytes, i))
            continue;
        r = sample_put_blob(world, caller, project, app, push->id, &sample->blobs[i], 0, why, err);
        if (r == 0)
            (*sent)++;
    }
    return r;
}

int sample_push(struct world *world, const struct caller *caller, const char *project,
                const char *app, const char *version, const struct sample *sample,
                enum pushes_outcome *out_outcome, size_t *out_sent, struct refusal *why,
                struct error *err)
{
    const struct pushes_request request = { .project = project,
                                            .app = app,
                                            .version = version,
                                            .content = &sample->content,
                                            .times = &sample->times_sha256 };
    struct version_info info = { 0 };
    struct push_info push;
    size_t sent = 0;
    int r = pushes_create(world->services, caller, &request, out_outcome, &push, &info, why, err);

    if (r == 0 && *out_outcome == PUSHES_OPEN) {
        r = send_all(world, caller, project, app, &push, sample, &sent, why, err);
        if (r == 0)
            r = pushes_commit(world->services, caller, project, app, push.id, &sample->content,
                              out_outcome, &info, why, err);
    }
    if (r == 0) {
        assert_true(digest_equal(&info.record.content, &sample->content));
        version_info_release(&info);
    }
    if (out_sent != NULL)
        *out_sent = sent;
    return r;
}

void sample_open(struct world *world, const struct caller *caller, const char *project,
                 const char *app, const char *version, const struct sample *sample,
                 struct push_info *out)
{
    const struct pushes_request request = { .project = project,
                                            .app = app,
                                            .version = version,
                                            .content = &sample->content,
                                            .times = &sample->times_sha256 };
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct error err = { 0 };
    int r = pushes_create(world->services, caller, &request, &outcome, out, &info, NULL, &err);

    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    assert_int_equal(outcome, PUSHES_OPEN);
}

void sample_check(struct world *world, const char *project, const char *app, const char *version,
                  const struct sample *sample)
{
    for (size_t i = 0; i < sample->count; i++) {
        struct content *content = NULL;
        struct error err = { 0 };
        cleanup_memory uint8_t *bytes = memory_new(sample->blobs[i].size + 1);
        int r = content_open_blob(world->services, &world->caller.identity, project, app, version,
                                  &sample->blobs[i].sha256, &content, NULL, &err);

        if (r < 0)
            print_error("file %zu: %s\n", i, err.text);
        assert_int_equal(r, 0);
        assert_int_equal(content_size(content), sample->blobs[i].size);
        assert_int_equal(content_read(content, 0, bytes, sample->blobs[i].size, NULL), 0);
        assert_memory_equal(bytes, sample->blobs[i].bytes, sample->blobs[i].size);
        content_close(content);
    }
}

static int count_object(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                        struct error *err)
{
    (*(size_t *)context)++;
    return 0;
}

size_t world_object_count(struct world *world)
{
    size_t count = 0;

    assert_int_equal(blob_store_list(world->inner, count_object, &count, NULL), 0);
    return count;
}
