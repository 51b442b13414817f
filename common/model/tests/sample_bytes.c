/* SPDX-License-Identifier: MIT */
#include "common/model/tests/sample_bytes.h"

#include <string.h>

#include "tests/support/unit.h"

static void fill(uint8_t *at, size_t size, uint64_t seed)
{
    seed = seed * 2862933555777941757u + 3037000493u;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at[i] = (uint8_t)(seed >> 56);
    }
}

struct buf sample_bytes(size_t size, uint64_t seed)
{
    struct buf bytes = buf_init(BUF_UNLIMITED);

    buf_add_zeros(&bytes, size);
    assert_int_equal(buf_check(&bytes, NULL), 0);
    fill(bytes.bytes, size, seed);
    return bytes;
}

void sample_change(struct buf *bytes, size_t at, size_t size, uint64_t seed)
{
    fill(bytes->bytes + at, size, seed);
}

void sample_insert(struct buf *bytes, size_t at, size_t size, uint64_t seed)
{
    size_t behind = bytes->size - at;

    buf_add_zeros(bytes, size);
    assert_int_equal(buf_check(bytes, NULL), 0);
    memmove(bytes->bytes + at + size, bytes->bytes + at, behind);
    fill(bytes->bytes + at, size, seed);
}
