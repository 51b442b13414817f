/* SPDX-License-Identifier: MIT */
#include "common/codec/zstd_frame.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/zstd.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(zstd_frame_writer, zstd_frame_writer_free);
CLEANUP_DEFINE(zstd_frame_reader, zstd_frame_reader_free);

static struct buf sample(size_t size, uint32_t seed)
{
    struct buf buf = buf_init(BUF_UNLIMITED);

    for (uint32_t i = seed; buf.size < size; i++)
        buf_add_u32(&buf, i * 2654435761u ^ i >> 3);
    buf.size = size;
    return buf;
}

static int write_frame(struct span bytes, struct span prefix, struct buf *out)
{
    cleanup(cleanup_zstd_frame_writer) struct zstd_frame_writer *writer = NULL;
    int r = zstd_frame_writer_new(&writer, NULL);

    return r < 0 ? r : zstd_frame_write(writer, bytes, prefix, 3, out, NULL);
}

static int read_frame(struct span frame, struct span prefix, size_t size, struct buf *out,
                      struct error *err)
{
    cleanup(cleanup_zstd_frame_reader) struct zstd_frame_reader *reader = NULL;
    uint8_t *at = buf_reserve(out, size);
    int r = at == NULL ? buf_check(out, NULL) : zstd_frame_reader_new(&reader, NULL);

    if (r == 0)
        r = zstd_frame_read(reader, frame, prefix, at, size, err);
    if (r == 0)
        buf_added(out, size);
    return r;
}

static const struct span nothing = { (const uint8_t *)"", 0 };

static void both_ways(void **state)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 1000, 70000, 3000000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(buf_release) struct buf raw = sample(sizes[i], 1), frame = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf back = buf_init(BUF_UNLIMITED);
        assert_int_equal(write_frame(buf_span(&raw), nothing, &frame), 0);
        assert_int_equal(zstd_frame_check(buf_span(&frame), raw.size, NULL), 0);
        assert_int_equal(zstd_frame_check(buf_span(&frame), raw.size + 1, NULL), -EBADMSG);
        assert_int_equal(read_frame(buf_span(&frame), nothing, raw.size, &back, NULL), 0);
        assert_true(span_equal(buf_span(&raw), buf_span(&back)));
    }
}

/* What the prefix has already costs next to nothing, however far back it lies. */
static void a_prefix_saves(void **state)
{
    static const size_t sizes[] = { 20000, 5000000, 20000000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(buf_release) struct buf old = sample(sizes[i], 7), new = sample(sizes[i], 7);
        cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED),
                                        back = buf_init(BUF_UNLIMITED);
        memset(new.bytes + sizes[i] / 2, 'x', 100);
        assert_int_equal(write_frame(buf_span(&new), buf_span(&old), &frame), 0);
        assert_in_range(frame.size, 20, sizes[i] / 40);
        assert_int_equal(read_frame(buf_span(&frame), buf_span(&old), new.size, &back, NULL), 0);
        assert_true(span_equal(buf_span(&new), buf_span(&back)));
        buf_clear(&back);
        /* Another prefix: a failure or other bytes. */
        memset(old.bytes, 0, old.size);
        if (read_frame(buf_span(&frame), buf_span(&old), new.size, &back, NULL) == 0)
            assert_false(span_equal(buf_span(&new), buf_span(&back)));
    }
}

static void assert_refused(const void *bytes, size_t size, uint64_t content, const char *rule)
{
    struct error err = { 0 };

    assert_int_equal(zstd_frame_check(span_of(bytes, size), content, &err), -EBADMSG);
    if (strstr(err.text, rule) == NULL)
        assert_string_equal(err.text, rule);
}

/* Frames by hand: magic, descriptor, fields, one raw block "hi". */
static void every_rule(void **state)
{
#define MAGIC "\x28\xb5\x2f\xfd"
#define BLOCK "\x11\0\0hi"
#define CHECK(text, rule) assert_refused(text, sizeof(text) - 1, 2, rule)
    static const char good[] = MAGIC "\x20\x02" BLOCK, window[] = MAGIC "\x40\x90\x02\0" BLOCK;

    assert_int_equal(zstd_frame_check(span_of(good, sizeof(good) - 1), 2, NULL), 0);
    assert_refused(window, sizeof(window) - 1, 2, "names its content's size");
    CHECK("", "no zstd frame");
    CHECK("\x29\xb5\x2f\xfd\x20\x02" BLOCK, "no zstd frame");
    CHECK("\x50\x2a\x4d\x18\x02\0\0\0hi", "no zstd frame"); /* skippable */
    CHECK(MAGIC "\x20", "no zstd frame");
    CHECK(MAGIC "\x21\x01\x02" BLOCK, "names no dictionary");
    CHECK(MAGIC "\x00\x50" BLOCK, "names its content's size");
    CHECK(MAGIC "\x80\x91\x02\0\0\0" BLOCK, "window is at most 2^28");
    CHECK(MAGIC "\x20\x02" BLOCK "x", "nothing stands behind");
    CHECK(MAGIC "\x20\x02\x11\0\0h", "zstd:");
    /* A window of exactly 2^28 may stand, whatever the content needs. */
    assert_int_equal(zstd_frame_check(span_of(MAGIC "\x80\x90\x02\0\0\0" BLOCK, 15), 2, NULL), 0);
}

static void a_lying_frame(void **state)
{
    cleanup(buf_release) struct buf back = buf_init(BUF_UNLIMITED);
    static const char longer[] = MAGIC "\x20\x01" BLOCK, shorter[] = MAGIC "\x20\x03" BLOCK;

    assert_int_equal(read_frame(span_of(longer, sizeof(longer) - 1), nothing, 1, &back, NULL),
                     -EBADMSG);
    assert_int_equal(read_frame(span_of(shorter, sizeof(shorter) - 1), nothing, 3, &back, NULL),
                     -EBADMSG);
}

static void limits(void **state)
{
    cleanup(buf_release) struct buf small = buf_init(10), out = buf_init(BUF_UNLIMITED);
    struct span huge = { (const uint8_t *)"", ZSTD_FRAME_WINDOW_MAX };

    assert_int_equal(write_frame(span_text("hello"), nothing, &small), -EFBIG);
    assert_int_equal(write_frame(span_text("hello"), huge, &out), -EINVAL);
    assert_int_equal(zstd_compress(span_text("hello"), 3, &out, NULL), 0);
    assert_int_equal(zstd_frame_check(buf_span(&out), 5, NULL), 0);
}

static int round_trip(void)
{
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED), back = buf_init(BUF_UNLIMITED);
    int r = write_frame(span_text("hello"), span_text("hell"), &frame);

    return r < 0 ? r : read_frame(buf_span(&frame), span_text("hell"), 5, &back, NULL);
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(round_trip());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),  cmocka_unit_test(a_prefix_saves),
        cmocka_unit_test(every_rule), cmocka_unit_test(a_lying_frame),
        cmocka_unit_test(limits),     cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("zstd_frame", tests, NULL, NULL);
}
