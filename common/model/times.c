/* SPDX-License-Identifier: MIT */
#include "common/model/times.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

uint64_t times_size(uint64_t count)
{
    return TIMES_MAGIC_SIZE + 8 * count;
}

static bool in_range(int64_t mtime)
{
    return mtime <= ENTRY_MAX_TIME && mtime >= -ENTRY_MAX_TIME;
}

static int refuse(uint64_t offset, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)offset, rule);
}

static const char magic_rule[] = "times begin with \"" TIMES_MAGIC "\" NUL";
static const char range_rule[] = "a time is within 2^53 - 1 seconds of 1970";
static const char count_rule[] = "there is one time for each entry, and nothing behind";

int times_open(struct span bytes, uint64_t count, struct times *out, struct error *err)
{
    if (!span_starts_with(bytes, span_of(TIMES_MAGIC, TIMES_MAGIC_SIZE)))
        return refuse(0, err, magic_rule);
    if (count > ENTRY_MAX_COUNT || bytes.size != times_size(count))
        return refuse(bytes.size, err, count_rule);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = times_size(i);
        if (!in_range((int64_t)bytes_u64(bytes.bytes + offset)))
            return refuse(offset, err, range_rule);
    }
    *out = (struct times){ .bytes = bytes, .count = count };
    return 0;
}

int64_t times_get(const struct times *times, uint64_t index)
{
    if (index >= times->count)
        abort();
    return (int64_t)bytes_u64(times->bytes.bytes + times_size(index));
}

int times_check(struct span bytes, uint64_t count, struct digest *out_sha256, struct error *err)
{
    struct times times;
    int r = times_open(bytes, count, &times, err);

    if (r == 0)
        *out_sha256 = digest_of_span(bytes);
    return r;
}

void times_reader_init(struct times_reader *reader, uint64_t count)
{
    reader->count = count;
    reader->offset = 0;
    reader->used = 0;
    digest_stream_init(&reader->digest);
}

/* `piece` is full: the magic, or one time. */
static int reader_piece(struct times_reader *reader, struct error *err)
{
    uint64_t start = reader->offset - reader->used;

    if (start == 0 && memcmp(reader->piece, TIMES_MAGIC, TIMES_MAGIC_SIZE) != 0)
        return refuse(0, err, magic_rule);
    if (start != 0 && !in_range((int64_t)bytes_u64(reader->piece)))
        return refuse(start, err, range_rule);
    reader->used = 0;
    return 0;
}

int times_reader_feed(struct times_reader *reader, const void *bytes, size_t size,
                      struct error *err)
{
    struct span rest = span_of(bytes, size);

    if (reader->count > ENTRY_MAX_COUNT || size > times_size(reader->count) - reader->offset)
        return refuse(reader->offset, err, count_rule);
    digest_stream_add(&reader->digest, bytes, size);
    while (rest.size > 0) {
        size_t wanted = reader->offset - reader->used == 0 ? TIMES_MAGIC_SIZE : 8;
        size_t more = wanted - reader->used;
        int r;
        if (more > rest.size)
            more = rest.size;
        memcpy(reader->piece + reader->used, rest.bytes, more);
        reader->used += more;
        reader->offset += more;
        rest = span_slice(rest, more, rest.size);
        r = reader->used == wanted ? reader_piece(reader, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int times_reader_end(struct times_reader *reader, struct digest *out_sha256, struct error *err)
{
    if (reader->offset < TIMES_MAGIC_SIZE)
        return refuse(0, err, magic_rule);
    if (reader->offset != times_size(reader->count))
        return refuse(reader->offset, err, count_rule);
    *out_sha256 = digest_stream_end(&reader->digest);
    return 0;
}

static int writer_flush(struct times_writer *writer, struct error *err)
{
    size_t used = writer->used;

    writer->used = 0;
    digest_stream_add(&writer->digest, writer->buffer, used);
    return sink_write(&writer->sink, writer->buffer, used, err);
}

int times_writer_init(struct times_writer *writer, struct sink sink, struct error *err)
{
    writer->sink = sink;
    digest_stream_init(&writer->digest);
    memcpy(writer->buffer, TIMES_MAGIC, TIMES_MAGIC_SIZE);
    writer->used = TIMES_MAGIC_SIZE;
    return 0;
}

int times_writer_add(struct times_writer *writer, int64_t mtime, struct error *err)
{
    int r = 0;

    if (!in_range(mtime))
        return error_set(err, -EINVAL, "%s", range_rule);
    if (sizeof(writer->buffer) - writer->used < 8)
        r = writer_flush(writer, err);
    if (r < 0)
        return r;
    bytes_set_u64(writer->buffer + writer->used, (uint64_t)mtime);
    writer->used += 8;
    return 0;
}

int times_writer_end(struct times_writer *writer, struct digest *out_sha256, struct error *err)
{
    int r = writer_flush(writer, err);

    if (r < 0)
        return r;
    *out_sha256 = digest_stream_end(&writer->digest);
    return 0;
}
