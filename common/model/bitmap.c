/* SPDX-License-Identifier: MIT */
#include "common/model/bitmap.h"

#include <errno.h>

#include "common/base/error.h"

size_t bitmap_size(uint64_t count)
{
    return (size_t)(count / 8 + (count % 8 != 0));
}

bool bitmap_get(const uint8_t *bytes, uint64_t index)
{
    return (bytes[index / 8] >> (index % 8) & 1) != 0;
}

void bitmap_set(uint8_t *bytes, uint64_t index)
{
    bytes[index / 8] = (uint8_t)(bytes[index / 8] | 1u << (index % 8));
}

void bitmap_clear(uint8_t *bytes, uint64_t index)
{
    bytes[index / 8] = (uint8_t)(bytes[index / 8] & ~(1u << (index % 8)));
}

uint64_t bitmap_count(struct span bytes)
{
    uint64_t count = 0;

    for (size_t i = 0; i < bytes.size; i++)
        count += (uint64_t)__builtin_popcount(bytes.bytes[i]);
    return count;
}

uint64_t bitmap_next(struct span bytes, uint64_t count, uint64_t index)
{
    while (index < count) {
        if (index % 8 == 0 && bytes.bytes[index / 8] == 0)
            index += 8;
        else if (bitmap_get(bytes.bytes, index))
            return index;
        else
            index++;
    }
    return count;
}

int bitmap_check(struct span bytes, uint64_t count, struct error *err)
{
    if (bytes.size != bitmap_size(count))
        return error_set(err, -EBADMSG, "a bitmap of %llu bits has %zu bytes, not %zu",
                         (unsigned long long)count, bitmap_size(count), bytes.size);
    if (count % 8 != 0 && bytes.bytes[bytes.size - 1] >> (count % 8) != 0)
        return error_set(err, -EBADMSG, "offset %zu: bits behind the last one", bytes.size - 1);
    return 0;
}
