/* SPDX-License-Identifier: MIT */
/* The writer of delta.h. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd_frame.h"
#include "common/model/delta.h"
#include "common/model/delta_frames.h"

/* Small frames leave together. */
#define OUT_STEP (64u * 1024)

struct delta_writer {
    struct delta_header header;
    struct sink sink;
    int level;
    uint64_t size;                     /* of the delta, with what is in `out` */
    uint64_t made;                     /* of the target, with what is held */
    uint64_t copy_offset, copy_length; /* the copy that the next may continue */
    struct buf data;                   /* the data frame that is not full */
    struct buf packed;                 /* a zstd frame */
    struct buf out;
    struct zstd_frame_writer *zstd;
};

int delta_writer_new(struct delta_writer **out_writer, const struct delta_header *header, int level,
                     struct sink sink, struct error *err)
{
    struct delta_writer *writer;
    int r;

    if (header->base_size > DELTA_MAX_BLOB || header->target_size > DELTA_MAX_BLOB)
        return error_set(err, -EINVAL, "a blob has at most 2^53 - 1 bytes");
    writer = memory_new(sizeof(*writer));
    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    writer->header = *header;
    writer->sink = sink;
    writer->level = level;
    writer->data = buf_init(DELTA_RAW_MAX);
    writer->packed = buf_init(BUF_UNLIMITED);
    writer->out = buf_init(BUF_UNLIMITED);
    buf_add(&writer->out, DELTA_MAGIC, 8);
    buf_add(&writer->out, header->base.bytes, DIGEST_SIZE);
    buf_add(&writer->out, header->target.bytes, DIGEST_SIZE);
    buf_add_u64(&writer->out, header->base_size);
    buf_add_u64(&writer->out, header->target_size);
    r = buf_check(&writer->out, err);
    if (r == 0)
        r = zstd_frame_writer_new(&writer->zstd, err);
    if (r < 0) {
        delta_writer_free(writer);
        return r;
    }
    writer->size = writer->out.size;
    *out_writer = writer;
    return 0;
}

struct delta_writer *delta_writer_free(struct delta_writer *writer)
{
    if (writer == NULL)
        return NULL;
    zstd_frame_writer_free(writer->zstd);
    buf_release(&writer->data);
    buf_release(&writer->packed);
    buf_release(&writer->out);
    return memory_free(writer);
}

uint64_t delta_writer_size(const struct delta_writer *writer)
{
    return writer->size;
}

static int send_out(struct delta_writer *writer, struct error *err)
{
    int r = buf_check(&writer->out, err);

    if (r == 0)
        r = sink_write(&writer->sink, writer->out.bytes, writer->out.size, err);
    buf_clear(&writer->out);
    return r;
}

/* Behind the head of a frame in `out`: its bytes, past `out` when they are many. */
static int send_frame(struct delta_writer *writer, size_t head_size, struct span bytes,
                      struct error *err)
{
    int r = buf_check(&writer->out, err);

    writer->size += head_size + bytes.size;
    if (r == 0 && writer->out.size + bytes.size < OUT_STEP) {
        buf_add_span(&writer->out, bytes);
        return buf_check(&writer->out, err);
    }
    if (r == 0)
        r = send_out(writer, err);
    return r < 0 ? r : sink_write(&writer->sink, bytes.bytes, bytes.size, err);
}

static int end_copy(struct delta_writer *writer, struct error *err)
{
    if (writer->copy_length == 0)
        return 0;
    buf_add_byte(&writer->out, DELTA_COPY);
    buf_add_u64(&writer->out, writer->copy_offset);
    buf_add_u64(&writer->out, writer->copy_length);
    writer->copy_length = 0;
    return send_frame(writer, 1 + DELTA_COPY_FIELDS, span_of("", 0), err);
}

static void put_data_head(struct delta_writer *writer, size_t raw, size_t stored,
                          enum delta_coding coding)
{
    buf_add_byte(&writer->out, DELTA_DATA);
    buf_add_u32(&writer->out, (uint32_t)raw);
    buf_add_u32(&writer->out, (uint32_t)stored);
    buf_add_byte(&writer->out, (uint8_t)coding);
}

static int pack(struct delta_writer *writer, struct span raw, struct span prefix, struct error *err)
{
    buf_clear(&writer->packed);
    return zstd_frame_write(writer->zstd, raw, prefix, writer->level, &writer->packed, err);
}

static int end_data(struct delta_writer *writer, struct error *err)
{
    struct span raw = buf_span(&writer->data);
    bool packed;
    int r;

    if (raw.size == 0)
        return 0;
    r = pack(writer, raw, span_of("", 0), err);
    if (r < 0)
        return r;
    packed = writer->packed.size < raw.size;
    put_data_head(writer, raw.size, packed ? writer->packed.size : raw.size,
                  packed ? DELTA_ZSTD : DELTA_RAW);
    r = send_frame(writer, 1 + DELTA_DATA_FIELDS, packed ? buf_span(&writer->packed) : raw, err);
    buf_clear(&writer->data);
    return r;
}

/* That much more of the target, or -EINVAL. */
static int count(struct delta_writer *writer, uint64_t length, struct error *err)
{
    if (length > writer->header.target_size - writer->made)
        return error_set(err, -EINVAL, "more than the target's %llu bytes",
                         (unsigned long long)writer->header.target_size);
    writer->made += length;
    return 0;
}

static int check_range(const struct delta_writer *writer, uint64_t offset, uint64_t length,
                       struct error *err)
{
    if (offset > writer->header.base_size || length > writer->header.base_size - offset)
        return error_set(err, -EINVAL, "a range outside the base");
    return 0;
}

int delta_writer_copy(struct delta_writer *writer, uint64_t offset, uint64_t length,
                      struct error *err)
{
    int r = check_range(writer, offset, length, err);

    if (r == 0)
        r = count(writer, length, err);
    if (r < 0 || length == 0)
        return r;
    if (writer->copy_length > 0 && writer->copy_offset + writer->copy_length == offset) {
        writer->copy_length += length;
        return 0;
    }
    r = end_data(writer, err);
    if (r == 0)
        r = end_copy(writer, err);
    writer->copy_offset = offset;
    writer->copy_length = length;
    return r;
}

/* Without counting. */
static int add_data(struct delta_writer *writer, struct span rest, struct error *err)
{
    int r = end_copy(writer, err);

    while (r == 0 && rest.size > 0) {
        size_t room = DELTA_RAW_MAX - writer->data.size;
        size_t more = room < rest.size ? room : rest.size;
        buf_add(&writer->data, rest.bytes, more);
        r = buf_check(&writer->data, err);
        rest = span_slice(rest, more, rest.size);
        if (r == 0 && writer->data.size == DELTA_RAW_MAX)
            r = end_data(writer, err);
    }
    return r;
}

int delta_writer_data(struct delta_writer *writer, const void *bytes, size_t size,
                      struct error *err)
{
    int r = count(writer, size, err);

    if (r < 0 || size == 0)
        return r;
    return add_data(writer, span_of(bytes, size), err);
}

int delta_writer_patch(struct delta_writer *writer, struct span raw, uint64_t prefix_offset,
                       struct span prefix, struct error *err)
{
    int r = check_range(writer, prefix_offset, prefix.size, err);

    if (r == 0 && (raw.size == 0 || raw.size > DELTA_PATCH_MAX || prefix.size == 0 ||
                   prefix.size > DELTA_PATCH_MAX))
        r = error_set(err, -EINVAL, "a patch and its prefix have 1 byte to 128 MiB");
    if (r == 0)
        r = count(writer, raw.size, err);
    if (r == 0)
        r = pack(writer, raw, prefix, err);
    if (r < 0)
        return r;
    if (writer->packed.size + DELTA_PREFIX_FIELDS >= raw.size)
        return add_data(writer, raw, err);
    r = end_copy(writer, err);
    if (r < 0)
        return r;
    if (writer->data.size > 0) {
        /* The data before it leaves first, through the same memory. */
        struct buf packed = writer->packed;
        writer->packed = buf_init(BUF_UNLIMITED);
        r = end_data(writer, err);
        buf_release(&writer->packed);
        writer->packed = packed;
        if (r < 0)
            return r;
    }
    put_data_head(writer, raw.size, writer->packed.size, DELTA_PATCH);
    buf_add_u64(&writer->out, prefix_offset);
    buf_add_u64(&writer->out, prefix.size);
    r = send_frame(writer, 1 + DELTA_DATA_FIELDS + DELTA_PREFIX_FIELDS, buf_span(&writer->packed),
                   err);
    if (writer->packed.capacity > 2 * DELTA_RAW_MAX)
        buf_release(&writer->packed);
    return r;
}

int delta_writer_end(struct delta_writer *writer, struct error *err)
{
    int r = 0;

    if (writer->made != writer->header.target_size)
        return error_set(err, -EINVAL, "%llu bytes instead of the target's %llu",
                         (unsigned long long)writer->made,
                         (unsigned long long)writer->header.target_size);
    r = end_data(writer, err);
    if (r == 0)
        r = end_copy(writer, err);
    if (r < 0)
        return r;
    buf_add_byte(&writer->out, DELTA_END);
    writer->size++;
    return send_out(writer, err);
}
