/* SPDX-License-Identifier: MIT */
#include "server/service/pack_upload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/bitmap.h"
#include "common/model/pack.h"
#include "server/service/push_door.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/service/tombstone_clearing.h"

#define FEED 1000 /* bytes at a time: members fall across the borders */

static struct world world;
static uint32_t serial;

/* An open push of a tree whose blobs are all missing. */
struct open_push {
    struct sample sample;
    struct push_info info;
    char version[16];
};

static void open_sample(struct open_push *push)
{
    snprintf(push->version, sizeof(push->version), "v%u", serial);
    sample_open(&world, &world.caller, "p", "a", push->version, &push->sample, &push->info);
    sample_describe(&world, &world.caller, "p", "a", push->info.id, &push->sample);
}

static void open_push(struct open_push *push, size_t count, size_t size)
{
    serial++;
    sample_make(&push->sample, 5000 + serial, count, size);
    open_sample(push);
}

/* The blobs [first, first + count) as a pack. */
static void pack_blobs(const struct sample *sample, size_t first, size_t count, struct buf *out)
{
    const struct sink sink = sink_to_buf(out);
    struct pack_writer *writer;

    assert_int_equal(pack_writer_new(&writer, 1, sink, NULL), 0);
    for (size_t i = first; i < first + count; i++) {
        const struct sample_blob *blob = &sample->blobs[i];

        assert_int_equal(pack_writer_add(writer, &blob->sha256, span_of(blob->bytes, blob->size),
                                         NULL),
                         0);
    }
    assert_int_equal(pack_writer_end(writer, NULL), 0);
    pack_writer_free(writer);
}

/* Sends it; on success the counts. */
static int send_pack(const struct open_push *push, struct span pack,
                     struct pack_upload_result *out_result, struct refusal *why)
{
    const struct pack_upload_result *result;
    struct pack_upload *upload = NULL;
    int r;

    memset(why, 0, sizeof(*why));
    r = pack_upload_begin(world.services, &world.caller, "p", "a", push->info.id, pack.size,
                          &upload, why, NULL);
    for (size_t at = 0; r == 0 && at < pack.size; at += FEED)
        r = pack_upload_add(upload, span_slice(pack, at, FEED), why, NULL);
    if (r == 0)
        r = pack_upload_end(upload, &result, why, NULL);
    if (r == 0)
        *out_result = *result;
    pack_upload_free(upload);
    return r;
}

static void expect_missing(const struct open_push *push, size_t wanted)
{
    cleanup(buf_release) struct buf bitmap = buf_init(4096);
    size_t missing = 0;

    assert_int_equal(pushes_missing(world.services, &world.caller, "p", "a", push->info.id, &bitmap,
                                    NULL, NULL),
                     0);
    for (size_t i = 0; i < push->sample.count; i++)
        missing += bitmap_get(bitmap.bytes, i);
    assert_int_equal(missing, wanted);
}

static void commit_push(struct open_push *push)
{
    struct version_info info = { 0 };
    enum pushes_outcome outcome;

    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", push->info.id, NULL,
                                   &outcome, &info, NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_CREATED);
    version_info_release(&info);
    sample_check(&world, "p", "a", push->version, &push->sample);
    sample_release(&push->sample);
}

static void test_more_than_a_batch(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct open_push push;
    struct refusal why;

    open_push(&push, PACK_UPLOAD_BATCH + 188, 10);
    pack_blobs(&push.sample, 0, push.sample.count, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, push.sample.count);
    assert_int_equal(result.present + result.failed, 0);
    expect_missing(&push, 0);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.present, push.sample.count);
    assert_int_equal(result.stored + result.failed, 0);
    world_restart(&world); /* durable: the push goes on in another process */
    commit_push(&push);
}

static void test_sizes_around_a_block(void **state)
{
    static const size_t sizes[] = { 1, 4095, 300000, 524287 }; /* with + i: also one more each */
    static struct pack_upload_result result;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
        struct open_push push;
        struct refusal why;

        open_push(&push, 2, sizes[i]);
        pack_blobs(&push.sample, 0, 2, &pack);
        assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
        assert_int_equal(result.stored, 2);
        commit_push(&push);
    }
}

/* One that is damaged, one that nobody wants, one of another size: named; the others count. */
static void test_members_stand_alone(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    const struct sink sink = sink_to_buf(&pack);
    static struct pack_upload_result result;
    const struct digest unknown = digest_of("unknown", 7);
    struct pack_writer *writer;
    struct open_push push;
    struct refusal why;

    open_push(&push, 10, 100);
    pack_blobs(&push.sample, 0, 10, &pack);
    pack.bytes[8 + PACK_MEMBER_SIZE + 5] ^= 1; /* of the first, which is stored as it is */
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 9);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.failures[0].code, REFUSAL_DIGEST_MISMATCH);
    assert_memory_equal(&result.failures[0].sha256, &push.sample.blobs[0].sha256, DIGEST_SIZE);
    expect_missing(&push, 1);

    buf_clear(&pack);
    assert_int_equal(pack_writer_new(&writer, 1, sink, NULL), 0);
    assert_int_equal(pack_writer_add(writer, &unknown, span_of("unknown", 7), NULL), 0);
    assert_int_equal(pack_writer_add(writer, &push.sample.blobs[0].sha256,
                                     span_of(push.sample.blobs[0].bytes, 100), NULL),
                     0);
    assert_int_equal(pack_writer_end(writer, NULL), 0);
    pack_writer_free(writer);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 1);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.failures[0].code, REFUSAL_NOT_FOUND);
    commit_push(&push);
}

static void test_no_pack(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct open_push push;
    struct refusal why;

    open_push(&push, 3, 100);
    assert_int_equal(send_pack(&push, span_text("no pack at all"), &result, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    pack_blobs(&push.sample, 0, 3, &pack);
    assert_int_equal(send_pack(&push, span_slice(buf_span(&pack), 0, pack.size - 1), &result, &why),
                     -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    expect_missing(&push, 3); /* no batch was full, so nothing of it stays */
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    commit_push(&push);
}

static void test_too_large_a_member(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct open_push push;
    struct refusal why;

    open_push(&push, 1, PACK_UPLOAD_MEMBER_MAX + 1);
    pack_blobs(&push.sample, 0, 1, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    sample_release(&push.sample);
}

/* `count` members of PACK_UPLOAD_MEMBER_MAX bytes that are all called `sha256`, stored as 8 bytes
 * that are no frame. */
static void pack_nonsense(const struct digest *sha256, size_t count, struct buf *out)
{
    buf_add_text(out, PACK_MAGIC);
    for (size_t i = 0; i < count; i++) {
        buf_add(out, sha256->bytes, DIGEST_SIZE);
        buf_add_u64(out, PACK_UPLOAD_MEMBER_MAX);
        buf_add_byte(out, PACK_ZSTD);
        buf_add_u64(out, 8);
        buf_add_text(out, "no frame");
    }
    buf_add_zeros(out, DIGEST_SIZE);
    buf_add_u64(out, count);
}

/* Not wanted, or of another size: not even unpacked, and not for ever. */
static void test_unwanted_members(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    const struct digest unknown = digest_of("unknown", 7);
    struct open_push push;
    struct refusal why;

    open_push(&push, 2, 100);
    pack_nonsense(&unknown, PACK_UPLOAD_FAILURES_MAX, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.failed, PACK_UPLOAD_FAILURES_MAX);
    assert_int_equal(result.failures[0].code, REFUSAL_NOT_FOUND);
    buf_clear(&pack);
    pack_nonsense(&push.sample.blobs[0].sha256, 1, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.failures[0].code, REFUSAL_VALIDATION);
    buf_clear(&pack);
    pack_nonsense(&unknown, PACK_UPLOAD_FAILURES_MAX + 1, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    sample_release(&push.sample);
}

/* What a push has is passed over as often as it comes, and costs nothing of the bytes allowed. */
static void test_present_members(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    const size_t many = PACK_UPLOAD_BYTES_MAX / PACK_UPLOAD_MEMBER_MAX + 10;
    struct open_push push;
    struct refusal why;

    open_push(&push, 1, PACK_UPLOAD_MEMBER_MAX);
    pack_blobs(&push.sample, 0, 1, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 1);
    buf_clear(&pack);
    pack_nonsense(&push.sample.blobs[0].sha256, many, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.present, many);
    assert_int_equal(result.failed, 0);
    commit_push(&push);
}

/* Wanted, but more than a pack may hold: damaged ones, and fewer of them than end a pack. */
static void test_too_many_bytes(void **state)
{
    const size_t count = PACK_UPLOAD_BYTES_MAX / PACK_UPLOAD_MEMBER_MAX;
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct open_push push;
    struct refusal why;

    open_push(&push, 1, PACK_UPLOAD_MEMBER_MAX);
    pack_nonsense(&push.sample.blobs[0].sha256, count, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.failures[count - 1].code, REFUSAL_DIGEST_MISMATCH);
    buf_clear(&pack);
    pack_nonsense(&push.sample.blobs[0].sha256, count + 1, &pack);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    sample_release(&push.sample);
}

/* What a batch meets at its end is no matter of its last member. */
static void test_failing_batch(void **state)
{
    static const int errors[] = { -EBUSY, -EEXIST, -EIO };
    static struct pack_upload_result result;

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
        struct open_push push;
        struct refusal why;

        open_push(&push, PACK_UPLOAD_BATCH, 10);
        pack_blobs(&push.sample, 0, PACK_UPLOAD_BATCH, &pack);
        /* Each is created and written; then comes the commit. */
        fault_store_fail(world.store, 2 * PACK_UPLOAD_BATCH, errors[i], 0);
        assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), errors[i]);
        fault_store_heal(world.store);
        expect_missing(&push, push.sample.count);
        assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
        assert_int_equal(result.stored, push.sample.count);
        commit_push(&push);
    }
}

/* Another request sends one of them in parts just now. */
static void test_busy_member(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct blob_upload *other;
    struct open_push push;
    struct refusal why;

    open_push(&push, 3, 100);
    pack_blobs(&push.sample, 0, 3, &pack);
    assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "a", push.info.id,
                                       &push.sample.blobs[1].sha256, 0, 101, 101, &other, &why,
                                       NULL),
                     0);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 2);
    assert_int_equal(result.failures[0].code, REFUSAL_PUSH_BUSY);
    blob_upload_free(other);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 1);
    assert_int_equal(result.present, 2);
    commit_push(&push);
}

/* The client is gone in the middle; a full disk: nothing that was not told, and it can be done
 * again. */
static void test_broken_off(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct pack_upload *upload;
    struct open_push push;
    struct refusal why;

    open_push(&push, 20, 3000);
    pack_blobs(&push.sample, 0, 20, &pack);
    assert_int_equal(pack_upload_begin(world.services, &world.caller, "p", "a", push.info.id,
                                       pack.size, &upload, &why, NULL),
                     0);
    assert_int_equal(pack_upload_add(upload, span_slice(buf_span(&pack), 0, pack.size / 2), &why,
                                     NULL),
                     0);
    pack_upload_free(upload);
    expect_missing(&push, 20);
    fault_store_fail(world.store, 10, -ENOSPC, 1);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    fault_store_heal(world.store);
    expect_missing(&push, 20);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.stored, 20);
    commit_push(&push);
}

static void test_no_room(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct open_push push;
    struct refusal why;
    size_t objects;

    open_push(&push, 20, 3000);
    pack_blobs(&push.sample, 0, 20, &pack);
    objects = world_object_count(&world);
    fault_store_left(world.store, PUSH_ROOM + pack.size - 1);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    assert_int_equal(world_object_count(&world), objects);
    fault_store_left(world.store, PUSH_ROOM + pack.size);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    fault_store_left(world.store, UINT64_MAX);
    commit_push(&push);
}

#define LARGE_COUNT 48

/* A small pack may unpack to what there is no room for: what was stored by then is kept. */
static void test_no_room_unpacked(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static uint8_t bytes[LARGE_COUNT][PACK_UPLOAD_MEMBER_MAX];
    static struct pack_upload_result result;
    struct span files[LARGE_COUNT];
    struct open_push push;
    struct refusal why;

    for (size_t i = 0; i < LARGE_COUNT; i++) {
        bytes[i][0] = (uint8_t)(i + 1);
        files[i] = span_of(bytes[i], sizeof(bytes[i]));
    }
    assert_true(sizeof(bytes) > PUSH_ROOM_STRIDE && sizeof(bytes) < 2 * PUSH_ROOM_STRIDE);
    sample_make_of(&push.sample, 5000 + ++serial, files, LARGE_COUNT);
    open_sample(&push);
    pack_blobs(&push.sample, 0, LARGE_COUNT, &pack);
    assert_true(pack.size < PUSH_ROOM_STRIDE / 4);
    fault_store_left(world.store, PUSH_ROOM + PUSH_ROOM_STRIDE - 1);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    fault_store_left(world.store, PUSH_ROOM + PUSH_ROOM_STRIDE);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    fault_store_left(world.store, UINT64_MAX);
    commit_push(&push);
}

static void test_of_another_token(void **state)
{
    struct pack_upload *upload;
    struct open_push push;
    struct caller other;
    struct refusal why = { 0 };
    char text[64];

    open_push(&push, 1, 100);
    world_token(&world, NULL, NULL, ACCESS_PUSH, &other, text);
    assert_int_equal(pack_upload_begin(world.services, &other, "p", "a", push.info.id, 0, &upload,
                                       &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    sample_release(&push.sample);
}

static int setup_memory(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int setup_file(void **state)
{
    world_open(&world, WORLD_FILE);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

/* The argument names the store: "memory" or "file". */
/* Two members came whole, of the third one its head: the two count. */
static void test_what_came_of_a_pack_that_broke_off(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    static struct pack_upload_result result;
    struct pack_upload *upload;
    struct open_push push;
    struct refusal why;

    open_push(&push, 3, 5000);
    pack_blobs(&push.sample, 0, 3, &pack);
    assert_int_equal(pack_upload_begin(world.services, &world.caller, "p", "a", push.info.id,
                                       pack.size, &upload, &why, NULL),
                     0);
    assert_int_equal(pack_upload_add(upload, span_slice(buf_span(&pack), 0, 12000), &why, NULL), 0);
    expect_missing(&push, 3);
    pack_upload_break_off(upload);
    pack_upload_free(upload);
    expect_missing(&push, 1);
    assert_int_equal(send_pack(&push, buf_span(&pack), &result, &why), 0);
    assert_int_equal(result.present, 2);
    assert_int_equal(result.stored, 1);
    commit_push(&push);
}

static void abandon(const struct open_push *push)
{
    size_t count;

    assert_int_equal(pushes_abandon(world.services, &world.caller, "p", "a", push->info.id, NULL,
                                    NULL),
                     0);
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
}

/* The rows go, and the tombstones with them, between the head of a member and its end: nothing may
 * be made of it that nobody knows of. */
static void test_a_push_that_ends_in_the_middle(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    const struct pack_upload_result *result;
    struct pack_upload *upload;
    struct open_push push;
    struct refusal why;
    size_t before;

    open_push(&push, 1, 5000);
    pack_blobs(&push.sample, 0, 1, &pack);
    assert_int_equal(pack_upload_begin(world.services, &world.caller, "p", "a", push.info.id,
                                       pack.size, &upload, &why, NULL),
                     0);
    assert_int_equal(pack_upload_add(upload, span_slice(buf_span(&pack), 0, 1000), &why, NULL), 0);
    abandon(&push);
    before = world_object_count(&world);
    assert_int_equal(pack_upload_add(upload, span_slice(buf_span(&pack), 1000, pack.size), &why,
                                     NULL),
                     0);
    assert_int_equal(pack_upload_end(upload, &result, &why, NULL), -ENOENT);
    pack_upload_free(upload);
    assert_int_equal(world_object_count(&world), before);
    sample_release(&push.sample);
}

/* The same of a blob that is made by a delta: its object is begun with its first bytes. */
static void test_a_push_that_ends_before_a_whole_blob(void **state)
{
    const struct sample_blob *blob;
    struct blob_upload *upload;
    struct open_push push;
    struct refusal why;
    uint64_t offset;
    size_t before;

    open_push(&push, 1, 3000000);
    blob = &push.sample.blobs[0];
    assert_int_equal(blob_upload_begin_whole(world.services, &world.caller, "p", "a", push.info.id,
                                             &blob->sha256, &upload, &why, NULL),
                     0);
    abandon(&push);
    before = world_object_count(&world);
    assert_int_equal(blob_upload_add(upload, span_of(blob->bytes, blob->size), &why, NULL), 0);
    assert_int_equal(blob_upload_end(upload, &offset, &why, NULL), -ENOENT);
    blob_upload_free(upload);
    assert_int_equal(world_object_count(&world), before);
    sample_release(&push.sample);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_than_a_batch),
        cmocka_unit_test(test_sizes_around_a_block),
        cmocka_unit_test(test_members_stand_alone),
        cmocka_unit_test(test_no_pack),
        cmocka_unit_test(test_too_large_a_member),
        cmocka_unit_test(test_busy_member),
        cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_of_another_token),
        cmocka_unit_test(test_what_came_of_a_pack_that_broke_off),
        cmocka_unit_test(test_a_push_that_ends_in_the_middle),
        cmocka_unit_test(test_a_push_that_ends_before_a_whole_blob),
        cmocka_unit_test(test_unwanted_members),
        cmocka_unit_test(test_present_members),
        cmocka_unit_test(test_too_many_bytes),
        cmocka_unit_test(test_failing_batch),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_no_room_unpacked),
    };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
