/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/times.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/content.h"
#include "server/service/listings.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

/* Sanitizers keep what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_COUNTS 0
#else
#define MEMORY_COUNTS 1
#endif
#define FILES 100000
#define PER_DIRECTORY 100

/* A tree of 100,000 files with different bytes, 8 each, made without holding more than the
 * listing. */
static void make_blob(uint32_t index, uint8_t out[8])
{
    bytes_set_u64(out, 0x1234567800000000ull + index);
}

static void make_tree(struct sample *out)
{
    struct listing_writer *listing = memory_new(sizeof(*listing));
    struct times_writer *times = memory_new(sizeof(*times));
    struct listing_totals totals;
    uint8_t bytes[8];
    char path[64];

    memset(out, 0, sizeof(*out));
    out->listing = buf_init(BUF_UNLIMITED);
    out->times = buf_init(BUF_UNLIMITED);
    assert_int_equal(listing_writer_init(listing, sink_to_buf(&out->listing), NULL), 0);
    assert_int_equal(times_writer_init(times, sink_to_buf(&out->times), NULL), 0);
    for (uint32_t i = 0; i < FILES; i++) {
        struct entry entry = { .kind = ENTRY_DIRECTORY, .mode = 0755 };

        snprintf(path, sizeof(path), "directory-%04u", i / PER_DIRECTORY);
        entry.path = span_text(path);
        if (i % PER_DIRECTORY == 0) {
            assert_int_equal(listing_writer_add(listing, &entry, NULL), 0);
            assert_int_equal(times_writer_add(times, 1600000000, NULL), 0);
        }
        snprintf(path, sizeof(path), "directory-%04u/file-with-a-name-%06u.txt", i / PER_DIRECTORY,
                 i);
        make_blob(i, bytes);
        entry = (struct entry){ .kind = ENTRY_FILE,
                                .mode = 0644,
                                .size = 8,
                                .sha256 = digest_of(bytes, 8),
                                .path = span_text(path) };
        assert_int_equal(listing_writer_add(listing, &entry, NULL), 0);
        assert_int_equal(times_writer_add(times, 1600000000 + i, NULL), 0);
    }
    assert_int_equal(listing_writer_end(listing, &totals, NULL), 0);
    assert_int_equal(times_writer_end(times, &out->times_sha256, NULL), 0);
    out->content = totals.content;
    memory_free(listing);
    memory_free(times);
}

/* Memory of this process that is its own, in KiB. */
static uint64_t own_memory(void)
{
    char line[128];
    unsigned long long value = 0, anon = 0, shmem = 0;
    FILE *status = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof(line), status) != NULL) {
        if (sscanf(line, "RssAnon: %llu", &value) == 1)
            anon = value;
        if (sscanf(line, "RssShmem: %llu", &value) == 1)
            shmem = value;
    }
    fclose(status);
    return anon + shmem;
}

/* The blobs as if they had been sent, in batches: this test is not about requests. */
static void deposit_all(struct world *world, const char *id)
{
    cleanup(push_release) struct push push = push_empty();
    cleanup_memory struct blob_done *done = memory_array(1000, sizeof(*done));

    assert_int_equal(push_get(world->database, "p", "a", id, world->caller.identity.id, &push,
                              NULL),
                     0);
    for (uint32_t i = 0; i < FILES; i += 1000) {
        for (uint32_t k = 0; k < 1000; k++) {
            struct blob_writer *writer;
            struct push_blob row;
            uint8_t bytes[8];

            make_blob(i + k, bytes);
            done[k].sha256 = digest_of(bytes, 8);
            assert_int_equal(merkle_verity_of(span_of(bytes, 8), &done[k].verity, NULL), 0);
            assert_int_equal(push_blob_get(world->database, push.number, &done[k].sha256, &row,
                                           NULL),
                             0);
            assert_int_equal(blob_store_create(world->store, row.blob.key, 8, &writer, NULL), 0);
            assert_int_equal(blob_writer_write(writer, bytes, 8, NULL), 0);
            assert_int_equal(blob_writer_commit(writer, NULL), 0);
        }
        assert_int_equal(push_blobs_done(world->database, push.number, done, 1000, NULL), 0);
    }
}

static uint64_t lap(const char *what, uint64_t *at, uint64_t before)
{
    uint64_t now = clock_monotonic_ms();

    print_message("# %-28s %6llu ms, own memory %+lld KiB\n", what, (unsigned long long)(now - *at),
                  (long long)own_memory() - (long long)before);
    *at = clock_monotonic_ms();
    return now;
}

static void test_hundred_thousand_files(void **state)
{
    cleanup(buf_release) struct buf bitmap = buf_init(BUF_UNLIMITED);
    struct version_info info = { 0 };
    struct content *content;
    struct listed_page page;
    enum pushes_outcome outcome;
    struct push_info open;
    struct world world;
    struct sample tree;
    struct error err = { 0 };
    char directory[256];
    uint64_t at, before;
    int r;

    world_open(&world, WORLD_MEMORY);
    /* The store in memory, so that the disk is not what is measured; scratch as in a server. */
    struct services_settings settings = { .database = world.database,
                                          .store = world.store,
                                          .scratch_path = world.directory };
    struct services *mine = world.services;
    assert_int_equal(services_new(&settings, &world.services, NULL), 0);
    make_tree(&tree);
    sample_open(&world, &world.caller, "p", "a", "1", &tree, &open);
    at = clock_monotonic_ms();
    before = own_memory();
    assert_int_equal(sample_put_listing(&world, &world.caller, "p", "a", open.id,
                                        buf_span(&tree.listing), NULL, &err),
                     0);
    lap("listing, 100,000 wanted", &at, before);
    assert_int_equal(sample_put_times(&world, &world.caller, "p", "a", open.id,
                                      buf_span(&tree.times), NULL, &err),
                     0);
    lap("times", &at, before);
    assert_int_equal(pushes_missing(world.services, &world.caller, "p", "a", open.id, &bitmap, NULL,
                                    NULL),
                     0);
    assert_int_equal(bitmap.size, FILES / 8);
    for (size_t i = 0; i < bitmap.size; i++)
        assert_int_equal(bitmap.bytes[i], 0xff);
    lap("missing", &at, before);
    deposit_all(&world, open.id);
    lap("blobs (database only)", &at, before);
    before = own_memory();
    r = pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome, &info, NULL,
                      &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    lap("commit", &at, before);
    /* The tree image (about 15 MB) is in the store's memory; scratch is in files. */
    if (MEMORY_COUNTS)
        assert_true(own_memory() - before < 64 * 1024);
    version_info_release(&info);

    assert_int_equal(content_open_tree_names(world.services, &world.caller.identity, "p", "a", "1",
                                             &content, NULL, NULL),
                     0);
    print_message("# names part: %llu bytes\n", (unsigned long long)content_size(content));
    lap("names part, first", &at, before);
    content_close(content);
    snprintf(directory, sizeof(directory), "directory-%04u", 777);
    assert_int_equal(listings_page(world.services, &world.caller.identity, "p", "a", "1",
                                   span_text(directory), NULL, &page, NULL, NULL),
                     0);
    assert_int_equal(page.count, 50);
    listed_page_release(&page);
    lap("a page of files", &at, before);
    /* A second version of the same tree: nothing to send. */
    sample_open(&world, &world.caller, "p", "a", "2", &tree, &open);
    assert_false(open.wants_listing || open.wants_times);
    bitmap.size = 0;
    assert_int_equal(pushes_missing(world.services, &world.caller, "p", "a", open.id, &bitmap, NULL,
                                    NULL),
                     0);
    for (size_t i = 0; i < bitmap.size; i++)
        assert_int_equal(bitmap.bytes[i], 0);
    lap("missing, all there", &at, before);
    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome,
                                   &info, NULL, NULL),
                     0);
    version_info_release(&info);
    lap("commit of known blobs", &at, before);
    buf_release(&tree.listing);
    buf_release(&tree.times);
    services_free(world.services);
    world.services = mine;
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hundred_thousand_files) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
