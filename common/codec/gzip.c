/* SPDX-License-Identifier: MIT */
#include "common/codec/gzip.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include <zlib.h>

#include "common/base/buf.h"
#include "common/base/error.h"

#define GZIP_WINDOW_BITS (15 + 16) /* 16: a gzip header instead of zlib's */
#define MEMORY_LEVEL 8
#define FAST_LEVEL 4 /* answers are made while somebody waits */

int gzip_compress(struct span bytes, struct buf *out, struct error *err)
{
    z_stream stream = { 0 };
    size_t bound;
    uint8_t *at;
    int r;

    if (bytes.size > UINT_MAX / 2)
        return error_set(err, -EFBIG, "too large to compress at once");
    if (deflateInit2(&stream, FAST_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return error_set(err, -ENOMEM, "out of memory");
    bound = deflateBound(&stream, bytes.size);
    at = buf_reserve(out, bound);
    if (at == NULL) {
        deflateEnd(&stream);
        return buf_check(out, err);
    }
    stream.next_in = (Bytef *)(uintptr_t)bytes.bytes; /* the library does not write there */
    stream.avail_in = (uInt)bytes.size;
    stream.next_out = at;
    stream.avail_out = (uInt)bound;
    r = deflate(&stream, Z_FINISH);
    buf_added(out, bound - stream.avail_out);
    deflateEnd(&stream);
    return r == Z_STREAM_END ? 0 : error_set(err, -ENOMEM, "out of memory");
}
