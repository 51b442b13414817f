/* SPDX-License-Identifier: MIT */
#include "common/codec/zstd.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static struct buf sample(size_t size)
{
    struct buf buf = buf_init(BUF_UNLIMITED);

    for (uint32_t i = 0; buf.size < size; i++)
        buf_format(&buf, "line %u\n", i * 2654435761u);
    return buf;
}

static void both_ways(void **state)
{
    static const size_t sizes[] = { 0, 1, 100, 128 * 1024, 3000000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(buf_release) struct buf raw = sample(sizes[i]);
        cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED),
                                        back = buf_init(BUF_UNLIMITED);
        assert_int_equal(zstd_compress(buf_span(&raw), ZSTD_LEVEL_DEFAULT, &frame, NULL), 0);
        assert_int_equal(zstd_decompress(buf_span(&frame), raw.size, &back, NULL), 0);
        assert_true(span_equal(buf_span(&raw), buf_span(&back)));
    }
}

static int add(void *context, struct span bytes, struct error *err)
{
    buf_add_span(context, bytes);
    return buf_check(context, err);
}

static void a_byte_at_a_time(void **state)
{
    cleanup(buf_release) struct buf raw = sample(200000), frame = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf back = buf_init(BUF_UNLIMITED);
    struct zstd_reader *reader = NULL;

    assert_int_equal(zstd_compress(buf_span(&raw), 1, &frame, NULL), 0);
    assert_int_equal(zstd_reader_new(&reader, raw.size, add, &back, NULL), 0);
    for (size_t i = 0; i < frame.size; i++) {
        assert_int_equal(zstd_reader_end(reader, NULL), -EBADMSG);
        assert_int_equal(zstd_reader_add(reader, span_of(frame.bytes + i, 1), NULL), 0);
    }
    assert_int_equal(zstd_reader_end(reader, NULL), 0);
    assert_int_equal(zstd_reader_add(reader, span_text("x"), NULL), -EBADMSG);
    zstd_reader_free(reader);
    assert_true(span_equal(buf_span(&raw), buf_span(&back)));
}

static void hostile_frames(void **state)
{
    cleanup(buf_release) struct buf raw = sample(100000), frame = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf back = buf_init(BUF_UNLIMITED);

    assert_int_equal(zstd_compress(buf_span(&raw), 1, &frame, NULL), 0);
    assert_int_equal(zstd_decompress(buf_span(&frame), raw.size - 1, &back, NULL), -EFBIG);
    assert_int_equal(zstd_decompress(span_of(frame.bytes, frame.size - 1), raw.size, &back, NULL),
                     -EBADMSG);
    assert_int_equal(zstd_decompress(span_text(""), 100, &back, NULL), -EBADMSG);
    assert_int_equal(zstd_decompress(span_text("no frame at all"), 100, &back, NULL), -EBADMSG);
    buf_add_byte(&frame, 0);
    assert_int_equal(zstd_decompress(buf_span(&frame), raw.size, &back, NULL), -EBADMSG);
}

static void a_wrong_known_size_is_refused(void **state)
{
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    struct zstd_writer *writer = NULL;
    int r;

    assert_int_equal(zstd_writer_new(&writer, 3, 10, add, &frame, NULL), 0);
    r = zstd_writer_add(writer, span_text("abc"), NULL);
    if (r == 0)
        r = zstd_writer_end(writer, NULL);
    assert_int_equal(r, -EINVAL);
    zstd_writer_free(writer);
}

static int round_trip(void)
{
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED), back = buf_init(BUF_UNLIMITED);
    int r = zstd_compress(span_text("hello"), 3, &frame, NULL);

    return r < 0 ? r : zstd_decompress(buf_span(&frame), 5, &back, NULL);
}

/* What was written with a small window is read with it; what needs a larger one is refused. */
static void windows_are_bounded(void **state)
{
    cleanup(buf_release) struct buf raw = sample(3000000);

    for (int is_small = 0; is_small < 2; is_small++) {
        cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED),
                                        back = buf_init(BUF_UNLIMITED);
        struct zstd_writer *writer = NULL;
        struct zstd_reader *reader = NULL;

        assert_int_equal(zstd_writer_new(&writer, 3, raw.size, add, &frame, NULL), 0);
        if (is_small)
            zstd_writer_limit_window(writer, 18);
        assert_int_equal(zstd_writer_add(writer, buf_span(&raw), NULL), 0);
        assert_int_equal(zstd_writer_end(writer, NULL), 0);
        zstd_writer_free(writer);
        assert_int_equal(zstd_reader_new(&reader, raw.size, add, &back, NULL), 0);
        zstd_reader_limit_window(reader, 18);
        assert_int_equal(zstd_reader_add(reader, buf_span(&frame), NULL), is_small ? 0 : -EBADMSG);
        zstd_reader_free(reader);
        assert_true(!is_small || span_equal(buf_span(&raw), buf_span(&back)));
    }
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(round_trip());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),           cmocka_unit_test(a_byte_at_a_time),
        cmocka_unit_test(hostile_frames),      cmocka_unit_test(a_wrong_known_size_is_refused),
        cmocka_unit_test(windows_are_bounded), cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("zstd", tests, NULL, NULL);
}
