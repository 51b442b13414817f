/* SPDX-License-Identifier: MIT */
#include "common/model/delta.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd_frame.h"
#include "common/model/delta_frames.h"

#define COPY_STEP (1024u * 1024)

static int refuse(uint64_t offset, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)offset, rule);
}

int delta_header_parse(struct span header, struct delta_header *out, struct error *err)
{
    struct delta_header made;

    if (header.size < 8 || memcmp(header.bytes, DELTA_MAGIC, 8) != 0)
        return refuse(0, err, "a delta begins with " DELTA_MAGIC);
    if (header.size < DELTA_HEADER_SIZE)
        return refuse(header.size, err, "a delta's header has 88 bytes");
    memcpy(made.base.bytes, header.bytes + 8, DIGEST_SIZE);
    memcpy(made.target.bytes, header.bytes + 40, DIGEST_SIZE);
    made.base_size = bytes_u64(header.bytes + 72);
    made.target_size = bytes_u64(header.bytes + 80);
    if (made.base_size > DELTA_MAX_BLOB)
        return refuse(72, err, "a blob has at most 2^53 - 1 bytes");
    if (made.target_size > DELTA_MAX_BLOB)
        return refuse(80, err, "a blob has at most 2^53 - 1 bytes");
    *out = made;
    return 0;
}

static int read_span(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    const struct span *bytes = context;

    if (offset > bytes->size || size > bytes->size - offset)
        return error_set(err, -EINVAL, "outside the bytes");
    if (size > 0)
        memcpy(out, bytes->bytes + offset, size);
    return 0;
}

/* The context is only read, though a source's context is not const in general. */
struct delta_source delta_source_of_span(const struct span *bytes)
{
    return (struct delta_source){ .read = read_span, .context = (void *)(uintptr_t)bytes };
}

/* What the next bytes are. All but BODY and ENDED are gathered in `fields` until they are whole. */
enum state {
    HEADER,
    KIND,   /* the first byte of a frame */
    COPY,   /* offset, length */
    DATA,   /* raw length, stored length, coding */
    PREFIX, /* offset, length */
    BODY,   /* the stored bytes */
    ENDED,
};

static const size_t field_sizes[] = { [HEADER] = DELTA_HEADER_SIZE,
                                      [KIND] = 1,
                                      [COPY] = DELTA_COPY_FIELDS,
                                      [DATA] = DELTA_DATA_FIELDS,
                                      [PREFIX] = DELTA_PREFIX_FIELDS };

struct delta_reader {
    struct delta_header header; /* as expected */
    struct delta_source base;
    struct sink target;
    uint64_t patch_max;
    enum state state;
    uint64_t offset; /* of the next byte of the delta */
    uint64_t made;   /* bytes of the target */
    size_t used;     /* of `fields` */
    uint8_t fields[DELTA_HEADER_SIZE];

    /* The data frame at hand. */
    uint32_t raw_length, stored_length;
    enum delta_coding coding;
    uint64_t prefix_offset, prefix_length;
    uint64_t body_offset; /* in the delta */
    uint32_t body_left;

    uint64_t prefix_at;    /* where what `prefix` has stands in the base */
    uint64_t prefix_total; /* bytes of prefixes that were read */
    uint64_t patch_count;

    struct zstd_frame_reader *zstd;
    struct buf stored, raw, prefix; /* kept for the next frame; the prefix with its bytes */
};

int delta_reader_new(struct delta_reader **out_reader, const struct delta_header *expected,
                     struct delta_source base, struct sink target, uint64_t patch_max,
                     struct error *err)
{
    struct delta_reader *reader = memory_new(sizeof(*reader));
    int r;

    if (reader == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = zstd_frame_reader_new(&reader->zstd, err);
    if (r < 0) {
        memory_free(reader);
        return r;
    }
    reader->header = *expected;
    reader->base = base;
    reader->target = target;
    reader->patch_max = patch_max < DELTA_PATCH_MAX ? patch_max : DELTA_PATCH_MAX;
    reader->state = HEADER;
    reader->stored = buf_init(DELTA_PATCH_MAX);
    reader->raw = buf_init(DELTA_PATCH_MAX);
    reader->prefix = buf_init(DELTA_PATCH_MAX);
    *out_reader = reader;
    return 0;
}

struct delta_reader *delta_reader_free(struct delta_reader *reader)
{
    if (reader == NULL)
        return NULL;
    zstd_frame_reader_free(reader->zstd);
    buf_release(&reader->stored);
    buf_release(&reader->raw);
    buf_release(&reader->prefix);
    return memory_free(reader);
}

uint64_t delta_reader_made(const struct delta_reader *reader)
{
    return reader->made;
}

/* Bytes of the target leave; that they fit was checked when their length was read. */
static int give(struct delta_reader *reader, const void *bytes, size_t size, struct error *err)
{
    reader->made += size;
    return sink_write(&reader->target, bytes, size, err);
}

static uint64_t target_left(const struct delta_reader *reader)
{
    return reader->header.target_size - reader->made;
}

/* Where a field of the fields at hand stands in the delta. */
static uint64_t field_offset(const struct delta_reader *reader, size_t at)
{
    return reader->offset - reader->used + at;
}

static int check_range(const struct delta_reader *reader, uint64_t offset, uint64_t length,
                       struct error *err)
{
    if (length == 0)
        return refuse(field_offset(reader, 8), err, "a length is at least 1");
    if (offset > reader->header.base_size || length > reader->header.base_size - offset)
        return refuse(field_offset(reader, 0), err, "a range lies inside the base");
    return 0;
}

static int take_header(struct delta_reader *reader, struct error *err)
{
    struct delta_header header;
    int r = delta_header_parse(span_of(reader->fields, reader->used), &header, err);

    if (r < 0)
        return r;
    if (!digest_equal(&header.base, &reader->header.base) ||
        header.base_size != reader->header.base_size)
        return refuse(8, err, "a delta is from the base that was asked for");
    if (!digest_equal(&header.target, &reader->header.target) ||
        header.target_size != reader->header.target_size)
        return refuse(40, err, "a delta is to the target that was asked for");
    reader->state = KIND;
    return 0;
}

static int take_kind(struct delta_reader *reader, struct error *err)
{
    switch (reader->fields[0]) {
    case DELTA_COPY:
        reader->state = COPY;
        return 0;
    case DELTA_DATA:
        reader->state = DATA;
        return 0;
    case DELTA_END:
        if (target_left(reader) > 0)
            return refuse(field_offset(reader, 0), err, "the frames make the whole target");
        reader->state = ENDED;
        return 0;
    default:
        return refuse(field_offset(reader, 0), err, "a frame is 0 end, 1 copy or 2 data");
    }
}

static int take_copy(struct delta_reader *reader, struct error *err)
{
    uint64_t offset = bytes_u64(reader->fields), length = bytes_u64(reader->fields + 8);
    int r = check_range(reader, offset, length, err);

    if (r == 0 && length > target_left(reader))
        r = refuse(field_offset(reader, 8), err, "no more is made than the target's size");
    buf_clear(&reader->raw);
    while (r == 0 && length > 0) {
        size_t step = length < COPY_STEP ? (size_t)length : COPY_STEP;
        uint8_t *bytes = buf_reserve(&reader->raw, step);
        if (bytes == NULL)
            return buf_check(&reader->raw, err);
        r = reader->base.read(reader->base.context, offset, bytes, step, err);
        if (r == 0)
            r = give(reader, bytes, step, err);
        offset += step;
        length -= step;
    }
    reader->state = KIND;
    return r;
}

static int take_data(struct delta_reader *reader, struct error *err)
{
    uint32_t raw = bytes_u32(reader->fields), stored = bytes_u32(reader->fields + 4);
    uint8_t coding = reader->fields[8];

    if (coding > DELTA_PATCH)
        return refuse(field_offset(reader, 8), err, "a coding is 0 raw, 1 zstd or 2 a patch");
    if (raw == 0)
        return refuse(field_offset(reader, 0), err, "a length is at least 1");
    if (raw > (coding == DELTA_PATCH ? DELTA_PATCH_MAX : DELTA_RAW_MAX))
        return refuse(field_offset(reader, 0), err,
                      "raw is at most 1 MiB, with coding 2 at most 128 MiB");
    if (raw > target_left(reader))
        return refuse(field_offset(reader, 0), err, "no more is made than the target's size");
    if (stored == 0 || stored > raw || (coding == DELTA_RAW && stored != raw))
        return refuse(field_offset(reader, 4), err,
                      "stored is as long as raw, or with zstd not longer");
    if (coding == DELTA_PATCH && raw > reader->patch_max)
        return error_set(err, -EFBIG, "offset %llu: a patch of more than %llu bytes",
                         (unsigned long long)field_offset(reader, 0),
                         (unsigned long long)reader->patch_max);
    reader->raw_length = raw;
    reader->stored_length = reader->body_left = stored;
    reader->coding = coding;
    reader->body_offset = reader->offset;
    reader->state = coding == DELTA_PATCH ? PREFIX : BODY;
    return 0;
}

static int take_prefix(struct delta_reader *reader, struct error *err)
{
    uint64_t offset = bytes_u64(reader->fields), length = bytes_u64(reader->fields + 8);
    int r = check_range(reader, offset, length, err);

    if (r < 0)
        return r;
    if (length > DELTA_PATCH_MAX)
        return refuse(field_offset(reader, 8), err, "a prefix is at most 128 MiB");
    if (length > reader->patch_max)
        return error_set(err, -EFBIG, "offset %llu: a prefix of more than %llu bytes",
                         (unsigned long long)field_offset(reader, 8),
                         (unsigned long long)reader->patch_max);
    reader->prefix_offset = offset;
    reader->prefix_length = length;
    reader->body_offset = reader->offset;
    reader->state = BODY;
    return 0;
}

/* What a large frame took goes back before the next one. */
static void shrink(struct buf *buf)
{
    if (buf->capacity > 2 * DELTA_RAW_MAX)
        buf_release(buf);
}

/* Frees the place for the frame's prefix, unless it is there, and only if it may be read. */
static int count_prefix(struct delta_reader *reader, struct error *err)
{
    const uint64_t length = reader->prefix_length;
    uint64_t maximum;

    reader->patch_count++;
    if (reader->prefix.size == length && reader->prefix_at == reader->prefix_offset)
        return 0;
    maximum = reader->header.base_size + DELTA_PREFIX_TIMES * (reader->made + reader->raw_length) +
              DELTA_PREFIX_MORE * reader->patch_count;
    if (length > maximum - reader->prefix_total)
        return error_set(err, -EFBIG, "offset %llu: too much is read of the base",
                         (unsigned long long)(reader->body_offset - DELTA_PREFIX_FIELDS));
    reader->prefix_total += length;
    buf_clear(&reader->prefix);
    return 0;
}

static int read_prefix(struct delta_reader *reader, struct error *err)
{
    uint8_t *bytes;
    int r = count_prefix(reader, err);

    if (r < 0 || reader->prefix.size > 0)
        return r;
    shrink(&reader->prefix);
    bytes = buf_reserve(&reader->prefix, reader->prefix_length);
    if (bytes == NULL)
        return buf_check(&reader->prefix, err);
    r = reader->base.read(reader->base.context, reader->prefix_offset, bytes, reader->prefix_length,
                          err);
    if (r < 0)
        return r;
    buf_added(&reader->prefix, reader->prefix_length);
    reader->prefix_at = reader->prefix_offset;
    return 0;
}

/* The zstd frame is whole. */
static int unpack(struct delta_reader *reader, struct error *err)
{
    const bool is_patch = reader->coding == DELTA_PATCH;
    struct error why = { 0 };
    uint8_t *raw;
    int r;

    /* Its rules first: a prefix is read for sound frames only. */
    if (zstd_frame_check(buf_span(&reader->stored), reader->raw_length, &why) < 0)
        return refuse(reader->body_offset, err, why.text);
    buf_clear(&reader->raw);
    raw = buf_reserve(&reader->raw, reader->raw_length);
    if (raw == NULL)
        return buf_check(&reader->raw, err);
    r = is_patch ? read_prefix(reader, err) : 0;
    if (r < 0)
        return r;
    r = zstd_frame_read(reader->zstd, buf_span(&reader->stored),
                        is_patch ? buf_span(&reader->prefix) : span_of(NULL, 0), raw,
                        reader->raw_length, &why);
    if (r == -EBADMSG)
        return refuse(reader->body_offset, err, why.text);
    if (r < 0)
        return error_set(err, r, "%s", why.text);
    r = give(reader, raw, reader->raw_length, err);
    shrink(&reader->stored);
    shrink(&reader->raw);
    return r;
}

static int take_body(struct delta_reader *reader, struct span bytes, struct error *err)
{
    int r;

    reader->body_left -= (uint32_t)bytes.size;
    if (reader->coding == DELTA_RAW) {
        r = give(reader, bytes.bytes, bytes.size, err);
    } else {
        buf_add_span(&reader->stored, bytes);
        r = buf_check(&reader->stored, err);
        if (r == 0 && reader->body_left == 0)
            r = unpack(reader, err);
    }
    if (reader->body_left == 0) {
        buf_clear(&reader->stored);
        reader->state = KIND;
    }
    return r;
}

static int take_fields(struct delta_reader *reader, struct error *err)
{
    static int (*const take[])(struct delta_reader * reader, struct error * err) = {
        [HEADER] = take_header, [KIND] = take_kind,     [COPY] = take_copy,
        [DATA] = take_data,     [PREFIX] = take_prefix,
    };
    int r = take[reader->state](reader, err);

    reader->used = 0;
    return r;
}

int delta_reader_feed(struct delta_reader *reader, const void *bytes, size_t size,
                      struct error *err)
{
    struct span rest = span_of(bytes, size);

    while (rest.size > 0) {
        size_t wanted, more;
        int r = 0;
        if (reader->state == ENDED)
            return refuse(reader->offset, err, "nothing stands behind the end");
        wanted =
            reader->state == BODY ? reader->body_left : field_sizes[reader->state] - reader->used;
        more = wanted < rest.size ? wanted : rest.size;
        reader->offset += more;
        if (reader->state == BODY) {
            r = take_body(reader, span_slice(rest, 0, more), err);
        } else {
            memcpy(reader->fields + reader->used, rest.bytes, more);
            reader->used += more;
            if (more == wanted)
                r = take_fields(reader, err);
        }
        if (r < 0)
            return r;
        rest = span_slice(rest, more, rest.size);
    }
    return 0;
}

int delta_reader_end(struct delta_reader *reader, struct error *err)
{
    if (reader->state != ENDED)
        return refuse(reader->offset, err, "a delta ends with a frame 0");
    return 0;
}
