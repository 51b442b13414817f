/* SPDX-License-Identifier: MIT */
#include "common/codec/gzip.h"

#include <errno.h>
#include <string.h>

#include <zlib.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void what_zlib_unpacks_is_what_went_in(void **state)
{
    cleanup(buf_release) struct buf raw = buf_init(BUF_UNLIMITED), packed = buf_init(BUF_UNLIMITED);
    z_stream stream = { 0 };
    uint8_t out[20000];

    for (int i = 0; i < 1000; i++)
        buf_format(&raw, "{\"n\":%d}", i);
    assert_int_equal(gzip_compress(buf_span(&raw), &packed, NULL), 0);
    assert_true(packed.size < raw.size / 2);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = packed.bytes;
    stream.avail_in = (uInt)packed.size;
    stream.next_out = out;
    stream.avail_out = sizeof(out);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_true(span_equal(buf_span(&raw), span_of(out, stream.total_out)));
    assert_int_equal(stream.avail_in, 0);
    inflateEnd(&stream);
}

static void limits(void **state)
{
    cleanup(buf_release) struct buf small = buf_init(8);

    assert_int_equal(gzip_compress(span_text("hello hello"), &small, NULL), -EFBIG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_zlib_unpacks_is_what_went_in),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
