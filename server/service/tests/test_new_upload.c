/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/bitmap.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "server/db/push_blobs.h"
#include "server/db/push_new_blobs.h"
#include "server/service/content.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "tests/support/unit.h"

#define SIZE 2500000u
#define PART 1000000u
#define NEW 3u

/* An open push of unknown content, and a tree of two files. */
struct one {
    struct world world;
    struct sample sample;
    struct push_info open;
};
static struct one one;

static int setup(enum world_kind kind)
{
    struct pushes_request request = { .project = "p", .app = "a", .version = "1" };
    struct version_info version;
    enum pushes_outcome outcome;

    memset(&one, 0, sizeof(one));
    world_open(&one.world, kind);
    sample_make(&one.sample, 77, 2, SIZE);
    assert_int_equal(pushes_create(one.world.services, &one.world.caller, &request, &outcome,
                                   &one.open, &version, NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_OPEN);
    return 0;
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
    sample_release(&one.sample);
    world_close(&one.world);
    return 0;
}

static int begin(uint32_t number, const struct digest *sha256, uint64_t offset, uint64_t length,
                 uint64_t part, struct blob_upload **out, struct refusal *why)
{
    *out = NULL;
    memset(why, 0, sizeof(*why));
    return blob_upload_begin_new(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                 number, sha256, offset, length, part, out, why, NULL);
}

/* One part of `blob`, the last one with `sha256`. */
static int send_part(uint32_t number, const struct sample_blob *blob, const struct digest *sha256,
                     uint64_t at, uint64_t *out_offset, struct refusal *why)
{
    size_t size = blob->size - at < PART ? blob->size - (size_t)at : PART;
    struct blob_upload *upload;
    int r =
        begin(number, at + size == blob->size ? sha256 : NULL, at, blob->size, size, &upload, why);

    if (r == 0)
        r = blob_upload_add(upload, span_of(blob->bytes + at, size), why, NULL);
    if (r == 0)
        r = blob_upload_end(upload, out_offset, why, NULL);
    blob_upload_free(upload);
    return r;
}

static int send(uint32_t number, const struct sample_blob *blob, uint64_t at, struct refusal *why)
{
    int r = 0;

    while (r == 0 && at < blob->size)
        r = send_part(number, blob, &blob->sha256, at, &at, why);
    return r;
}

static uint64_t offset_of(uint32_t number)
{
    uint64_t offset, length;
    int r = blob_upload_offset_new(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                   number, &offset, &length, NULL, NULL);

    if (r == -ENOENT)
        return UINT64_MAX;
    assert_int_equal(r, 0);
    assert_true(length == SIZE || length == SIZE + 1);
    return offset;
}

static int put_listing(void)
{
    return sample_put_listing(&one.world, &one.world.caller, "p", "a", one.open.id,
                              buf_span(&one.sample.listing), NULL, NULL);
}

/* Listing and times, what is missing by its digest, and the commit. How many were missing. */
static size_t finish(void)
{
    cleanup(buf_release) struct buf bitmap = buf_init(BUF_UNLIMITED);
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct error err = { 0 };
    size_t missing = 0;
    int r;

    assert_int_equal(put_listing(), 0);
    assert_int_equal(sample_put_times(&one.world, &one.world.caller, "p", "a", one.open.id,
                                      buf_span(&one.sample.times), NULL, NULL),
                     0);
    assert_int_equal(pushes_missing(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                    &bitmap, NULL, NULL),
                     0);
    for (size_t i = 0; i < one.sample.count; i++) {
        if (!bitmap_get(bitmap.bytes, i))
            continue;
        missing++;
        assert_int_equal(sample_put_blob(&one.world, &one.world.caller, "p", "a", one.open.id,
                                         &one.sample.blobs[i], PART, NULL, NULL),
                         0);
    }
    r = pushes_commit(one.world.services, &one.world.caller, "p", "a", one.open.id,
                      &one.sample.content, &outcome, &info, NULL, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    sample_check(&one.world, "p", "a", info.record.version, &one.sample);
    version_info_release(&info);
    return missing;
}

static void test_sent_before_it_is_known(void **state)
{
    struct refusal why;

    assert_true(offset_of(NEW) == UINT64_MAX);
    assert_int_equal(send(NEW, &one.sample.blobs[0], 0, &why), 0);
    assert_int_equal(offset_of(NEW), SIZE);
    assert_int_equal(finish(), 1);
}

static void test_all_in_one_part(void **state)
{
    const struct sample_blob *blob;
    struct blob_upload *upload;
    struct refusal why;
    uint64_t offset;

    sample_release(&one.sample);
    sample_make(&one.sample, 78, 2, 5000);
    blob = &one.sample.blobs[1];
    assert_int_equal(begin(0, &blob->sha256, 0, blob->size, blob->size, &upload, &why), 0);
    assert_int_equal(blob_upload_add(upload, span_of(blob->bytes, blob->size), &why, NULL), 0);
    assert_int_equal(blob_upload_end(upload, &offset, &why, NULL), 0);
    blob_upload_free(upload);
    assert_int_equal(offset, blob->size);
    assert_int_equal(finish(), 1);
}

static void test_goes_on_in_another_process(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct refusal why;
    uint64_t at = 0;

    while (at < blob->size) {
        assert_int_equal(send_part(NEW, blob, &blob->sha256, at, &at, &why), 0);
        world_restart(&one.world);
        assert_int_equal(offset_of(NEW), at);
    }
    assert_int_equal(finish(), 1);
}

static void test_wrong_offset(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct refusal why;
    uint64_t at = 0;

    assert_int_equal(send_part(NEW, blob, &blob->sha256, PART, &at, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_OFFSET_MISMATCH);
    assert_int_equal(why.expected_offset, 0);
    assert_int_equal(send_part(NEW, blob, &blob->sha256, 0, &at, &why), 0);
    assert_int_equal(send_part(NEW, blob, &blob->sha256, 0, &at, &why), -EBUSY);
    assert_int_equal(why.expected_offset, PART);
    assert_int_equal(send(NEW, blob, PART, &why), 0);
    assert_int_equal(finish(), 1);
}

/* Nothing is named that was not verified, so nothing is left that nobody wants. */
static void test_a_wrong_digest_names_nothing(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct refusal why;
    uint64_t at = 0;

    while (at < 2 * PART)
        assert_int_equal(send_part(NEW, blob, NULL, at, &at, &why), 0);
    assert_int_equal(send_part(NEW, blob, &one.sample.content, at, &at, &why), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_true(digest_equal(&why.expected, &one.sample.content));
    assert_true(digest_equal(&why.actual, &blob->sha256));
    assert_int_equal(offset_of(NEW), 0);
    assert_int_equal(send(NEW, blob, 0, &why), 0);
    assert_int_equal(finish(), 1);
}

static void test_what_is_refused_at_once(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct blob_upload *upload;
    struct refusal why;
    uint64_t at = 0;

    assert_int_equal(begin(NEW, NULL, 0, 1000, 1000, &upload, &why), -EINVAL); /* no digest */
    assert_int_equal(begin(65536, NULL, 0, SIZE, PART, &upload, &why), -ENOENT);
    assert_int_equal(begin(NEW, NULL, 0, (uint64_t)1 << 60, PART, &upload, &why), -EINVAL);
    assert_int_equal(begin(NEW, NULL, 0, SIZE, 100u << 20, &upload, &why), -EFBIG);
    assert_int_equal(begin(NEW, NULL, SIZE, SIZE, PART, &upload, &why), -EINVAL);
    assert_true(offset_of(NEW) == UINT64_MAX);
    assert_int_equal(send_part(NEW, blob, NULL, 0, &at, &why), 0);
    assert_int_equal(begin(NEW, NULL, at, SIZE + 1, PART, &upload, &why), -EINVAL);
    assert_int_equal(offset_of(NEW), PART);
}

static void test_one_at_a_time(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct blob_upload *first, *second;
    struct refusal why;
    uint64_t at = 0;

    assert_int_equal(begin(NEW, NULL, 0, SIZE, PART, &first, &why), 0);
    assert_int_equal(begin(NEW, NULL, 0, SIZE, PART, &second, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PUSH_BUSY);
    blob_upload_free(first);
    assert_int_equal(send_part(NEW, blob, NULL, 0, &at, &why), 0);
    assert_int_equal(put_listing(), 0);
    /* while it is sent by its digest it cannot get that for a name */
    assert_int_equal(blob_upload_begin(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                       &blob->sha256, 0, SIZE, PART, &first, &why, NULL),
                     0);
    assert_int_equal(send(NEW, blob, at, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PUSH_BUSY);
    assert_int_equal(offset_of(NEW), 2 * PART);
    blob_upload_free(first);
    assert_int_equal(send(NEW, blob, 2 * PART, &why), 0);
    assert_int_equal(finish(), 1);
}

static void test_the_last_part_again(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct refusal why;
    uint64_t at = 0;

    assert_int_equal(send(NEW, blob, 0, &why), 0);
    assert_int_equal(send_part(NEW, blob, &blob->sha256, 2 * PART, &at, &why), 0);
    assert_int_equal(at, SIZE);
    assert_int_equal(send_part(NEW, blob, &one.sample.content, 2 * PART, &at, &why), -EBADMSG);
    assert_int_equal(finish(), 1);
}

static void test_two_of_the_same_bytes(void **state)
{
    struct refusal why;

    assert_int_equal(send(NEW, &one.sample.blobs[0], 0, &why), 0);
    assert_int_equal(send(NEW + 1, &one.sample.blobs[0], 0, &why), 0);
    assert_int_equal(offset_of(NEW + 1), SIZE);
    assert_int_equal(finish(), 1);
}

/* What others have is received, and not kept twice. */
static void test_bytes_that_are_there_already(void **state)
{
    enum pushes_outcome outcome;
    size_t before;
    struct refusal why;

    assert_int_equal(sample_push(&one.world, &one.world.caller, "other", "app", "1", &one.sample,
                                 &outcome, NULL, NULL, NULL),
                     0);
    before = world_object_count(&one.world);
    assert_int_equal(send(NEW, &one.sample.blobs[0], 0, &why), 0);
    assert_int_equal(finish(), 0);
    /* the surplus object and its tree are the tombstones' */
    assert_true(world_object_count(&one.world) <= before + 3);
}

static void test_what_the_listing_does_not_name(void **state)
{
    struct sample other;
    struct content *content;
    struct refusal why;

    sample_make(&other, 1, 1, SIZE);
    assert_int_equal(send(0, &other.blobs[0], 0, &why), 0);
    assert_int_equal(finish(), 2);
    /* it is no part of the version */
    assert_int_equal(content_open_blob(one.world.services, &one.world.caller.identity, "p", "a",
                                       "1", &other.blobs[0].sha256, &content, &why, NULL),
                     -ENOENT);
    sample_release(&other);
}

static void test_not_named_by_a_listing_that_is_there(void **state)
{
    struct sample other;
    struct refusal why;

    sample_make(&other, 1, 1, SIZE);
    assert_int_equal(put_listing(), 0);
    assert_int_equal(send(0, &other.blobs[0], 0, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(finish(), 2);
    sample_release(&other);
}

static void test_one_that_is_never_finished(void **state)
{
    struct refusal why;
    uint64_t at = 0;

    assert_int_equal(send_part(NEW, &one.sample.blobs[0], NULL, 0, &at, &why), 0);
    assert_int_equal(finish(), 2);
}

/* The disk fails when all is there but not durable: the name is given by then, and what is left is
 * sent by it or by new-N. */
static void test_the_store_fails_at_the_end(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    struct refusal why;
    uint64_t at = 0;

    while (at < 2 * PART)
        assert_int_equal(send_part(NEW, blob, NULL, at, &at, &why), 0);
    for (int64_t calls = 1; calls < 20; calls++) {
        int r;

        fault_store_fail(one.world.store, calls, -EIO, 0);
        r = send_part(NEW, blob, &blob->sha256, at, &at, &why);
        fault_store_heal(one.world.store);
        if (r == 0)
            break;
        assert_int_equal(r, -EIO);
        if (offset_of(NEW) != at)
            at = offset_of(NEW);
        while (at < 2 * PART)
            assert_int_equal(send_part(NEW, blob, NULL, at, &at, &why), 0);
    }
    assert_int_equal(offset_of(NEW), SIZE);
    assert_int_equal(finish(), 1);
}

/* A listing may name any digest, the stand-in of new-N too, whose bytes are then sent by that name:
 * they are another upload, and nothing of it gets into the first one's tree. */
static void name_stand_in(const struct sample_blob *blob, const struct digest *stand_in)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup_memory struct listing_writer *writer = memory_new(sizeof(*writer));
    struct entry entries[2] = {
        { .kind = ENTRY_FILE, .mode = 0644, .path = span_text("a"), .sha256 = blob->sha256 },
        { .kind = ENTRY_FILE, .mode = 0644, .path = span_text("b"), .sha256 = *stand_in },
    };
    struct listing_totals totals;

    assert_non_null(writer);
    assert_int_equal(listing_writer_init(writer, sink_to_buf(&listing), NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        entries[i].size = blob->size;
        assert_int_equal(listing_writer_add(writer, &entries[i], NULL), 0);
    }
    assert_int_equal(listing_writer_end(writer, &totals, NULL), 0);
    assert_int_equal(sample_put_listing(&one.world, &one.world.caller, "p", "a", one.open.id,
                                        buf_span(&listing), NULL, NULL),
                     0);
}

static void test_another_upload_by_its_stand_in(void **state)
{
    const struct sample_blob *blob = &one.sample.blobs[0];
    const struct digest stand_in = push_new_blob_stand_in(1, NEW);
    cleanup_memory uint8_t *garbage = memory_new(PART);
    struct push_new_blob found;
    struct blob_upload *upload;
    struct push_blob row;
    struct digest verity;
    struct refusal why;
    uint64_t at = 0, offset;

    assert_non_null(garbage);
    assert_int_equal(send_part(NEW, blob, &blob->sha256, 0, &at, &why), 0);
    assert_int_equal(push_new_blob_get(one.world.database, 1, NEW, &found, NULL), 0);
    name_stand_in(blob, &stand_in);
    assert_int_equal(blob_upload_begin(one.world.services, &one.world.caller, "p", "a", one.open.id,
                                       &stand_in, 0, blob->size, PART, &upload, &why, NULL),
                     0);
    assert_int_equal(blob_upload_add(upload, span_of(garbage, PART), &why, NULL), 0);
    assert_int_equal(blob_upload_end(upload, &offset, &why, NULL), 0);
    assert_int_equal(offset, PART);
    blob_upload_free(upload);
    assert_int_equal(send(NEW, blob, at, &why), 0);
    assert_int_equal(push_blob_get(one.world.database, 1, &blob->sha256, &row, NULL), 0);
    assert_int_equal(row.blob.state, BLOB_LIVE);
    assert_int_equal(merkle_verity_of(span_of(blob->bytes, blob->size), &verity, NULL), 0);
    assert_true(digest_equal(&row.blob.verity, &verity));
}

int main(int argc, char **argv)
{
    bool on_disk = argc > 1 && strcmp(argv[1], "file") == 0;
#define TEST(name)                                                       \
    {                                                                    \
#name, name, on_disk ? setup_file : setup_memory, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        TEST(test_sent_before_it_is_known),
        TEST(test_all_in_one_part),
        TEST(test_goes_on_in_another_process),
        TEST(test_wrong_offset),
        TEST(test_a_wrong_digest_names_nothing),
        TEST(test_what_is_refused_at_once),
        TEST(test_one_at_a_time),
        TEST(test_the_last_part_again),
        TEST(test_two_of_the_same_bytes),
        TEST(test_bytes_that_are_there_already),
        TEST(test_what_the_listing_does_not_name),
        TEST(test_not_named_by_a_listing_that_is_there),
        TEST(test_one_that_is_never_finished),
        TEST(test_another_upload_by_its_stand_in),
        TEST(test_the_store_fails_at_the_end),
    };

    return cmocka_run_group_tests_name("new_upload", tests, NULL, NULL);
}
