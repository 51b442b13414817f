/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/times.h"

static const int64_t samples[] = { 0, 1, -1, 1700000000, ENTRY_MAX_TIME, -ENTRY_MAX_TIME };
#define SAMPLE_COUNT (sizeof(samples) / sizeof(samples[0]))

static void write_samples(struct buf *out, struct digest *out_sha256)
{
    struct times_writer writer;

    assert_int_equal(times_writer_init(&writer, sink_to_buf(out), NULL), 0);
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        assert_int_equal(times_writer_add(&writer, samples[i], NULL), 0);
    assert_int_equal(times_writer_add(&writer, ENTRY_MAX_TIME + 1, NULL), -EINVAL);
    assert_int_equal(times_writer_end(&writer, out_sha256, NULL), 0);
}

static int read_in_pieces(struct span bytes, uint64_t count, size_t piece, struct digest *out,
                          struct error *err)
{
    struct times_reader reader;
    int r = 0;

    times_reader_init(&reader, count);
    for (size_t at = 0; r == 0 && at < bytes.size; at += piece) {
        struct span part = span_slice(bytes, at, piece);
        r = times_reader_feed(&reader, part.bytes, part.size, err);
    }
    return r == 0 ? times_reader_end(&reader, out, err) : r;
}

static void test_round_trip(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1000);
    struct digest written, read;
    struct times times;

    write_samples(&out, &written);
    assert_int_equal(out.size, times_size(SAMPLE_COUNT));
    assert_int_equal(times_open(buf_span(&out), SAMPLE_COUNT, &times, NULL), 0);
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        assert_int_equal(times_get(&times, i), samples[i]);
    for (size_t piece = 1; piece < 40; piece++) {
        assert_int_equal(read_in_pieces(buf_span(&out), SAMPLE_COUNT, piece, &read, NULL), 0);
        assert_memory_equal(read.bytes, written.bytes, DIGEST_SIZE);
    }
    assert_int_equal(times_check(buf_span(&out), SAMPLE_COUNT, &read, NULL), 0);
    assert_memory_equal(read.bytes, written.bytes, DIGEST_SIZE);
}

static void test_empty_vector(void **state)
{
    struct span empty = span_of(TIMES_MAGIC, TIMES_MAGIC_SIZE);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    assert_int_equal(times_check(empty, 0, &digest, NULL), 0);
    digest_hex(&digest, hex);
    assert_string_equal(hex, "7820ab155394e8480296dc24f7235bc2187838a26f980fdf0e9855eadb812e77");
    assert_int_equal(read_in_pieces(empty, 0, 4, &digest, NULL), 0);
}

static void assert_refused(struct span bytes, uint64_t count)
{
    struct digest digest;
    struct error err = { 0 };

    assert_int_equal(times_check(bytes, count, &digest, &err), -EBADMSG);
    assert_memory_equal(err.text, "offset ", 7);
    for (size_t piece = 1; piece < 40; piece += 6) {
        err.code = 0;
        assert_int_equal(read_in_pieces(bytes, count, piece, &digest, &err), -EBADMSG);
        assert_memory_equal(err.text, "offset ", 7);
    }
}

static void test_refused(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1000);
    struct digest digest;

    write_samples(&out, &digest);
    assert_refused(buf_span(&out), SAMPLE_COUNT - 1);
    assert_refused(buf_span(&out), SAMPLE_COUNT + 1);
    assert_refused(buf_span(&out), UINT64_MAX);
    assert_refused(span_slice(buf_span(&out), 0, out.size - 1), SAMPLE_COUNT);
    assert_refused(span_slice(buf_span(&out), 0, 5), 0);
    assert_refused(span_of("", 0), 0);
    out.bytes[3] ^= 1;
    assert_refused(buf_span(&out), SAMPLE_COUNT);
    out.bytes[3] ^= 1;
    out.bytes[times_size(4) + 7] = 0x7f;
    assert_refused(buf_span(&out), SAMPLE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty_vector),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
