/* SPDX-License-Identifier: MIT */
/* The writer of pack.h. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd_frame.h"
#include "common/model/pack.h"

#define TRY_MIN_SIZE 128             /* a frame has a head of its own */
#define SAMPLE_FROM_SIZE (64 * 1024) /* below, trying costs no more than a sample */
#define SAMPLE_SIZE (16 * 1024)
#define OUT_STEP (64 * 1024) /* small members leave together */

struct pack_writer {
    int level;
    struct sink sink;
    uint64_t size, count;
    struct zstd_frame_writer *zstd;
    struct buf packed, out;
};

int pack_writer_new(struct pack_writer **out_writer, int level, struct sink sink, struct error *err)
{
    struct pack_writer *writer = memory_new(sizeof(*writer));
    int r;

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    writer->level = level;
    writer->sink = sink;
    writer->packed = buf_init(BUF_UNLIMITED);
    writer->out = buf_init(BUF_UNLIMITED);
    writer->size = 8;
    buf_add(&writer->out, PACK_MAGIC, 8);
    r = buf_check(&writer->out, err);
    if (r == 0)
        r = zstd_frame_writer_new(&writer->zstd, err);
    if (r < 0) {
        pack_writer_free(writer);
        return r;
    }
    *out_writer = writer;
    return 0;
}

struct pack_writer *pack_writer_free(struct pack_writer *writer)
{
    if (writer == NULL)
        return NULL;
    zstd_frame_writer_free(writer->zstd);
    buf_release(&writer->packed);
    buf_release(&writer->out);
    return memory_free(writer);
}

uint64_t pack_writer_size(const struct pack_writer *writer)
{
    return writer->size;
}

static int send_out(struct pack_writer *writer, struct error *err)
{
    int r = buf_check(&writer->out, err);

    if (r == 0)
        r = sink_write(&writer->sink, writer->out.bytes, writer->out.size, err);
    buf_clear(&writer->out);
    return r;
}

static int add_member(struct pack_writer *writer, const struct digest *sha256, uint64_t size,
                      enum pack_coding coding, struct span stored, struct error *err)
{
    int r;

    buf_add(&writer->out, sha256->bytes, DIGEST_SIZE);
    buf_add_u64(&writer->out, size);
    buf_add_byte(&writer->out, (uint8_t)coding);
    buf_add_u64(&writer->out, stored.size);
    writer->size += PACK_MEMBER_SIZE + stored.size;
    writer->count++;
    if (writer->out.size + stored.size < OUT_STEP) {
        buf_add_span(&writer->out, stored);
        return buf_check(&writer->out, err);
    }
    r = send_out(writer, err);
    return r < 0 ? r : sink_write(&writer->sink, stored.bytes, stored.size, err);
}

static int check_name(const struct digest *sha256, struct error *err)
{
    if (digest_is_zero(sha256))
        return error_set(err, -EINVAL, "a digest of zeros marks the end of a pack");
    return 0;
}

/* Does zstd save a sixteenth of these bytes? *packed is then what it makes of them. */
static int try_zstd(struct pack_writer *writer, struct span bytes, bool *out_saves,
                    struct error *err)
{
    int r;

    buf_clear(&writer->packed);
    r = zstd_frame_write(writer->zstd, bytes, span_of("", 0), writer->level, &writer->packed, err);
    *out_saves = r == 0 && writer->packed.size < bytes.size - bytes.size / 16;
    return r;
}

int pack_writer_add(struct pack_writer *writer, const struct digest *sha256, struct span bytes,
                    struct error *err)
{
    bool saves = bytes.size >= TRY_MIN_SIZE && bytes.size <= ZSTD_FRAME_WINDOW_MAX;
    int r = check_name(sha256, err);

    if (r == 0 && saves && bytes.size >= SAMPLE_FROM_SIZE)
        r = try_zstd(writer, span_slice(bytes, bytes.size / 2, SAMPLE_SIZE), &saves, err);
    if (r == 0 && saves)
        r = try_zstd(writer, bytes, &saves, err);
    if (r < 0)
        return r;
    return add_member(writer, sha256, bytes.size, saves ? PACK_ZSTD : PACK_RAW,
                      saves ? buf_span(&writer->packed) : bytes, err);
}

int pack_writer_add_stored(struct pack_writer *writer, const struct digest *sha256, uint64_t size,
                           enum pack_coding coding, struct span stored, struct error *err)
{
    int r = check_name(sha256, err);

    if (r < 0)
        return r;
    if (size > PACK_MAX_BLOB || (coding == PACK_RAW ? stored.size != size : stored.size > size))
        return error_set(err, -EINVAL, "stored is as long as the blob, or with zstd not longer");
    if (coding == PACK_ZSTD && zstd_frame_check(stored, size, err) < 0)
        return error_prefix(err, -EINVAL, "a member of a pack");
    return add_member(writer, sha256, size, coding, stored, err);
}

int pack_writer_end(struct pack_writer *writer, struct error *err)
{
    buf_add_zeros(&writer->out, DIGEST_SIZE);
    buf_add_u64(&writer->out, writer->count);
    writer->size += DIGEST_SIZE + 8;
    return send_out(writer, err);
}
