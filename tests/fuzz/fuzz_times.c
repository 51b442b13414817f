/* SPDX-License-Identifier: MIT */
/* Both readers of times agree, for the count that fits the size and for others. */
#include "common/model/times.h"
#include "tests/fuzz/fuzz.h"

static void check(struct span bytes, uint64_t count)
{
    struct times_reader reader;
    struct digest whole, streamed;
    int r = times_check(bytes, count, &whole, NULL), s = 0;

    times_reader_init(&reader, count);
    for (size_t at = 0; s == 0 && at < bytes.size; at += 3)
        s = times_reader_feed(&reader, bytes.bytes + at, span_slice(bytes, at, 3).size, NULL);
    if (s == 0)
        s = times_reader_end(&reader, &streamed, NULL);
    FUZZ_CHECK(r == s);
    FUZZ_CHECK(r < 0 || digest_equal(&whole, &streamed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(span_of(data, size), size < TIMES_MAGIC_SIZE ? 0 : (size - TIMES_MAGIC_SIZE) / 8);
    check(span_of(data, size), 1);
    check(span_of(data, size), UINT64_MAX / 8);
    return 0;
}
