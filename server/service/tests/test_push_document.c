/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/delta.h"
#include "common/model/listing.h"
#include "server/service/push_door.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

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

static void open_bare(struct push_info *out)
{
    const struct pushes_request request = { .project = "p", .app = "a", .version = "1" };
    struct version_info version;
    enum pushes_outcome outcome;

    assert_int_equal(pushes_create(world.services, &world.caller, &request, &outcome, out, &version,
                                   NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_OPEN);
}

static int put(const char *id, enum push_document_kind kind, enum push_document_coding coding,
               struct span body, size_t piece, struct refusal *why, struct error *err)
{
    struct push_document *document = NULL;
    int r;

    memset(why, 0, sizeof(*why));
    r = push_document_begin(world.services, &world.caller, "p", "a", id, kind, coding, body.size,
                            &document, why, err);
    for (size_t at = 0; at < body.size && r == 0; at += piece)
        r = push_document_add(document, span_slice(body, at, piece), why, err);
    if (r == 0)
        r = push_document_end(document, why, err);
    push_document_free(document);
    return r;
}

/* A listing from text in which '|' stands for NUL. */
static struct span text_listing(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] == '|')
            text[i] = '\0';
    return span_of(text, size);
}

#define SHA "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define SHB "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5ab0d4d1f0f0f0f0"

static void test_bad_listings(void **state)
{
    static const char *const bad[] = {
        "kkartifact-listing-2|",
        "kkartifact-listing-1",
        "kkartifact-listing-1|f 0644 5 " SHA " ../x|",
        "kkartifact-listing-1|f 0644 5 " SHA " /abs|",
        "kkartifact-listing-1|d 0755 a|f 0644 5 " SHA " a/./b|",
        "kkartifact-listing-1|f 0644 5 " SHA " a|f 0644 5 " SHA " a|",
        "kkartifact-listing-1|f 0644 5 " SHA " b|f 0644 5 " SHA " a|",
        "kkartifact-listing-1|f 0644 5 " SHA " a|f 0644 5 " SHA " a/b|",
        "kkartifact-listing-1|f 0644 5 " SHA " a/b|",
        "kkartifact-listing-1|f 0644 9223372036854775808 " SHA " a|",
        "kkartifact-listing-1|f 0644 -5 " SHA " a|",
        "kkartifact-listing-1|f 0644 05 " SHA " a|",
        "kkartifact-listing-1|f 644 5 " SHA " a|",
        "kkartifact-listing-1|f 4755 5 " SHA " a|",
        "kkartifact-listing-1|f 0644 5 abc a|",
        "kkartifact-listing-1|f 0644 0 " SHA " a|",
        "kkartifact-listing-1|l a||",
        "kkartifact-listing-1|d 0755 .kkartifact|",
        "kkartifact-listing-1|f 0644 5 " SHA " .kkartifact.yml|",
        "kkartifact-listing-1|p 0644 fifo|",
        "kkartifact-listing-1|d 0755 a",
        "kkartifact-listing-1|d 0755 a|x",
        "<!DOCTYPE html><html>",
        "",
        /* one digest, two sizes */
        "kkartifact-listing-1|f 0644 5 " SHA " a|f 0644 6 " SHA " b|",
    };
    struct push_info open;

    open_bare(&open);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cleanup_memory char *text = memory_text(bad[i]);
        struct span body = text_listing(text, strlen(bad[i]));

        for (size_t piece = 1; piece < 10000; piece = piece * 50 + 3) {
            struct refusal why;
            struct error err = { 0 };
            int r =
                put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN, body, piece, &why, &err);

            if (r != -EINVAL)
                print_error("%zu: %s: %d %s\n", i, bad[i], r, err.text);
            assert_int_equal(r, -EINVAL);
            assert_int_equal(why.code, REFUSAL_VALIDATION);
            assert_string_not_equal(err.text, "");
        }
    }
    assert_int_equal(pushes_get(world.services, &world.caller, "p", "a", open.id, &open, NULL,
                                NULL),
                     0);
    assert_true(open.wants_listing);
}

static void test_a_million_of_garbage(void **state)
{
    cleanup(buf_release) struct buf body = buf_init(BUF_UNLIMITED);
    struct push_info open;
    struct refusal why;

    open_bare(&open);
    buf_add(&body, LISTING_MAGIC, LISTING_MAGIC_SIZE);
    for (size_t i = 0; i < 1000000; i++)
        buf_add(&body, "d 0755 garbage", 15);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN, buf_span(&body),
                         65536, &why, NULL),
                     -EINVAL);
}

static void test_zstd(void **state)
{
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    struct sample sample;
    struct push_info open;
    struct refusal why;

    sample_make(&sample, 1, 50, 100);
    assert_int_equal(zstd_compress(buf_span(&sample.listing), 3, &frame, NULL), 0);
    open_bare(&open);
    /* damaged, cut, with something behind, and plain text that says it is zstd */
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD,
                         span_slice(buf_span(&frame), 0, frame.size - 1), 100, &why, NULL),
                     -EINVAL);
    buf_add_byte(&frame, 'x');
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame), 100,
                         &why, NULL),
                     -EINVAL);
    frame.size--;
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD,
                         buf_span(&sample.listing), 100, &why, NULL),
                     -EINVAL);
    frame.bytes[0] ^= 0x40;
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame), 100,
                         &why, NULL),
                     -EINVAL);
    frame.bytes[0] ^= 0x40;
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame), 7,
                         &why, NULL),
                     0);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sample.times),
                         7, &why, NULL),
                     0);
    /* Once more: nothing changes. Another listing: this push has its own. */
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame), 7,
                         &why, NULL),
                     0);
    sample_release(&sample);
    sample_make(&sample, 2, 3, 10);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN,
                         buf_span(&sample.listing), 7, &why, NULL),
                     -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    sample_release(&sample);
}

/* A small frame that unpacks to more than a listing may have. */
static void test_zstd_bomb(void **state)
{
    struct services_settings settings = { .database = world.database,
                                          .store = world.store,
                                          .listing_max = 100000 };
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf body = buf_init(BUF_UNLIMITED);
    struct services *mine = world.services;
    struct push_info open;
    struct refusal why;
    char line[32];

    assert_int_equal(services_new(&settings, &world.services, NULL), 0);
    buf_add(&body, LISTING_MAGIC, LISTING_MAGIC_SIZE);
    for (size_t i = 0; i < 20000; i++) {
        snprintf(line, sizeof(line), "d 0755 d%06zu", i);
        buf_add(&body, line, strlen(line) + 1);
    }
    assert_int_equal(zstd_compress(buf_span(&body), 3, &frame, NULL), 0);
    assert_true(frame.size < 100000);
    open_bare(&open);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame), 5000,
                         &why, NULL),
                     -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN, buf_span(&body), 5000,
                         &why, NULL),
                     -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    services_free(world.services);
    world.services = mine;
}

static void test_said_and_sent_differ(void **state)
{
    struct sample said, sent;
    struct push_info open;
    struct refusal why;

    sample_make(&said, 3, 3, 10);
    sample_make(&sent, 4, 3, 10);
    sample_open(&world, &world.caller, "p", "a", "differ", &said, &open);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN,
                         buf_span(&sent.listing), 1000, &why, NULL),
                     -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_true(digest_equal(&why.expected, &said.content));
    assert_true(digest_equal(&why.actual, &sent.content));
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN,
                         buf_span(&said.listing), 1000, &why, NULL),
                     0);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sent.times),
                         1000, &why, NULL),
                     -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    sample_release(&said);
    sample_release(&sent);
}

static void test_times(void **state)
{
    cleanup(buf_release) struct buf long_times = buf_init(BUF_UNLIMITED);
    struct sample sample;
    struct push_info open;
    struct refusal why;

    sample_make(&sample, 5, 3, 10);
    open_bare(&open);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sample.times),
                         1000, &why, NULL),
                     -EBUSY);
    assert_int_equal(why.code, REFUSAL_MISSING_BLOBS);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN,
                         buf_span(&sample.listing), 1000, &why, NULL),
                     0);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN,
                         span_slice(buf_span(&sample.times), 0, sample.times.size - 8), 1000, &why,
                         NULL),
                     -EINVAL);
    buf_add_span(&long_times, buf_span(&sample.times));
    buf_add_u64(&long_times, 0);
    assert_true(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&long_times), 1000,
                    &why, NULL) < 0);
    sample.times.bytes[sample.times.size - 9] = 0x7f; /* of a file: beyond 2^53 */
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sample.times),
                         1000, &why, NULL),
                     -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    sample_release(&sample);
}

/* Refused with the times, not when the version is made: right ones can follow. */
static void test_a_link_with_a_time(void **state)
{
    struct sample sample;
    struct push_info open;
    struct refusal why = { 0 };

    sample_make(&sample, 6, 1, 0);
    open_bare(&open);
    sample.times.bytes[sample.times.size - 8] = 1;
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN,
                         buf_span(&sample.listing), 1000, &why, NULL),
                     0);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sample.times),
                         1000, &why, NULL),
                     -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    sample.times.bytes[sample.times.size - 8] = 0;
    assert_int_equal(put(open.id, PUSH_DOCUMENT_TIMES, PUSH_DOCUMENT_PLAIN, buf_span(&sample.times),
                         1000, &why, NULL),
                     0);
    sample_release(&sample);
}

static void test_stops_half_way(void **state)
{
    struct push_document *document;
    struct sample sample;
    struct push_info open;

    sample_make(&sample, 7, 10, 10);
    open_bare(&open);
    assert_int_equal(push_document_begin(world.services, &world.caller, "p", "a", open.id,
                                         PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN, 200, &document,
                                         NULL, NULL),
                     0);
    assert_int_equal(push_document_add(document, span_slice(buf_span(&sample.listing), 0, 200),
                                       NULL, NULL),
                     0);
    push_document_free(document);
    assert_int_equal(pushes_get(world.services, &world.caller, "p", "a", open.id, &open, NULL,
                                NULL),
                     0);
    assert_true(open.wants_listing);
    sample_release(&sample);
}

/* So many lines of one file that they are more than a stride. */
static void long_listing(struct buf *out)
{
    cleanup_memory struct listing_writer *writer = memory_new(sizeof(*writer));
    struct listing_totals totals;
    char path[201];

    assert_int_equal(listing_writer_init(writer, sink_to_buf(out), NULL), 0);
    for (unsigned i = 0; i < 70000; i++) {
        const struct entry entry = { .kind = ENTRY_FILE,
                                     .mode = 0644,
                                     .size = 5,
                                     .sha256 = digest_of("hello", 5),
                                     .path = span_of(path, 200) };

        snprintf(path, sizeof(path), "%0200u", i);
        assert_int_equal(listing_writer_add(writer, &entry, NULL), 0);
    }
    assert_int_equal(listing_writer_end(writer, &totals, NULL), 0);
    assert_true(out->size > PUSH_ROOM_STRIDE && out->size < 2 * PUSH_ROOM_STRIDE);
}

/* A small body may unpack to what there is no room for. */
static void test_no_room(void **state)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    const struct {
        uint64_t left;
        int result;
    } cases[] = {
        { 0, -ENOSPC },
        { PUSH_ROOM + 1000, -ENOSPC }, /* not even for the body */
        { PUSH_ROOM + PUSH_ROOM_STRIDE - 1, -ENOSPC },
        { PUSH_ROOM + PUSH_ROOM_STRIDE, -ENOSPC }, /* not for the store's copy */
        { PUSH_ROOM + 2 * PUSH_ROOM_STRIDE, 0 },
    };
    struct push_info open;
    struct refusal why;

    long_listing(&listing);
    assert_int_equal(zstd_compress(buf_span(&listing), 3, &frame, NULL), 0);
    assert_in_range(frame.size, 1001, PUSH_ROOM_STRIDE / 4);
    open_bare(&open);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fault_store_left(world.store, cases[i].left);
        assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_ZSTD, buf_span(&frame),
                             65536, &why, NULL),
                         cases[i].result);
        assert_int_equal(why.code, cases[i].result == 0 ? REFUSAL_NONE : REFUSAL_FULL);
    }
    fault_store_left(world.store, UINT64_MAX);
}

/* The content said is the digest of a blob that is there, but is no listing. */
static void test_content_that_is_no_listing(void **state)
{
    cleanup(buf_release) struct buf bitmap = buf_init(BUF_UNLIMITED);
    struct pushes_request request = { .project = "p", .app = "a", .version = "fake" };
    struct version_info version = { 0 };
    enum pushes_outcome outcome;
    struct sample sample;
    struct push_info open;
    struct refusal why = { 0 };

    sample_make(&sample, 8, 1, 5000);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "real", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    request.content = &sample.blobs[0].sha256;
    assert_int_equal(pushes_create(world.services, &world.caller, &request, &outcome, &open,
                                   &version, &why, NULL),
                     0);
    assert_int_equal(pushes_missing(world.services, &world.caller, "p", "a", open.id, &bitmap, &why,
                                    NULL),
                     -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome,
                                   &version, &why, NULL),
                     -EINVAL);
    sample_release(&sample);
}

/* The target as a patch of the base, under the names that are said. */
static void patch(struct span base, const struct digest *base_sha256, struct span made,
                  const struct digest *target_sha256, struct buf *out)
{
    const struct delta_header header = { *base_sha256, *target_sha256, base.size, made.size };
    struct delta_writer *writer;

    buf_clear(out);
    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(out), NULL), 0);
    assert_int_equal(delta_writer_patch(writer, made, 0, base, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    delta_writer_free(writer);
}

static int put_delta(const char *id, enum push_document_kind kind, const struct buf *delta,
                     struct refusal *why)
{
    return put(id, kind, PUSH_DOCUMENT_DELTA, buf_span(delta), 100, why, NULL);
}

static void test_deltas(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    const struct digest nowhere = digest_of("nowhere", 7);
    struct sample old, new, other;
    enum pushes_outcome outcome;
    struct push_info open;
    struct refusal why;

    sample_make(&old, 91, 50, 20);
    sample_make(&new, 92, 50, 20);
    sample_make(&other, 93, 50, 20);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "delta-old", &old, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_open(&world, &world.caller, "p", "a", "delta-new", &new, &open);
    /* Times by delta need the listing first, as ever. */
    patch(buf_span(&old.times), &old.times_sha256, buf_span(&new.times), &new.times_sha256, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_TIMES, &delta, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_MISSING_BLOBS);
    /* A base that does not exist; no delta; one that is cut. */
    patch(buf_span(&old.listing), &nowhere, buf_span(&new.listing), &new.content, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(put(open.id, PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_DELTA,
                         buf_span(&new.listing), 1000, &why, NULL),
                     -EINVAL);
    patch(buf_span(&old.listing), &old.content, buf_span(&new.listing), &new.content, &delta);
    delta.size--;
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    /* It makes no listing; another than it says; one that is not the push's. */
    patch(buf_span(&old.listing), &old.content, buf_span(&new.times), &new.content, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    patch(buf_span(&old.listing), &old.content, buf_span(&other.listing), &new.content, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    patch(buf_span(&old.listing), &old.content, buf_span(&other.listing), &other.content, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), -EBADMSG);
    /* And as it should be; the listing is as good a base for the times. */
    patch(buf_span(&old.listing), &old.content, buf_span(&new.listing), &new.content, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_LISTING, &delta, &why), 0);
    patch(buf_span(&old.listing), &old.content, buf_span(&other.times), &new.times_sha256, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_TIMES, &delta, &why), -EBADMSG);
    patch(buf_span(&old.listing), &old.content, buf_span(&new.times), &new.times_sha256, &delta);
    assert_int_equal(put_delta(open.id, PUSH_DOCUMENT_TIMES, &delta, &why), 0);
    for (size_t i = 0; i < new.count; i++)
        assert_int_equal(sample_put_blob(&world, &world.caller, "p", "a", open.id, &new.blobs[i], 0,
                                         NULL, NULL),
                         0);
    struct version_info info = { 0 };
    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome,
                                   &info, NULL, NULL),
                     0);
    assert_true(digest_equal(&info.record.content, &new.content));
    version_info_release(&info);
    sample_check(&world, "p", "a", "delta-new", &new);
    sample_release(&old);
    sample_release(&new);
    sample_release(&other);
}

static int64_t number_of(const char *id)
{
    cleanup(push_release) struct push push = push_empty();

    assert_int_equal(push_get(world.database, "p", "a", id, world.caller.identity.id, &push, NULL),
                     0);
    return push.number;
}

/* What the second one names is not wanted, not even for a moment. */
static void test_two_listings_at_once(void **state)
{
    struct sample one, two;
    struct push_document *document;
    struct push_info open;
    struct refusal why = { 0 };
    struct push_blob row;
    struct span body;

    sample_make(&one, 301, 2, 3000);
    sample_make(&two, 302, 3, 3000);
    body = buf_span(&two.listing);
    open_bare(&open);
    assert_int_equal(push_document_begin(world.services, &world.caller, "p", "a", open.id,
                                         PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_PLAIN, body.size,
                                         &document, &why, NULL),
                     0);
    assert_int_equal(push_document_add(document, span_slice(body, 0, 100), &why, NULL), 0);
    assert_int_equal(sample_put_listing(&world, &world.caller, "p", "a", open.id,
                                        buf_span(&one.listing), NULL, NULL),
                     0);
    assert_int_equal(push_document_add(document, span_slice(body, 100, body.size), &why, NULL), 0);
    assert_int_equal(push_document_end(document, &why, NULL), -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    push_document_free(document);
    for (size_t i = 0; i < two.count; i++)
        assert_int_equal(push_blob_get(world.database, number_of(open.id), &two.blobs[i].sha256,
                                       &row, NULL),
                         -ENOENT);
    assert_int_equal(push_blob_get(world.database, number_of(open.id), &two.content, &row, NULL),
                     -ENOENT);
    sample_release(&one);
    sample_release(&two);
}

/* As a server leaves it that dies between the holds and the listing: a hold of what no file is. */
static void test_a_version_has_the_edges_of_its_listing(void **state)
{
    struct blob_scope everything = { 0 };
    struct version_info info = { 0 };
    struct sample other, sample;
    struct push_info open;
    enum pushes_outcome outcome;
    struct blob_want want;
    struct blob blob;
    bool missing;

    world_close(&world); /* the versions are to be 1 and 2 */
    world_open(&world, WORLD_FILE);
    everything.token_id = world.caller.identity.id;
    sample_make(&other, 303, 1, 3000);
    sample_make(&sample, 304, 2, 3000);
    assert_int_equal(sample_push(&world, &world.caller, "p", "b", "1", &other, &outcome, NULL, NULL,
                                 NULL),
                     0);
    sample_open(&world, &world.caller, "p", "a", "edges", &sample, &open);
    sample_describe(&world, &world.caller, "p", "a", open.id, &sample);
    for (size_t i = 0; i < sample.count; i++)
        assert_int_equal(sample_put_blob(&world, &world.caller, "p", "a", open.id, &sample.blobs[i],
                                         0, NULL, NULL),
                         0);
    want = (struct blob_want){ .sha256 = other.blobs[0].sha256, .size = other.blobs[0].size };
    assert_int_equal(push_blobs_want(world.database, number_of(open.id), &everything, &want, 1,
                                     &missing, NULL),
                     0);
    assert_false(missing);
    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome,
                                   &info, NULL, NULL),
                     0);
    version_info_release(&info);
    sample_check(&world, "p", "a", "edges", &sample);
    assert_int_equal(blob_of_version(world.database, 2, &sample.blobs[1].sha256, &blob, NULL), 0);
    assert_int_equal(blob_of_version(world.database, 2, &sample.content, &blob, NULL), 0);
    assert_int_equal(blob_of_version(world.database, 2, &sample.times_sha256, &blob, NULL), 0);
    assert_int_equal(blob_of_version(world.database, 2, &want.sha256, &blob, NULL), -ENOENT);
    sample_release(&other);
    sample_release(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_listings),
        cmocka_unit_test(test_a_million_of_garbage),
        cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_zstd_bomb),
        cmocka_unit_test(test_said_and_sent_differ),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_a_link_with_a_time),
        cmocka_unit_test(test_stops_half_way),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_content_that_is_no_listing),
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_two_listings_at_once),
        cmocka_unit_test(test_a_version_has_the_edges_of_its_listing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
