/* SPDX-License-Identifier: MIT */
#include "server/service/delta_upload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/delta.h"
#include "server/db/database.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/content.h"
#include "server/service/delta_body.h"
#include "server/service/push_door.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

#define SIZE ((size_t)900000)
#define CHANGE 500000 /* where the targets differ */

/* A version `old` with the base, and pushes of targets that are near to it. */
static struct world world;
static struct sample old, hidden;
static struct sample target; /* of the push that is open */
static struct push_info open_push;
static unsigned serial;

static int setup(enum world_kind kind)
{
    enum pushes_outcome outcome;
    int r;

    world_open(&world, kind);
    sample_make(&old, 61, 1, SIZE);
    sample_make(&hidden, 62, 1, SIZE);
    memset(&target, 0, sizeof(target));
    r = sample_push(&world, &world.caller, "p", "a", "old", &old, &outcome, NULL, NULL, NULL);
    if (r == 0)
        r = sample_push(&world, &world.caller, "other", "a", "1", &hidden, &outcome, NULL, NULL,
                        NULL);
    return r;
}

static int setup_memory(void **state)
{
    return setup(WORLD_MEMORY);
}

static int setup_file(void **state)
{
    return setup(WORLD_FILE);
}

static int teardown(void **state)
{
    sample_release(&old);
    sample_release(&hidden);
    sample_release(&target);
    world_close(&world);
    return 0;
}

/* A new push of a target that nobody has, of `caller`. */
static void begin_push(const struct caller *caller)
{
    char version[24];
    cleanup_memory uint8_t *bytes = memory_copy(old.blobs[0].bytes, SIZE);
    const struct span file = span_of(bytes, SIZE);

    sample_release(&target);
    serial++;
    memcpy(bytes + CHANGE, &serial, sizeof(serial));
    sample_make_of(&target, serial, &file, 1);
    snprintf(version, sizeof(version), "v%u", serial);
    sample_open(&world, caller, "p", "a", version, &target, &open_push);
    sample_describe(&world, caller, "p", "a", open_push.id, &target);
}

/* The delta of the target from these bytes, under these names. */
static void make_delta(const struct sample_blob *base, const struct sample_blob *to,
                       const uint8_t change[4], struct buf *out)
{
    const struct delta_header header = { base->sha256, to->sha256, base->size, to->size };
    struct delta_writer *writer;

    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(out), NULL), 0);
    assert_int_equal(delta_writer_copy(writer, 0, CHANGE, NULL), 0);
    assert_int_equal(delta_writer_data(writer, change, 4, NULL), 0);
    assert_int_equal(delta_writer_copy(writer, CHANGE + 4, SIZE - CHANGE - 4, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    delta_writer_free(writer);
}

static void right_delta(struct buf *out)
{
    make_delta(&old.blobs[0], &target.blobs[0], target.blobs[0].bytes + CHANGE, out);
}

static int send(const struct caller *caller, const struct digest *sha256, struct span delta,
                struct refusal *why)
{
    struct delta_upload *upload = NULL;
    struct error err = { 0 };
    uint64_t offset = 0;
    int r;

    memset(why, 0, sizeof(*why));
    r = delta_upload_begin(world.services, caller, "p", "a", open_push.id, sha256, delta.size,
                           &upload, why, &err);
    for (size_t at = 0; r == 0 && at < delta.size; at += 7)
        r = delta_upload_add(upload, span_slice(delta, at, 7), why, &err);
    if (r == 0)
        r = delta_upload_end(upload, &offset, why, &err);
    if (r == 0)
        assert_int_equal(offset, SIZE);
    else
        assert_int_equal(err.code, r);
    delta_upload_free(upload);
    return r;
}

static int send_target(struct span delta, struct refusal *why)
{
    return send(&world.caller, &target.blobs[0].sha256, delta, why);
}

static uint64_t offset_now(void)
{
    uint64_t offset, length;

    assert_int_equal(blob_upload_offset(world.services, &world.caller, "p", "a", open_push.id,
                                        &target.blobs[0].sha256, &offset, &length, NULL, NULL),
                     0);
    return offset;
}

static void commit_and_check(const struct caller *caller)
{
    struct version_info info = { 0 };
    enum pushes_outcome outcome;

    assert_int_equal(pushes_commit(world.services, caller, "p", "a", open_push.id, NULL, &outcome,
                                   &info, NULL, NULL),
                     0);
    sample_check(&world, "p", "a", info.record.version, &target);
    version_info_release(&info);
}

static void test_made_and_verified(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct content *content;
    struct refusal why;
    char version[24];

    begin_push(&world.caller);
    right_delta(&delta);
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    assert_int_equal(offset_now(), SIZE);
    /* There already: taken and dropped, whatever it is. */
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    assert_int_equal(send_target(span_text("nonsense"), &why), 0);
    commit_and_check(&world.caller);
    /* The base was held, and did not become a part of the version. */
    snprintf(version, sizeof(version), "v%u", serial);
    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "a", version,
                                       &old.blobs[0].sha256, &content, NULL, NULL),
                     -ENOENT);
}

static void test_parts_before_it_are_forgotten(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct blob_upload *part;
    struct refusal why;
    uint64_t offset;

    begin_push(&world.caller);
    right_delta(&delta);
    assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "a", open_push.id,
                                       &target.blobs[0].sha256, 0, SIZE, 1000, &part, &why, NULL),
                     0);
    /* While somebody else is writing it: later. */
    assert_int_equal(send_target(buf_span(&delta), &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PUSH_BUSY);
    assert_int_equal(blob_upload_add(part, span_of(old.blobs[0].bytes, 1000), &why, NULL), 0);
    assert_int_equal(blob_upload_end(part, &offset, &why, NULL), 0);
    blob_upload_free(part);
    assert_int_equal(offset_now(), 1000);
    world_restart(&world);
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    commit_and_check(&world.caller);
}

static void test_a_delta_that_lies(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    size_t objects;
    struct refusal why;

    begin_push(&world.caller);
    objects = world_object_count(&world);
    make_delta(&old.blobs[0], &target.blobs[0], (const uint8_t *)"lie!", &delta);
    assert_int_equal(send_target(buf_span(&delta), &why), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_true(digest_equal(&why.expected, &target.blobs[0].sha256));
    assert_int_equal(world_object_count(&world), objects);
    assert_int_equal(offset_now(), 0);
    buf_clear(&delta);
    right_delta(&delta);
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    commit_and_check(&world.caller);
}

static void test_broken_deltas(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct sample_blob other;
    size_t objects;
    struct refusal why;

    begin_push(&world.caller);
    objects = world_object_count(&world);
    right_delta(&delta);
    /* Cut anywhere: in the header, behind it, in a frame, before the end. */
    for (size_t cut = 0; cut < delta.size; cut += cut < 80 ? 40 : 5) {
        assert_int_equal(send_target(span_slice(buf_span(&delta), 0, cut), &why), -EINVAL);
        assert_int_equal(why.code, REFUSAL_VALIDATION);
    }
    buf_add_byte(&delta, 0);
    assert_int_equal(send_target(buf_span(&delta), &why), -EINVAL);
    /* Another target than the path says, another size of either. */
    buf_clear(&delta);
    make_delta(&old.blobs[0], &old.blobs[0], target.blobs[0].bytes, &delta);
    assert_int_equal(send_target(buf_span(&delta), &why), -EINVAL);
    buf_clear(&delta);
    right_delta(&delta);
    delta.bytes[80]++;
    assert_int_equal(send_target(buf_span(&delta), &why), -EINVAL);
    buf_clear(&delta);
    other = old.blobs[0];
    other.size++;
    make_delta(&other, &target.blobs[0], target.blobs[0].bytes + CHANGE, &delta);
    assert_int_equal(send_target(buf_span(&delta), &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_int_equal(world_object_count(&world), objects);
    assert_int_equal(offset_now(), 0);
}

static void test_bases(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf unknown = buf_init(BUF_UNLIMITED);
    struct sample_blob nowhere = old.blobs[0];
    struct caller insider, pusher;
    struct refusal why, why_unknown;
    char text[64];

    world_token(&world, "p", NULL, ACCESS_PULL | ACCESS_PUSH, &insider, text);
    begin_push(&insider);
    nowhere.sha256 = digest_of("nowhere", 7);
    make_delta(&hidden.blobs[0], &target.blobs[0], target.blobs[0].bytes + CHANGE, &delta);
    make_delta(&nowhere, &target.blobs[0], target.blobs[0].bytes + CHANGE, &unknown);
    /* There, but not for this token: like one that does not exist. */
    assert_int_equal(send(&insider, &target.blobs[0].sha256, buf_span(&delta), &why), -ENOENT);
    assert_int_equal(send(&insider, &target.blobs[0].sha256, buf_span(&unknown), &why_unknown),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_memory_equal(&why, &why_unknown, sizeof(why));
    buf_clear(&delta);
    right_delta(&delta);
    assert_int_equal(send(&insider, &target.blobs[0].sha256, buf_span(&delta), &why), 0);
    commit_and_check(&insider);
    /* A token that may push and not pull has no bases. */
    world_token(&world, "p", NULL, ACCESS_PUSH, &pusher, text);
    begin_push(&pusher);
    buf_clear(&delta);
    right_delta(&delta);
    assert_int_equal(send(&pusher, &target.blobs[0].sha256, buf_span(&delta), &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
}

static void test_what_the_push_does_not_want(void **state)
{
    struct delta_upload *upload = NULL;
    struct refusal why = { 0 };

    begin_push(&world.caller);
    assert_int_equal(delta_upload_begin(world.services, &world.caller, "p", "a", open_push.id,
                                        &hidden.blobs[0].sha256, 0, &upload, &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(delta_upload_begin(world.services, &world.caller, "p", "a",
                                        "00000000000000000000000000000000", &target.blobs[0].sha256,
                                        0, &upload, &why, NULL),
                     -ENOENT);
}

static void test_a_body_larger_than_a_part(void **state)
{
    cleanup_memory uint8_t *bytes = memory_new((size_t)2 << 20);
    struct refusal why;

    begin_push(&world.caller);
    assert_int_equal(send_target(span_of(bytes, (size_t)2 << 20), &why), -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    assert_int_equal(offset_now(), 0);
}

/* Ended by the n-th call of the store failing, and as a killed process: nothing is half there. */
static void test_a_store_that_fails(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct refusal why;
    int r;

    begin_push(&world.caller);
    right_delta(&delta);
    for (int64_t after = 0; after < 40; after++) {
        world_restart(&world); /* so that the base is not open */
        fault_store_fail(world.store, after, -EIO, 1);
        r = send_target(buf_span(&delta), &why);
        world_restart(&world);
        if (r == 0)
            break;
        assert_int_equal(r, -EIO);
        assert_int_equal(offset_now() % SIZE, 0);
    }
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    commit_and_check(&world.caller);
}

/* The base goes bad, or is gone, or was given up: it is no base, or it lives again. */
static void test_bases_that_go(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct push push = push_empty();
    struct sample base;
    enum pushes_outcome outcome;
    struct push_blob row;
    struct refusal why;

    /* A base of its own, which no other test needs. */
    sample_make(&base, 63, 1, SIZE);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "base", &base, &outcome, NULL,
                                 NULL, NULL),
                     0);
    begin_push(&world.caller);
    make_delta(&base.blobs[0], &target.blobs[0], target.blobs[0].bytes + CHANGE, &delta);
    /* It exists: other bytes come of it. */
    assert_int_equal(send_target(buf_span(&delta), &why), -EBADMSG);
    /* Its object goes. */
    sample_open(&world, &world.caller, "p", "a", "again", &base, &open_push);
    assert_int_equal(sample_put_listing(&world, &world.caller, "p", "a", open_push.id,
                                        buf_span(&base.listing), NULL, NULL),
                     0);
    assert_int_equal(push_get(world.database, "p", "a", open_push.id, world.caller.identity.id,
                              &push, NULL),
                     0);
    assert_int_equal(push_blob_get(world.database, push.number, &base.blobs[0].sha256, &row, NULL),
                     0);
    push_release(&push);
    begin_push(&world.caller);
    buf_clear(&delta);
    make_delta(&base.blobs[0], &target.blobs[0], target.blobs[0].bytes + CHANGE, &delta);
    world_restart(&world);
    assert_int_equal(blob_store_remove(world.inner, row.blob.key, NULL), 0);
    assert_int_equal(send_target(buf_span(&delta), &why), -EIO);
    assert_int_equal(why.code, REFUSAL_STORAGE);
    /* Known to be lost by now. */
    assert_int_equal(send_target(buf_span(&delta), &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    sample_release(&base);
}

/* 1000 bytes of the target, as an agent sends them. */
static void send_a_part(void)
{
    struct blob_upload *part;
    uint64_t offset;

    assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "a", open_push.id,
                                       &target.blobs[0].sha256, 0, SIZE, 1000, &part, NULL, NULL),
                     0);
    assert_int_equal(blob_upload_add(part, span_of(target.blobs[0].bytes, 1000), NULL, NULL), 0);
    assert_int_equal(blob_upload_end(part, &offset, NULL, NULL), 0);
    blob_upload_free(part);
}

/* What makes nothing takes nothing away. */
static void test_parts_stay_where_nothing_is_made(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf unknown = buf_init(BUF_UNLIMITED);
    struct sample_blob nowhere = old.blobs[0];
    struct refusal why;

    begin_push(&world.caller);
    right_delta(&delta);
    nowhere.sha256 = digest_of("nowhere", 7);
    make_delta(&nowhere, &target.blobs[0], target.blobs[0].bytes + CHANGE, &unknown);
    send_a_part();
    assert_int_equal(send_target(span_text("junk"), &why), -EINVAL);
    assert_int_equal(offset_now(), 1000);
    assert_int_equal(send_target(buf_span(&unknown), &why), -ENOENT);
    assert_int_equal(offset_now(), 1000);
    assert_int_equal(send_target(span_slice(buf_span(&delta), 0, DELTA_HEADER_SIZE), &why),
                     -EINVAL);
    assert_int_equal(offset_now(), 1000);
    services_stop(world.services);
    assert_int_equal(send_target(buf_span(&delta), &why), -EAGAIN);
    assert_int_equal(offset_now(), 1000);
    world_restart(&world);
    /* They are gone on with, or a delta makes it all. */
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    commit_and_check(&world.caller);
}

static void test_no_room(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct refusal why;

    begin_push(&world.caller);
    right_delta(&delta);
    send_a_part();
    fault_store_left(world.store, PUSH_ROOM + SIZE - 1);
    assert_int_equal(send_target(buf_span(&delta), &why), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    assert_int_equal(offset_now(), 1000);
    fault_store_left(world.store, PUSH_ROOM + SIZE + delta.size);
    assert_int_equal(send_target(buf_span(&delta), &why), 0);
    fault_store_left(world.store, UINT64_MAX);
    commit_and_check(&world.caller);
}

/* Prefixes of the whole base in many small frames. */
static void test_a_dear_delta(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), frame = buf_init(1000);
    static const uint8_t zeros[100];
    struct refusal why;

    begin_push(&world.caller);
    assert_int_equal(zstd_compress(span_of(zeros, sizeof(zeros)), 3, &frame, NULL), 0);
    right_delta(&delta);
    delta.size = DELTA_HEADER_SIZE;
    for (size_t i = 0; i < SIZE / sizeof(zeros); i++) {
        buf_add_byte(&delta, 2);
        buf_add_u32(&delta, sizeof(zeros));
        buf_add_u32(&delta, (uint32_t)frame.size);
        buf_add_byte(&delta, 2);
        buf_add_u64(&delta, i % 2);
        buf_add_u64(&delta, SIZE - 1);
        buf_add_span(&delta, buf_span(&frame));
    }
    buf_add_byte(&delta, 0);
    assert_int_equal(send_target(buf_span(&delta), &why), -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    assert_int_equal(offset_now(), 0);
}

/* A body whose frames are cut off would be a broken one: its size alone is looked at. */
static void test_a_delta_that_makes_too_much(void **state)
{
    const struct span file = span_text("a base of a few bytes");
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    cleanup_memory uint8_t *zeros = memory_new((size_t)4 << 20);
    struct delta_upload *upload = NULL;
    struct refusal why = { 0 };
    enum pushes_outcome outcome;
    struct sample base, large;
    uint64_t offset;

    begin_push(&world.caller);
    sample_make_of(&base, 64, &file, 1);
    sample_make_of(&large, 65, &(struct span){ zeros, (size_t)4 << 20 }, 1);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "tiny", &base, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_open(&world, &world.caller, "p", "a", "large", &large, &open_push);
    assert_int_equal(sample_put_listing(&world, &world.caller, "p", "a", open_push.id,
                                        buf_span(&large.listing), NULL, NULL),
                     0);
    buf_add(&delta, DELTA_MAGIC, 8);
    buf_add(&delta, base.blobs[0].sha256.bytes, DIGEST_SIZE);
    buf_add(&delta, large.blobs[0].sha256.bytes, DIGEST_SIZE);
    buf_add_u64(&delta, base.blobs[0].size);
    buf_add_u64(&delta, large.blobs[0].size);
    for (int i = 0; i < 2; i++) {
        const bool enough = i > 0;

        assert_int_equal(delta_upload_begin(world.services, &world.caller, "p", "a", open_push.id,
                                            &large.blobs[0].sha256, delta.size, &upload, &why,
                                            NULL),
                         0);
        if (enough)
            buf_add_zeros(&delta, ((size_t)4 << 20) / DELTA_BODY_TIMES);
        assert_int_equal(delta_upload_add(upload, buf_span(&delta), &why, NULL), 0);
        assert_int_equal(delta_upload_end(upload, &offset, &why, NULL), enough ? -EINVAL : -EFBIG);
        assert_int_equal(why.code, enough ? REFUSAL_VALIDATION : REFUSAL_TOO_LARGE);
        delta_upload_free(upload);
    }
    sample_release(&base);
    sample_release(&large);
}

static int stop_at_once(void *context, const void *bytes, size_t size, struct error *err)
{
    ++*(unsigned *)context;
    services_stop(world.services);
    return 0;
}

/* In the middle of a frame that makes 500,000 bytes, and with more frames in the same feed. */
static void test_the_server_stops(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct push push = push_empty();
    struct delta_header header;
    struct delta_body body;
    unsigned writes = 0;

    begin_push(&world.caller);
    right_delta(&delta);
    assert_int_equal(push_get(world.database, "p", "a", open_push.id, world.caller.identity.id,
                              &push, NULL),
                     0);
    delta_body_init(&body, world.services, SIZE);
    assert_int_equal(delta_body_add(&body, buf_span(&delta), NULL, NULL), 0);
    assert_int_equal(delta_body_header(&body, &header, NULL, NULL), 0);
    assert_int_equal(delta_body_make(&body, push.number, &world.caller.identity, &header,
                                     (struct sink){ stop_at_once, &writes }, NULL, NULL),
                     -EAGAIN);
    assert_int_equal(writes, 1);
    delta_body_release(&body);
    push_release(&push);
    world_restart(&world);
}

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_and_verified),
        cmocka_unit_test(test_parts_before_it_are_forgotten),
        cmocka_unit_test(test_a_delta_that_lies),
        cmocka_unit_test(test_broken_deltas),
        cmocka_unit_test(test_bases),
        cmocka_unit_test(test_what_the_push_does_not_want),
        cmocka_unit_test(test_a_body_larger_than_a_part),
        cmocka_unit_test(test_a_store_that_fails),
        cmocka_unit_test(test_bases_that_go),
        cmocka_unit_test(test_parts_stay_where_nothing_is_made),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_a_dear_delta),
        cmocka_unit_test(test_a_delta_that_makes_too_much),
        cmocka_unit_test(test_the_server_stops),
    };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
