/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "server/db/events.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/blob_chunks.h"
#include "server/service/event_sequence.h"
#include "server/service/record_store.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/service/tombstone_clearing.h"
#include "server/storage/blob_store.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_FILE);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static void test_events_are_numbered(void **state)
{
    struct event *events;
    struct sample sample;
    enum pushes_outcome outcome;
    size_t count;
    bool created = false;

    sample_make(&sample, 1, 1, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "1", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(event_sequence_step(world.services, &count, NULL), 0);
    assert_true(count > 0);
    assert_int_equal(event_list(world.database, 0, 100, &events, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || events[i].number > events[i - 1].number);
        if (strcmp(events[i].type, "version.created") == 0) {
            created = true;
            assert_string_equal(events[i].project, "p");
            assert_string_equal(events[i].app, "a");
            assert_string_equal(events[i].version, "1");
        }
    }
    assert_true(created);
    event_list_free(events, count);
    assert_int_equal(event_sequence_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    sample_release(&sample);
}

/* An object under KEY.c of a blob of the push, where a chunk list would stand. */
static void put_beside(const char *id, const struct digest *sha256)
{
    cleanup(push_release) struct push push = push_empty();
    char key[BLOB_STORAGE_KEY_SIZE + 2];
    struct blob_writer *writer;
    struct push_blob row;

    assert_int_equal(push_get(world.database, "p", "a", id, world.caller.identity.id, &push, NULL),
                     0);
    assert_int_equal(push_blob_get(world.database, push.number, sha256, &row, NULL), 0);
    blob_chunks_key(row.blob.key, key);
    assert_int_equal(blob_store_create(world.store, key, 4, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, "list", 4, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
}

/* What an abandoned push had begun leaves the store. */
static void test_tombstones_are_cleared(void **state)
{
    struct sample sample;
    struct push_info open;
    struct blob_upload *upload;
    size_t objects = world_object_count(&world);
    size_t count;

    sample_make(&sample, 2, 2, 100000);
    sample_open(&world, &world.caller, "p", "a", "2", &sample, &open);
    assert_int_equal(sample_put_listing(&world, &world.caller, "p", "a", open.id,
                                        buf_span(&sample.listing), NULL, NULL),
                     0);
    assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "a", open.id,
                                       &sample.blobs[0].sha256, 0, 100000, 50000, &upload, NULL,
                                       NULL),
                     0);
    assert_int_equal(blob_upload_add(upload, span_of(sample.blobs[0].bytes, 50000), NULL, NULL), 0);
    uint64_t offset;
    assert_int_equal(blob_upload_end(upload, &offset, NULL, NULL), 0);
    blob_upload_free(upload);
    put_beside(open.id, &sample.blobs[0].sha256);
    assert_int_equal(pushes_abandon(world.services, &world.caller, "p", "a", open.id, NULL, NULL),
                     0);
    /* A store that fails: counted, tried again. */
    fault_store_fail(world.store, 1, -EIO, 1);
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    fault_store_heal(world.store);
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
    assert_true(count >= 2);
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    /* The listing stays: it was whole, and waits for the collection. */
    assert_int_equal(world_object_count(&world), objects + 1);
    /* A store without its sentinel loses nothing. */
    fault_store_fail(world.store, 0, -EBADMSG, 1);
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), -EBADMSG);
    fault_store_heal(world.store);
    sample_release(&sample);
}

static void read_record(const char *key, struct record *out)
{
    cleanup_memory uint8_t *bytes = NULL;
    struct blob_reader reader;

    assert_int_equal(blob_store_open(world.store, key, 0, UINT64_MAX, &reader, NULL), 0);
    bytes = memory_new(reader.size + 1);
    assert_int_equal(blob_reader_read(&reader, 0, bytes, reader.size, NULL), 0);
    assert_int_equal(record_read(span_of(bytes, reader.size), out, NULL), 0);
    blob_reader_release(&reader);
}

static void test_records(void **state)
{
    cleanup(version_info_release) struct version_info info = { 0 };
    cleanup(record_release) struct record stored;
    char key[RECORD_KEY_SIZE];
    struct sample sample;
    enum pushes_outcome outcome;
    size_t count;

    record_init(&stored);
    sample_make(&sample, 3, 1, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "rec", "1", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "rec", "1", &info,
                                  NULL, NULL),
                     0);
    record_key(&info.record, key);
    assert_true(blob_key_is_valid(key));
    read_record(key, &stored);
    assert_string_equal(stored.app, "rec");
    assert_true(digest_equal(&stored.tree, &info.record.tree));
    assert_int_equal(stored.created_at_s, info.record.created_at_s);
    record_release(&stored);
    /* Lost between commit and record: the walk over all versions writes it again. */
    assert_int_equal(record_store_complete(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(blob_store_remove(world.store, key, NULL), 0);
    assert_int_equal(record_store_complete(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    record_init(&stored);
    read_record(key, &stored);
    record_release(&stored);
    /* As does a push that finds its content there. */
    assert_int_equal(blob_store_remove(world.store, key, NULL), 0);
    assert_int_equal(sample_push(&world, &world.caller, "p", "rec", "1", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_EXISTS);
    record_init(&stored);
    read_record(key, &stored);
    sample_release(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_numbered),
        cmocka_unit_test(test_tombstones_are_cleared),
        cmocka_unit_test(test_records),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
