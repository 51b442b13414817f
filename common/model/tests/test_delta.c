/* SPDX-License-Identifier: MIT */
#include "common/model/delta.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/zstd.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(delta_reader, delta_reader_free);
CLEANUP_DEFINE(delta_writer, delta_writer_free);

static struct delta_header header_of(struct span base, struct span target)
{
    return (struct delta_header){ .base = digest_of_span(base),
                                  .target = digest_of_span(target),
                                  .base_size = base.size,
                                  .target_size = target.size };
}

static int apply_limited(struct span delta, const struct delta_header *header, struct span base,
                         size_t piece, uint64_t patch_max, struct buf *out, struct error *err)
{
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    int r = delta_reader_new(&reader, header, delta_source_of_span(&base), sink_to_buf(out),
                             patch_max, err);

    for (size_t at = 0; r == 0 && at < delta.size; at += piece) {
        struct span part = span_slice(delta, at, piece);
        r = delta_reader_feed(reader, part.bytes, part.size, err);
    }
    if (r == 0)
        r = delta_reader_end(reader, err);
    if (r == 0)
        assert_int_equal(delta_reader_made(reader), out->size);
    return r;
}

static int apply(struct span delta, const struct delta_header *header, struct span base,
                 size_t piece, struct buf *out, struct error *err)
{
    return apply_limited(delta, header, base, piece, DELTA_PATCH_MAX, out, err);
}

/* One of everything. The target is 3,100,000 bytes of which the base has most. */
static int write_all_codings(const struct delta_header *header, struct span base,
                             struct span target, struct sink sink, uint64_t *out_size)
{
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    int r = delta_writer_new(&writer, header, 3, sink, NULL);

    if (r == 0)
        r = delta_writer_copy(writer, 1000, 200000, NULL);
    if (r == 0)
        r = delta_writer_copy(writer, 201000, 300000, NULL); /* goes on: one frame */
    if (r == 0)
        r = delta_writer_data(writer, target.bytes + 500000, 1500000, NULL); /* raw: random */
    if (r == 0)
        r = delta_writer_data(writer, target.bytes + 2000000, 100000, NULL); /* zeros: zstd */
    if (r == 0)
        r = delta_writer_patch(writer, span_slice(target, 2100000, 500000), 600000,
                               span_slice(base, 600000, 500000), NULL);
    if (r == 0)
        r = delta_writer_copy(writer, 0, 1000, NULL);
    if (r == 0)
        r = delta_writer_patch(writer, span_slice(target, 2601000, 499000), 5,
                               span_slice(base, 5, 10), NULL); /* no help: raw */
    if (r == 0)
        r = delta_writer_end(writer, NULL);
    if (r == 0)
        *out_size = delta_writer_size(writer);
    return r;
}

static void make_blobs(struct buf *base, struct buf *target)
{
    *base = sample_bytes(1200000, 1);
    *target = sample_bytes(3100000, 2);
    memcpy(target->bytes, base->bytes + 1000, 500000);
    memset(target->bytes + 2000000, 0, 100000);
    memcpy(target->bytes + 2100000, base->bytes + 600000, 500000);
    sample_change(target, 2300000, 50, 3);
    memcpy(target->bytes + 2600000, base->bytes, 1000);
}

/* Kind and coding of each frame. */
static void list_frames(struct span delta, struct buf *out)
{
    size_t at = DELTA_HEADER_SIZE;

    while (delta.bytes[at] != 0) {
        const uint8_t *frame = delta.bytes + at;
        if (frame[0] == 1) {
            buf_add_text(out, "c");
            at += 17;
        } else {
            buf_format(out, "%d", frame[9]);
            at += 10 + (frame[9] == 2 ? 16 : 0) + bytes_u32(frame + 5);
        }
    }
    assert_int_equal(at + 1, delta.size);
}

static void test_round_trip(void **state)
{
    static const size_t pieces[] = { 1, 7, 88, 89, 4096, 1000000, SIZE_MAX / 2 };
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), frames = buf_init(100);
    struct buf base, target;
    struct delta_header header, parsed;
    uint64_t size;

    make_blobs(&base, &target);
    header = header_of(buf_span(&base), buf_span(&target));
    assert_int_equal(write_all_codings(&header, buf_span(&base), buf_span(&target),
                                       sink_to_buf(&delta), &size),
                     0);
    assert_int_equal(size, delta.size);
    assert_int_equal(delta_header_parse(buf_span(&delta), &parsed, NULL), 0);
    assert_memory_equal(&parsed, &header, sizeof(header));
    list_frames(buf_span(&delta), &frames);
    assert_string_equal(buf_text(&frames), "c012c0");
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        cleanup(buf_release) struct buf made = buf_init(BUF_UNLIMITED);
        assert_int_equal(apply(buf_span(&delta), &header, buf_span(&base), pieces[i], &made, NULL),
                         0);
        assert_true(span_equal(buf_span(&made), buf_span(&target)));
    }
    buf_release(&base);
    buf_release(&target);
}

static void test_empty_target(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(1000), made = buf_init(1000);
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    struct delta_header header = header_of(span_text("base"), span_text(""));

    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL), 0);
    assert_int_equal(delta_writer_copy(writer, 4, 0, NULL), 0);
    assert_int_equal(delta_writer_data(writer, "", 0, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    assert_int_equal(delta.size, 89);
    assert_int_equal(apply(buf_span(&delta), &header, span_text("base"), 10, &made, NULL), 0);
    assert_int_equal(made.size, 0);
}

static void test_writer_refuses(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    struct span base = span_text("0123456789"), target = span_text("abcd");
    struct delta_header header = header_of(base, target);
    struct span huge = { base.bytes, DELTA_PATCH_MAX + 1 };

    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL), 0);
    assert_int_equal(delta_writer_copy(writer, 10, 1, NULL), -EINVAL);
    assert_int_equal(delta_writer_copy(writer, UINT64_MAX, 2, NULL), -EINVAL);
    assert_int_equal(delta_writer_copy(writer, 0, 5, NULL), -EINVAL);
    assert_int_equal(delta_writer_data(writer, "abcde", 5, NULL), -EINVAL);
    assert_int_equal(delta_writer_patch(writer, span_text(""), 0, base, NULL), -EINVAL);
    assert_int_equal(delta_writer_patch(writer, target, 0, span_text(""), NULL), -EINVAL);
    assert_int_equal(delta_writer_patch(writer, huge, 0, base, NULL), -EINVAL);
    assert_int_equal(delta_writer_patch(writer, target, 1, base, NULL), -EINVAL);
    assert_int_equal(delta_writer_end(writer, NULL), -EINVAL);
    assert_int_equal(delta_writer_data(writer, "abcd", 4, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    header.base_size = UINT64_MAX;
    writer = delta_writer_free(writer);
    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL), -EINVAL);
}

/* Frames by hand: from a base of ten bytes to a target of four. */
struct hand {
    struct span base;
    struct delta_header header;
    struct buf delta;
};

static struct hand hand_begin(void)
{
    struct hand hand = { .base = span_text("0123456789"), .delta = buf_init(BUF_UNLIMITED) };

    hand.header = header_of(hand.base, span_text("4567"));
    buf_add(&hand.delta, DELTA_MAGIC, 8);
    buf_add(&hand.delta, hand.header.base.bytes, 32);
    buf_add(&hand.delta, hand.header.target.bytes, 32);
    buf_add_u64(&hand.delta, 10);
    buf_add_u64(&hand.delta, 4);
    return hand;
}

static void hand_copy(struct hand *hand, uint64_t offset, uint64_t length)
{
    buf_add_byte(&hand->delta, 1);
    buf_add_u64(&hand->delta, offset);
    buf_add_u64(&hand->delta, length);
}

static void hand_data(struct hand *hand, uint32_t raw, uint32_t stored, uint8_t coding)
{
    buf_add_byte(&hand->delta, 2);
    buf_add_u32(&hand->delta, raw);
    buf_add_u32(&hand->delta, stored);
    buf_add_byte(&hand->delta, coding);
}

/* Ends it, and it must be refused there, in pieces and whole. */
static void hand_refused(struct hand *hand, uint64_t offset, const char *rule)
{
    static const size_t pieces[] = { 1, 13, 100000000 };
    cleanup(buf_release) struct buf wanted = buf_init(1000);

    buf_format(&wanted, "offset %llu: %s", (unsigned long long)offset, rule);
    for (size_t i = 0; i < 3; i++) {
        cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
        struct error err = { 0 };
        assert_int_equal(apply(buf_span(&hand->delta), &hand->header, hand->base, pieces[i], &out,
                               &err),
                         -EBADMSG);
        if (strncmp(err.text, buf_text(&wanted), wanted.size) != 0)
            assert_string_equal(err.text, buf_text(&wanted));
        assert_in_range(out.size, 0, hand->header.target_size);
    }
    buf_release(&hand->delta);
    *hand = hand_begin();
}

static void test_every_rule(void **state)
{
    struct hand hand = hand_begin();

    hand.delta.bytes[0] = 'k';
    hand_refused(&hand, 0, "a delta begins with");
    hand.delta.bytes[8] ^= 1;
    hand_refused(&hand, 8, "a delta is from");
    hand.delta.bytes[72] ^= 1;
    hand_refused(&hand, 8, "a delta is from");
    hand.delta.bytes[40] ^= 1;
    hand_refused(&hand, 40, "a delta is to");
    hand.delta.bytes[80] ^= 1;
    hand_refused(&hand, 40, "a delta is to");
    hand.delta.bytes[79] = 1;
    hand_refused(&hand, 72, "a blob has at most");
    hand.delta.bytes[87] = 1;
    hand_refused(&hand, 80, "a blob has at most");
    hand.delta.size = 87;
    hand_refused(&hand, 87, "a delta ends");
    hand.delta.size = 0;
    hand_refused(&hand, 0, "a delta ends");
    hand_refused(&hand, 88, "a delta ends");
    buf_add_byte(&hand.delta, 3);
    hand_refused(&hand, 88, "a frame is 0");
    buf_add_byte(&hand.delta, 0);
    hand_refused(&hand, 88, "the frames make the whole");
    hand_copy(&hand, 0, 3);
    buf_add_byte(&hand.delta, 0);
    hand_refused(&hand, 105, "the frames make the whole");
    hand_copy(&hand, 0, 4);
    buf_add_byte(&hand.delta, 0);
    buf_add_byte(&hand.delta, 0);
    hand_refused(&hand, 106, "nothing stands behind");
    hand_copy(&hand, 0, 4);
    hand_refused(&hand, 105, "a delta ends");
    hand_copy(&hand, 0, 5);
    hand_refused(&hand, 97, "no more is made");
    hand_copy(&hand, 5, 0);
    hand_refused(&hand, 97, "a length is at least 1");
    hand_copy(&hand, 7, 4);
    hand_refused(&hand, 89, "a range lies inside");
    hand_copy(&hand, 11, 1);
    hand_refused(&hand, 89, "a range lies inside");
    hand_copy(&hand, UINT64_MAX, 4);
    hand_refused(&hand, 89, "a range lies inside");
    hand_copy(&hand, 4, UINT64_MAX - 2);
    hand_refused(&hand, 89, "a range lies inside");
    buf_release(&hand.delta);
}

static void test_every_rule_of_data(void **state)
{
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    struct hand hand = hand_begin();

    hand_data(&hand, 4, 4, 3);
    hand_refused(&hand, 97, "a coding is");
    hand_data(&hand, 0, 0, 0);
    hand_refused(&hand, 89, "a length is at least 1");
    hand_data(&hand, DELTA_RAW_MAX + 1, 1, 1);
    hand_refused(&hand, 89, "raw is at most 1 MiB");
    hand_data(&hand, DELTA_PATCH_MAX + 1, 1, 2);
    hand_refused(&hand, 89, "raw is at most 1 MiB");
    hand_data(&hand, 5, 5, 0);
    hand_refused(&hand, 89, "no more is made");
    hand_data(&hand, 4, 3, 0);
    hand_refused(&hand, 93, "stored is as long");
    hand_data(&hand, 4, 5, 1);
    hand_refused(&hand, 93, "stored is as long");
    hand_data(&hand, 4, 0, 1);
    hand_refused(&hand, 93, "stored is as long");
    hand_data(&hand, 4, 4, 1);
    buf_add_text(&hand.delta, "nope");
    hand_refused(&hand, 98, "no zstd frame");
    hand_data(&hand, 4, 4, 2);
    buf_add_u64(&hand.delta, 8);
    buf_add_u64(&hand.delta, 3);
    hand_refused(&hand, 98, "a range lies inside");
    hand_data(&hand, 4, 4, 2);
    buf_add_u64(&hand.delta, 8);
    buf_add_u64(&hand.delta, 0);
    hand_refused(&hand, 106, "a length is at least 1");
    hand_data(&hand, 4, 4, 0);
    buf_add_text(&hand.delta, "456");
    hand_refused(&hand, 101, "a delta ends");
    /* A frame of another length than the raw length, and one with bytes behind it. */
    hand.header.target_size = 1000;
    bytes_set_u64(hand.delta.bytes + 80, 1000);
    buf_add_zeros(&frame, 100);
    frame.bytes[0] = 1;
    {
        cleanup(buf_release) struct buf packed = buf_init(BUF_UNLIMITED);
        assert_int_equal(zstd_compress(buf_span(&frame), 3, &packed, NULL), 0);
        hand_data(&hand, 101, (uint32_t)packed.size, 1);
        buf_add_span(&hand.delta, buf_span(&packed));
        hand_refused(&hand, 98, "a zstd frame names its content's size");
        hand.header.target_size = 1000;
        bytes_set_u64(hand.delta.bytes + 80, 1000);
        hand_data(&hand, 100, (uint32_t)packed.size + 1, 1);
        buf_add_span(&hand.delta, buf_span(&packed));
        buf_add_byte(&hand.delta, 0);
        hand_refused(&hand, 98, "nothing stands behind a zstd frame");
    }
    buf_release(&hand.delta);
}

static void test_prefix_limit(void **state)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), out = buf_init(BUF_UNLIMITED);
    struct delta_header header = { .base_size = 1u << 30, .target_size = 1u << 30 };
    struct span none = span_text("");
    struct error err = { 0 };

    buf_add(&delta, DELTA_MAGIC, 8);
    buf_add_zeros(&delta, 64);
    buf_add_u64(&delta, header.base_size);
    buf_add_u64(&delta, header.target_size);
    buf_add_byte(&delta, 2);
    buf_add_u32(&delta, 1 << 20);
    buf_add_u32(&delta, 100);
    buf_add_byte(&delta, 2);
    buf_add_u64(&delta, 0);
    buf_add_u64(&delta, DELTA_PATCH_MAX + 1);
    assert_int_equal(apply(buf_span(&delta), &header, none, 50, &out, &err), -EBADMSG);
    assert_string_equal(err.text, "offset 106: a prefix is at most 128 MiB");
    bytes_set_u64(delta.bytes + 106, DELTA_PATCH_MAX);
    assert_int_equal(apply_limited(buf_span(&delta), &header, none, 50, 1 << 20, &out, &err),
                     -EFBIG);
    assert_int_equal(apply_limited(buf_span(&delta), &header, none, 50, 1000, &out, &err), -EFBIG);
    assert_string_equal(err.text, "offset 89: a patch of more than 1000 bytes");
}

/* A base of which the bytes that are read are counted. */
struct counted {
    uint64_t reads, bytes;
};

static int read_counted(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    struct counted *counted = context;

    counted->reads++;
    counted->bytes += size;
    memset(out, (int)(offset % 251), size);
    return 0;
}

/* Patches that make 1000 zeros each out of prefixes of `length` bytes that stand `step` apart. */
static int apply_patches(uint64_t base_size, uint64_t length, uint64_t step, size_t count,
                         struct counted *counted, struct error *err)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), out = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf zeros = buf_init(1000), frame = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    struct delta_header header = { .base_size = base_size, .target_size = 1000 * count };
    int r;

    memset(counted, 0, sizeof(*counted));
    buf_add_zeros(&zeros, 1000);
    assert_int_equal(zstd_compress(buf_span(&zeros), 3, &frame, NULL), 0);
    buf_add(&delta, DELTA_MAGIC, 8);
    buf_add_zeros(&delta, 64);
    buf_add_u64(&delta, header.base_size);
    buf_add_u64(&delta, header.target_size);
    for (size_t i = 0; i < count; i++) {
        buf_add_byte(&delta, 2);
        buf_add_u32(&delta, 1000);
        buf_add_u32(&delta, (uint32_t)frame.size);
        buf_add_byte(&delta, 2);
        buf_add_u64(&delta, i * step % (base_size - length + 1));
        buf_add_u64(&delta, length);
        buf_add_span(&delta, buf_span(&frame));
    }
    buf_add_byte(&delta, 0);
    assert_int_equal(delta_reader_new(&reader, &header,
                                      (struct delta_source){ read_counted, counted },
                                      sink_to_buf(&out), DELTA_PATCH_MAX, NULL),
                     0);
    r = delta_reader_feed(reader, delta.bytes, delta.size, err);
    return r < 0 ? r : delta_reader_end(reader, err);
}

/* Small frames with large prefixes: the base is not read over and over. */
static void test_prefixes_in_all(void **state)
{
    const uint64_t size = 1u << 20;
    struct counted counted;
    struct error err = { 0 };

    assert_int_equal(apply_patches(2 * size, size, 1, 1000, &counted, &err), -EFBIG);
    assert_non_null(strstr(err.text, ": too much is read of the base"));
    assert_in_range(counted.bytes, 2 * size, 3 * size);
    /* The same range again and again is read once. */
    assert_int_equal(apply_patches(2 * size, size, 0, 1000, &counted, NULL), 0);
    assert_int_equal(counted.reads, 1);
    assert_int_equal(counted.bytes, size);
    /* What a writer may use for each: as far as the limit goes, and a step further. */
    assert_int_equal(apply_patches(size, DELTA_PREFIX_MORE + 4000, 7, 1000, &counted, NULL), 0);
    assert_int_equal(counted.reads, 1000);
    assert_int_equal(apply_patches(size, DELTA_PREFIX_MORE + 6000, 7, 1000, &counted, NULL),
                     -EFBIG);
}

static int no_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    return error_set(err, -EIO, "the disk is gone");
}

static void test_base_and_sink_fail(void **state)
{
    cleanup(buf_release) struct buf small = buf_init(3), out = buf_init(100);
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    struct hand hand = hand_begin();

    hand_copy(&hand, 4, 4);
    buf_add_byte(&hand.delta, 0);
    assert_int_equal(apply(buf_span(&hand.delta), &hand.header, hand.base, 5, &small, NULL),
                     -EFBIG);
    assert_int_equal(apply(buf_span(&hand.delta), &hand.header, hand.base, 5, &out, NULL), 0);
    assert_memory_equal(out.bytes, "4567", 4);
    assert_int_equal(delta_reader_new(&reader, &hand.header,
                                      (struct delta_source){ .read = no_base }, sink_to_buf(&out),
                                      DELTA_PATCH_MAX, NULL),
                     0);
    assert_int_equal(delta_reader_feed(reader, hand.delta.bytes, hand.delta.size, NULL), -EIO);
    buf_release(&hand.delta);
}

/* Whatever byte is another: refused, or other bytes come out, or the same when zstd has several
 * spellings; never more than the target's size. */
static void test_damage(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(3000, 1), target = sample_bytes(4000, 2);
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    struct delta_header header;
    size_t refused = 0;

    memcpy(target.bytes, base.bytes + 5, 2000);
    header = header_of(buf_span(&base), buf_span(&target));
    assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL), 0);
    assert_int_equal(delta_writer_patch(writer, span_slice(buf_span(&target), 0, 2500), 0,
                                        buf_span(&base), NULL),
                     0);
    assert_int_equal(delta_writer_data(writer, target.bytes + 2500, 1500, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    for (size_t at = 0; at < delta.size; at++) {
        cleanup(buf_release) struct buf out = buf_init(4000);
        int r;
        delta.bytes[at] ^= 0x11;
        r = apply(buf_span(&delta), &header, buf_span(&base), 100, &out, NULL);
        assert_true(r == -EBADMSG || (r == 0 && out.size == 4000));
        refused += r < 0;
        delta.bytes[at] ^= 0x11;
    }
    assert_true(refused > 100);
}

static int write_and_apply(struct span base, struct span target)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), made = buf_init(BUF_UNLIMITED);
    struct delta_header header = header_of(base, target);
    uint64_t size;
    int r = write_all_codings(&header, base, target, sink_to_buf(&delta), &size);

    return r < 0 ? r : apply(buf_span(&delta), &header, base, 10000, &made, NULL);
}

static void test_no_memory(void **state)
{
    struct buf base, target;

    make_blobs(&base, &target);
    assert_survives_no_memory(write_and_apply(buf_span(&base), buf_span(&target)));
    buf_release(&base);
    buf_release(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_empty_target),
        cmocka_unit_test(test_writer_refuses),     cmocka_unit_test(test_every_rule),
        cmocka_unit_test(test_every_rule_of_data), cmocka_unit_test(test_prefix_limit),
        cmocka_unit_test(test_base_and_sink_fail), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_memory),          cmocka_unit_test(test_prefixes_in_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
