/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "server/service/content.h"
#include "server/service/context.h"
#include "server/service/push_door.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

/* A push with one large blob in it, its listing and times there. */
struct one {
    struct world world;
    struct sample sample;
    struct push_info open;
    const struct sample_blob *blob;
    uint32_t serial;
};
static struct one one;

static void new_push(size_t size)
{
    char version[16];

    if (one.blob != NULL)
        sample_release(&one.sample);
    one.serial++;
    sample_make(&one.sample, 1000 + one.serial, 1, size);
    one.blob = &one.sample.blobs[0];
    snprintf(version, sizeof(version), "v%u", one.serial);
    sample_open(&one.world, &one.world.caller, "p", "a", version, &one.sample, &one.open);
    sample_describe(&one.world, &one.world.caller, "p", "a", one.open.id, &one.sample);
}

static int setup_memory(void **state)
{
    memset(&one, 0, sizeof(one));
    world_open(&one.world, WORLD_MEMORY);
    return 0;
}

static int setup_file(void **state)
{
    memset(&one, 0, sizeof(one));
    world_open(&one.world, WORLD_FILE);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&one.sample);
    world_close(&one.world);
    return 0;
}

static int begin(uint64_t offset, uint64_t length, uint64_t part, struct blob_upload **out,
                 struct refusal *why)
{
    memset(why, 0, sizeof(*why));
    return blob_upload_begin(one.world.services, &one.world.caller, "p", "a", one.open.id,
                             &one.blob->sha256, offset, length, part, out, why, NULL);
}

/* Sends [at, at + size) of `bytes`; the result of the end. */
static int send_part(const uint8_t *bytes, uint64_t at, size_t size, uint64_t *out_offset,
                     struct refusal *why)
{
    struct blob_upload *upload = NULL;
    int r = begin(at, one.blob->size, size, &upload, why);

    if (r == 0)
        r = blob_upload_add(upload, span_of(bytes + at, size), why, NULL);
    if (r == 0)
        r = blob_upload_end(upload, out_offset, why, NULL);
    blob_upload_free(upload);
    return r;
}

static uint64_t offset_now(void)
{
    uint64_t offset, length;

    assert_int_equal(blob_upload_offset(one.world.services, &one.world.caller, "p", "a",
                                        one.open.id, &one.blob->sha256, &offset, &length, NULL,
                                        NULL),
                     0);
    assert_int_equal(length, one.blob->size);
    return offset;
}

/* Commits the push and compares blob and merkle object with what they must be. */
static void commit_and_check(void)
{
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct content *content;
    struct merkle_shape shape;
    struct error err = { 0 };
    uint8_t *object;
    int r = pushes_commit(one.world.services, &one.world.caller, "p", "a", one.open.id, NULL,
                          &outcome, &info, NULL, &err);

    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    sample_check(&one.world, "p", "a", info.record.version, &one.sample);
    assert_int_equal(merkle_shape_of(one.blob->size, &shape, NULL), 0);
    if (shape.object_size > 0) {
        struct digest verity;

        object = memory_new(shape.object_size);
        assert_int_equal(content_open_blob_merkle(one.world.services, &one.world.caller.identity,
                                                  "p", "a", info.record.version, &one.blob->sha256,
                                                  &content, NULL, NULL),
                         0);
        assert_int_equal(content_size(content), shape.object_size);
        assert_int_equal(content_read(content, 0, object, shape.object_size, NULL), 0);
        assert_int_equal(merkle_verity_of(span_of(one.blob->bytes, one.blob->size), &verity, NULL),
                         0);
        assert_int_equal(merkle_check_object(one.blob->size, &verity,
                                             span_of(object, shape.object_size), NULL),
                         0);
        content_close(content);
        memory_free(object);
    }
    version_info_release(&info);
}

static void test_sizes_around_a_block(void **state)
{
    static const size_t sizes[] = { 1, 4095, 4096, 4097, 524288, 524289, 1048576 };
    struct refusal why;
    uint64_t offset;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        new_push(sizes[i]);
        assert_int_equal(offset_now(), 0);
        assert_int_equal(send_part(one.blob->bytes, 0, one.blob->size, &offset, &why), 0);
        assert_int_equal(offset, one.blob->size);
        assert_int_equal(offset_now(), one.blob->size);
        commit_and_check();
    }
}

static void test_in_parts(void **state)
{
    static const size_t parts[] = { 1048576, 300000, 4096, 1000 };
    struct refusal why;
    uint64_t at;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        new_push(i < 2 ? 2500000 : 20000);
        at = 0;
        while (at < one.blob->size) {
            size_t size = one.blob->size - at < parts[i] ? one.blob->size - (size_t)at : parts[i];

            assert_int_equal(send_part(one.blob->bytes, at, size, &at, &why), 0);
            assert_int_equal(offset_now(), at);
        }
        commit_and_check();
    }
}

/* With threads beside it, and without. */
static void test_hashed_in_both_ways(void **state)
{
    struct services *services = one.world.services;
    struct workers *workers = services->side_workers;
    struct refusal why;

    for (int way = 0; way < 2; way++) {
        uint64_t at = 0;

        services->side_workers = way == 0 ? workers : NULL;
        new_push(2500000);
        while (at < one.blob->size) {
            size_t size = one.blob->size - at < 1000001 ? one.blob->size - (size_t)at : 1000001;

            assert_int_equal(send_part(one.blob->bytes, at, size, &at, &why), 0);
        }
        commit_and_check();
    }
    services->side_workers = workers;
}

/* A server is killed between parts; the next one goes on from the saved state of the hash. */
static void test_goes_on_in_another_process(void **state)
{
    struct refusal why;
    uint64_t at = 0;

    new_push(2500000);
    while (at < one.blob->size) {
        size_t size = one.blob->size - at < 400000 ? one.blob->size - (size_t)at : 400000;

        assert_int_equal(send_part(one.blob->bytes, at, size, &at, &why), 0);
        world_restart(&one.world);
        assert_int_equal(offset_now(), at);
    }
    commit_and_check();
}

/* In one process the merkle tree is kept from part to part; in another the blob is read back. */
static void test_read_back_only_when_it_must(void **state)
{
    int64_t calls[2];
    struct refusal why;

    for (int restarted = 0; restarted < 2; restarted++) {
        uint64_t at = 0;
        int64_t before;

        new_push(20 << 20);
        while (at < 19 << 20) {
            assert_int_equal(send_part(one.blob->bytes, at, 1 << 20, &at, &why), 0);
            if (restarted && at == 8 << 20)
                world_restart(&one.world);
        }
        before = fault_store_calls(one.world.store);
        assert_int_equal(send_part(one.blob->bytes, at, 1 << 20, &at, &why), 0);
        calls[restarted] = fault_store_calls(one.world.store) - before;
        commit_and_check();
    }
    assert_true(calls[0] < calls[1]); /* it is opened and read */
}

/* More unfinished ones than trees are kept, and one part that broke off. */
static void test_trees_that_were_not_kept(void **state)
{
    struct blob_upload *upload;
    struct refusal why;
    uint64_t at = 0;

    new_push(3 << 20);
    assert_int_equal(send_part(one.blob->bytes, 0, 1 << 20, &at, &why), 0);
    assert_int_equal(begin(at, one.blob->size, 1 << 20, &upload, &why), 0);
    assert_int_equal(blob_upload_add(upload, span_of(one.blob->bytes + at, 700000), &why, NULL), 0);
    blob_upload_free(upload);
    for (int i = 0; i < 2; i++)
        assert_int_equal(send_part(one.blob->bytes, at, 1 << 20, &at, &why), 0);
    commit_and_check();
    for (int i = 0; i < 40; i++) {
        new_push(5000);
        assert_int_equal(send_part(one.blob->bytes, 0, 4000, &at, &why), 0);
    }
    assert_int_equal(send_part(one.blob->bytes, at, 1000, &at, &why), 0);
    commit_and_check();
}

/* Of the file system that the scratch directory is in. */
static uint64_t free_bytes(void)
{
    struct statvfs info;

    assert_int_equal(statvfs(one.world.directory, &info), 0);
    return (uint64_t)info.f_bfree * info.f_frsize;
}

/* A push may want 60 GiB; what does not come takes no room, be it begun in twenty pushes. */
static void test_announcing_costs_nothing(void **state)
{
    const struct digest sha256 = digest_of("large", 5);
    const uint64_t size = (uint64_t)60 << 30;
    struct listing_writer *listing = memory_new(sizeof(*listing));
    struct blob_upload *uploads[20];
    struct listing_totals totals;
    struct refusal why = { 0 };
    uint64_t before = free_bytes();
    const struct entry entry = {
        .kind = ENTRY_FILE, .mode = 0644, .size = size, .sha256 = sha256, .path = span_text("f")
    };
    cleanup(buf_release) struct buf text = buf_init(4096);

    assert_int_equal(listing_writer_init(listing, sink_to_buf(&text), NULL), 0);
    assert_int_equal(listing_writer_add(listing, &entry, NULL), 0);
    assert_int_equal(listing_writer_end(listing, &totals, NULL), 0);
    fault_store_left(one.world.store, PUSH_ROOM + size);
    for (size_t i = 0; i < 20; i++) {
        struct pushes_request request = { .project = "p", .app = "a", .content = &totals.content };
        struct version_info version;
        enum pushes_outcome outcome;
        struct push_info push;
        char name[16];

        snprintf(name, sizeof(name), "huge-%zu", i);
        request.version = name;
        assert_int_equal(pushes_create(one.world.services, &one.world.caller, &request, &outcome,
                                       &push, &version, &why, NULL),
                         0);
        assert_int_equal(sample_put_listing(&one.world, &one.world.caller, "p", "a", push.id,
                                            buf_span(&text), NULL, NULL),
                         0);
        assert_int_equal(blob_upload_begin(one.world.services, &one.world.caller, "p", "a", push.id,
                                           &sha256, 0, size, 1000, &uploads[i], &why, NULL),
                         0);
    }
    fault_store_left(one.world.store, UINT64_MAX);
    assert_true(before < free_bytes() + ((uint64_t)1 << 30)); /* it was 10 GiB */
    for (size_t i = 0; i < 20; i++)
        blob_upload_free(uploads[i]);
    memory_free(listing);
}

static void test_wrong_offset(void **state)
{
    struct blob_upload *upload;
    struct refusal why;
    uint64_t offset;

    new_push(100000);
    assert_int_equal(begin(5, 100000, 1000, &upload, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_OFFSET_MISMATCH);
    assert_int_equal(why.expected_offset, 0);
    assert_int_equal(send_part(one.blob->bytes, 0, 40000, &offset, &why), 0);
    assert_int_equal(send_part(one.blob->bytes, 0, 40000, &offset, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_OFFSET_MISMATCH);
    assert_int_equal(why.expected_offset, 40000);
    assert_int_equal(send_part(one.blob->bytes, 50000, 40000, &offset, &why), -EBUSY);
    assert_int_equal(why.expected_offset, 40000);
    assert_int_equal(send_part(one.blob->bytes, 40000, 60000, &offset, &why), 0);
    /* Complete: whatever comes is taken for done. */
    assert_int_equal(send_part(one.blob->bytes, 0, 40000, &offset, &why), 0);
    assert_int_equal(offset, 100000);
    commit_and_check();
}

static void test_bad_numbers(void **state)
{
    struct blob_upload *upload;
    struct refusal why;
    struct digest other = digest_of("no", 2);

    new_push(100000);
    assert_int_equal(begin(0, 99999, 1000, &upload, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_int_equal(begin(0, 1ull << 63, 1000, &upload, &why), -EINVAL);
    assert_int_equal(begin(0, 100000, 100001, &upload, &why), -EINVAL);
    assert_int_equal(begin(UINT64_MAX, 100000, 10, &upload, &why), -EINVAL);
    assert_int_equal(begin(99999, 100000, 2, &upload, &why), -EINVAL);
    assert_int_equal(begin(0, 100000, UINT64_MAX, &upload, &why), -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    memset(&why, 0, sizeof(why));
    assert_int_equal(blob_upload_begin(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                       &other, 0, 2, 2, &upload, &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
}

static void test_wrong_bytes(void **state)
{
    uint8_t *damaged;
    struct refusal why;
    uint64_t offset = 0;

    new_push(100000);
    damaged = memory_copy(one.blob->bytes, one.blob->size);
    damaged[77777] ^= 1;
    assert_int_equal(send_part(damaged, 0, one.blob->size, &offset, &why), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_true(digest_equal(&why.expected, &one.blob->sha256));
    assert_false(digest_equal(&why.actual, &one.blob->sha256));
    assert_int_equal(offset_now(), 0);
    /* In parts: the first may be the damaged one, the last one finds out. */
    assert_int_equal(send_part(damaged, 0, 80000, &offset, &why), 0);
    assert_int_equal(send_part(damaged, 80000, 20000, &offset, &why), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_int_equal(offset_now(), 0);
    assert_int_equal(send_part(one.blob->bytes, 0, one.blob->size, &offset, &why), 0);
    commit_and_check();
    memory_free(damaged);
}

static void test_body_shorter_or_longer(void **state)
{
    struct blob_upload *upload;
    struct refusal why;
    uint64_t offset;

    new_push(100000);
    assert_int_equal(begin(0, 100000, 50000, &upload, &why), 0);
    assert_int_equal(blob_upload_add(upload, span_of(one.blob->bytes, 50001), &why, NULL), -EINVAL);
    blob_upload_free(upload);
    assert_int_equal(offset_now(), 0);
    assert_int_equal(begin(0, 100000, 50000, &upload, &why), 0);
    assert_int_equal(blob_upload_add(upload, span_of(one.blob->bytes, 49999), &why, NULL), 0);
    assert_int_equal(blob_upload_end(upload, &offset, &why, NULL), -EINVAL);
    blob_upload_free(upload);
    assert_int_equal(offset_now(), 0);
    assert_int_equal(send_part(one.blob->bytes, 0, 50000, &offset, &why), 0);
    /* The client goes away in the middle of the second part. */
    assert_int_equal(begin(50000, 100000, 50000, &upload, &why), 0);
    assert_int_equal(blob_upload_add(upload, span_of(one.blob->bytes + 50000, 30000), &why, NULL),
                     0);
    blob_upload_free(upload);
    assert_int_equal(offset_now(), 50000);
    world_restart(&one.world);
    assert_int_equal(send_part(one.blob->bytes, 50000, 50000, &offset, &why), 0);
    commit_and_check();
}

static void test_two_at_once_on_one_blob(void **state)
{
    struct blob_upload *upload, *second;
    struct refusal why;
    uint64_t offset;

    new_push(100000);
    assert_int_equal(begin(0, 100000, 50000, &upload, &why), 0);
    assert_int_equal(begin(0, 100000, 50000, &second, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PUSH_BUSY);
    assert_int_equal(blob_upload_add(upload, span_of(one.blob->bytes, 50000), &why, NULL), 0);
    assert_int_equal(blob_upload_end(upload, &offset, &why, NULL), 0);
    blob_upload_free(upload);
    assert_int_equal(begin(0, 100000, 50000, &second, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_OFFSET_MISMATCH);
    assert_int_equal(send_part(one.blob->bytes, 50000, 50000, &offset, &why), 0);
    commit_and_check();
}

static void check_full_disk(size_t size)
{
    struct refusal why;
    uint64_t offset;
    size_t objects;

    new_push(size);
    objects = world_object_count(&one.world);
    for (int call = 0; call < 3; call++) {
        fault_store_fail(one.world.store, call, -ENOSPC, 1);
        assert_int_equal(send_part(one.blob->bytes, 0, one.blob->size, &offset, &why), -ENOSPC);
        assert_int_equal(why.code, REFUSAL_FULL);
        fault_store_heal(one.world.store);
        assert_int_equal(world_object_count(&one.world), objects);
        assert_int_equal(offset_now(), 0);
    }
    assert_int_equal(send_part(one.blob->bytes, 0, one.blob->size, &offset, &why), 0);
    commit_and_check();
}

static void test_no_room(void **state)
{
    struct refusal why;
    uint64_t offset;
    size_t objects;

    new_push(100000);
    assert_int_equal(send_part(one.blob->bytes, 0, 50000, &offset, &why), 0);
    objects = world_object_count(&one.world);
    fault_store_left(one.world.store, PUSH_ROOM + 49999);
    assert_int_equal(send_part(one.blob->bytes, 50000, 1, &offset, &why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    assert_int_equal(world_object_count(&one.world), objects);
    assert_int_equal(offset_now(), 50000);
    fault_store_left(one.world.store, PUSH_ROOM + 50000);
    assert_int_equal(send_part(one.blob->bytes, 50000, 50000, &offset, &why), 0);
    fault_store_left(one.world.store, 0);
    assert_int_equal(send_part(one.blob->bytes, 0, 50000, &offset, &why), 0); /* it is there */
    fault_store_left(one.world.store, UINT64_MAX);
    commit_and_check();
}

/* The object of the blob is whole in the store, as from a server that was killed before its row
 * knew. */
static void put_object(void)
{
    struct push push = push_empty();
    struct blob_writer *writer;
    struct push_blob row;

    assert_int_equal(push_get(one.world.database, "p", "a", one.open.id,
                              one.world.caller.identity.id, &push, NULL),
                     0);
    assert_int_equal(push_blob_get(one.world.database, push.number, &one.blob->sha256, &row, NULL),
                     0);
    push_release(&push);
    assert_int_equal(blob_store_create(one.world.inner, row.blob.key, one.blob->size, &writer,
                                       NULL),
                     0);
    assert_int_equal(blob_writer_write(writer, one.blob->bytes, one.blob->size, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
}

static void test_what_is_verified_needs_no_room(void **state)
{
    struct refusal why;
    uint64_t offset;

    new_push(100000);
    put_object();
    fault_store_left(one.world.store, 0);
    assert_int_equal(send_part(one.blob->bytes, 0, one.blob->size, &offset, &why), 0);
    assert_int_equal(offset, one.blob->size);
    fault_store_left(one.world.store, UINT64_MAX);
    commit_and_check();
}

static int send_whole(struct refusal *why)
{
    struct blob_upload *upload = NULL;
    uint64_t offset;
    int r = blob_upload_begin_whole(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                    &one.blob->sha256, &upload, why, NULL);

    if (r == 0)
        r = blob_upload_add(upload, span_of(one.blob->bytes, one.blob->size), why, NULL);
    if (r == 0)
        r = blob_upload_end(upload, &offset, why, NULL);
    blob_upload_free(upload);
    return r;
}

/* Parts are forgotten only for what there is room for. */
static void test_parts_outlive_no_room(void **state)
{
    struct refusal why = { 0 };
    uint64_t offset;

    new_push(100000);
    assert_int_equal(send_part(one.blob->bytes, 0, 40000, &offset, &why), 0);
    fault_store_left(one.world.store, PUSH_ROOM + 59999);
    assert_int_equal(send_whole(&why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    assert_int_equal(offset_now(), 40000);
    fault_store_left(one.world.store, PUSH_ROOM + 100000);
    assert_int_equal(send_whole(&why), 0);
    fault_store_left(one.world.store, UINT64_MAX);
    commit_and_check();
}

static void test_full_disk(void **state)
{
    check_full_disk(100000);
    check_full_disk(1048576); /* while another thread hashes */
}

#define ALL_TESTS                                                                               \
    cmocka_unit_test(test_sizes_around_a_block), cmocka_unit_test(test_in_parts),               \
        cmocka_unit_test(test_hashed_in_both_ways),                                             \
        cmocka_unit_test(test_goes_on_in_another_process), cmocka_unit_test(test_wrong_offset), \
        cmocka_unit_test(test_announcing_costs_nothing),                                        \
        cmocka_unit_test(test_read_back_only_when_it_must),                                     \
        cmocka_unit_test(test_trees_that_were_not_kept), cmocka_unit_test(test_bad_numbers),    \
        cmocka_unit_test(test_wrong_bytes), cmocka_unit_test(test_body_shorter_or_longer),      \
        cmocka_unit_test(test_two_at_once_on_one_blob), cmocka_unit_test(test_full_disk),       \
        cmocka_unit_test(test_no_room), cmocka_unit_test(test_what_is_verified_needs_no_room),  \
        cmocka_unit_test(test_parts_outlive_no_room)

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { ALL_TESTS };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
