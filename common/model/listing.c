/* SPDX-License-Identifier: MIT */
#include "common/model/listing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/hex.h"

/*
 * One entry out of contiguous bytes. A field that does not end within the bytes
 * is "not yet" as long as more may come (NEED_MORE), else it is cut off.
 */
#define NEED_MORE 1

struct parse {
    struct span bytes; /* from the entry's first byte */
    uint64_t offset;   /* of that byte in the listing */
    size_t at;
    bool last; /* nothing comes behind the bytes */
};

static int refuse(const struct parse *parse, size_t at, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)(parse->offset + at),
                     rule);
}

/* A rule of another module, told with our offset. */
static int refuse_rule(const struct parse *parse, size_t at, const struct error *why,
                       struct error *err)
{
    return refuse(parse, at, err, why->text);
}

/* The bytes up to `end`, at most max_size of them; goes behind it. */
static int take_field(struct parse *parse, uint8_t end, size_t max_size, struct span *out,
                      struct error *err)
{
    struct span rest = span_slice(parse->bytes, parse->at, max_size + 1);
    const uint8_t *found = rest.size > 0 ? memchr(rest.bytes, end, rest.size) : NULL;

    if (found == NULL && rest.size > max_size)
        return refuse(parse, parse->at, err, "a field is too long");
    if (found == NULL && !parse->last)
        return NEED_MORE;
    if (found == NULL)
        return refuse(parse, parse->at, err, "the listing is cut off inside an entry");
    *out = span_slice(rest, 0, (size_t)(found - rest.bytes));
    parse->at += out->size + 1;
    return 0;
}

static int parse_mode(struct parse *parse, struct entry *entry, struct error *err)
{
    size_t at = parse->at;
    struct error why; /* not cleared: a good entry writes nothing to it */
    struct span text;
    int r = take_field(parse, ' ', 4, &text, err);

    if (r != 0)
        return r;
    if (name_parse_mode(text, &entry->mode, &why) < 0)
        return refuse_rule(parse, at, &why, err);
    return 0;
}

static int parse_size(struct parse *parse, struct entry *entry, struct error *err)
{
    size_t at = parse->at;
    struct span text;
    int r = take_field(parse, ' ', 16, &text, err);

    if (r != 0)
        return r;
    if (number_parse(text, ENTRY_MAX_SIZE, &entry->size, NULL) < 0)
        return refuse(parse, at, err, "a size is decimal, without leading zeros, at most 2^53 - 1");
    return 0;
}

static int parse_sha256(struct parse *parse, struct entry *entry, struct error *err)
{
    size_t at = parse->at;
    struct span text;
    int r = take_field(parse, ' ', 64, &text, err);

    if (r != 0)
        return r;
    if (text.size != 64 || hex_decode(text, entry->sha256.bytes) < 0)
        return refuse(parse, at, err, "a sha256 is 64 lower-case hex digits");
    return 0;
}

/* `d `, `f ` or `l `. */
static int parse_kind(struct parse *parse, struct entry *entry, struct error *err)
{
    const uint8_t *bytes = parse->bytes.bytes;

    if (parse->bytes.size < 2)
        return parse->last ? refuse(parse, 0, err, "the listing is cut off inside an entry")
                           : NEED_MORE;
    if (bytes[0] != 'd' && bytes[0] != 'f' && bytes[0] != 'l')
        return refuse(parse, 0, err, "an entry begins with d, f or l");
    if (bytes[1] != ' ')
        return refuse(parse, 1, err, "one space stands behind the kind");
    entry->kind = bytes[0] == 'd' ? ENTRY_DIRECTORY : bytes[0] == 'f' ? ENTRY_FILE : ENTRY_LINK;
    parse->at = 2;
    return 0;
}

/* 0: *out and *out_size are set; NEED_MORE; -EBADMSG. */
static int parse_entry(struct parse *parse, struct entry_order *order, struct entry *out,
                       size_t *out_size, struct error *err)
{
    struct entry entry = { 0 };
    struct error why;
    size_t path_at;
    int r = parse_kind(parse, &entry, err);

    if (r == 0 && entry.kind != ENTRY_LINK)
        r = parse_mode(parse, &entry, err);
    if (r == 0 && entry.kind == ENTRY_FILE)
        r = parse_size(parse, &entry, err);
    if (r == 0 && entry.kind == ENTRY_FILE)
        r = parse_sha256(parse, &entry, err);
    path_at = parse->at;
    if (r == 0)
        r = take_field(parse, '\0', PATH_MAX_SIZE, &entry.path, err);
    if (r == 0 && entry.kind == ENTRY_LINK)
        r = take_field(parse, '\0', TARGET_MAX_SIZE, &entry.target, err);
    if (r != 0)
        return r;
    if (entry_order_next(order, &entry, &why) < 0)
        return refuse_rule(parse, path_at, &why, err);
    *out = entry;
    *out_size = parse->at;
    return 0;
}

static int refuse_size(struct error *err)
{
    return error_set(err, -EBADMSG, "offset %llu: a listing has at most 4 GiB",
                     (unsigned long long)LISTING_MAX_SIZE);
}

static int refuse_magic(struct error *err)
{
    return error_set(err, -EBADMSG, "offset 0: a listing begins with \"" LISTING_MAGIC "\" NUL");
}

int listing_cursor_init(struct listing_cursor *cursor, struct span listing, struct error *err)
{
    if (!span_starts_with(listing, span_of(LISTING_MAGIC, LISTING_MAGIC_SIZE)))
        return refuse_magic(err);
    if (listing.size > LISTING_MAX_SIZE)
        return refuse_size(err);
    cursor->listing = listing;
    cursor->offset = LISTING_MAGIC_SIZE;
    entry_order_init(&cursor->order);
    return 0;
}

int listing_cursor_next(struct listing_cursor *cursor, struct entry *out, struct error *err)
{
    struct parse parse = { .bytes = span_slice(cursor->listing, cursor->offset, SIZE_MAX),
                           .offset = cursor->offset,
                           .last = true };
    size_t size;
    int r;

    if (parse.bytes.size == 0)
        return 0;
    r = parse_entry(&parse, &cursor->order, out, &size, err);
    if (r < 0)
        return r;
    cursor->offset += size;
    return 1;
}

static struct listing_totals totals_of(const struct entry_order *order, uint64_t size,
                                       const struct digest *content)
{
    return (struct listing_totals){ .content = *content,
                                    .size = size,
                                    .count = order->count,
                                    .file_count = order->file_count,
                                    .bytes = order->bytes };
}

int listing_check(struct span listing, struct listing_totals *out, struct error *err)
{
    struct listing_cursor cursor;
    struct digest content;
    struct entry entry;
    int r = listing_cursor_init(&cursor, listing, err);

    if (r < 0)
        return r;
    do {
        r = listing_cursor_next(&cursor, &entry, err);
    } while (r > 0);
    if (r < 0)
        return r;
    content = digest_of_span(listing);
    *out = totals_of(&cursor.order, listing.size, &content);
    return 0;
}

struct listing_reader {
    listing_function *function;
    void *context;
    uint64_t offset; /* of held[0], or of the next byte when nothing is held */
    struct digest_stream digest;
    struct entry_order order;
    bool begun; /* the magic was read */
    size_t held_size;
    uint8_t held[LISTING_ENTRY_MAX_SIZE]; /* half an entry, or half the magic */
};

int listing_reader_new(struct listing_reader **out_reader, listing_function *function,
                       void *context, struct error *err)
{
    struct listing_reader *reader = memory_new(sizeof(*reader));

    if (reader == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    reader->function = function;
    reader->context = context;
    entry_order_init(&reader->order);
    digest_stream_init(&reader->digest);
    *out_reader = reader;
    return 0;
}

struct listing_reader *listing_reader_free(struct listing_reader *reader)
{
    return memory_free(reader);
}

/* One step of the reader over contiguous bytes: the magic or an entry; *out_size is what it
 * took. */
static int reader_step(struct listing_reader *reader, struct span bytes, bool last,
                       size_t *out_size, struct error *err)
{
    struct parse parse = { .bytes = bytes, .offset = reader->offset, .last = last };
    struct span magic = span_of(LISTING_MAGIC, LISTING_MAGIC_SIZE);
    struct entry entry;
    int r;

    if (!reader->begun) {
        size_t have = bytes.size < magic.size ? bytes.size : magic.size;
        if (memcmp(bytes.bytes, magic.bytes, have) != 0 || (have < magic.size && last))
            return refuse_magic(err);
        if (have < magic.size)
            return NEED_MORE;
        reader->begun = true;
        *out_size = magic.size;
        reader->offset += *out_size;
        return 0;
    }
    r = parse_entry(&parse, &reader->order, &entry, out_size, err);
    if (r != 0)
        return r;
    reader->offset += *out_size;
    return reader->function == NULL ? 0 : reader->function(reader->context, &entry, err);
}

/* Completes what is held with bytes from *rest. An entry never exceeds the room, so a full room
 * that is not complete has been refused as too long. */
static int feed_held(struct listing_reader *reader, struct span *rest, struct error *err)
{
    size_t before = reader->held_size, used = 0;
    size_t room = sizeof(reader->held) - before;
    size_t more = rest->size < room ? rest->size : room;
    int r;

    memcpy(reader->held + before, rest->bytes, more);
    r = reader_step(reader, span_of(reader->held, before + more), false, &used, err);
    if (r < 0)
        return r;
    if (r == NEED_MORE) {
        reader->held_size = before + more;
        *rest = span_slice(*rest, more, rest->size);
        return 0;
    }
    reader->held_size = 0;
    *rest = span_slice(*rest, used - before, rest->size);
    return 0;
}

int listing_reader_feed(struct listing_reader *reader, const void *bytes, size_t size,
                        struct error *err)
{
    struct span rest = span_of(bytes, size);

    if (size > LISTING_MAX_SIZE - (reader->offset + reader->held_size))
        return refuse_size(err);
    digest_stream_add(&reader->digest, bytes, size);
    while (rest.size > 0) {
        size_t used = 0;
        int r;
        if (reader->held_size > 0) {
            r = feed_held(reader, &rest, err);
            if (r < 0)
                return r;
            continue;
        }
        r = reader_step(reader, rest, false, &used, err);
        if (r < 0)
            return r;
        if (r == NEED_MORE) {
            memcpy(reader->held, rest.bytes, rest.size);
            reader->held_size = rest.size;
            return 0;
        }
        rest = span_slice(rest, used, rest.size);
    }
    return 0;
}

int listing_reader_end(struct listing_reader *reader, struct listing_totals *out, struct error *err)
{
    struct digest content;
    size_t used;

    if (reader->held_size > 0 || !reader->begun) {
        int r = reader_step(reader, span_of(reader->held, reader->held_size), true, &used, err);
        return r < 0 ? r : refuse_magic(err);
    }
    content = digest_stream_end(&reader->digest);
    *out = totals_of(&reader->order, reader->offset, &content);
    return 0;
}

static int writer_flush(struct listing_writer *writer, struct error *err)
{
    size_t used = writer->used;

    writer->used = 0;
    digest_stream_add(&writer->digest, writer->buffer, used);
    return sink_write(&writer->sink, writer->buffer, used, err);
}

static void writer_put(struct listing_writer *writer, const void *bytes, size_t size)
{
    memcpy(writer->buffer + writer->used, bytes, size);
    writer->used += size;
    writer->size += size;
}

int listing_writer_init(struct listing_writer *writer, struct sink sink, struct error *err)
{
    writer->sink = sink;
    writer->size = 0;
    writer->used = 0;
    digest_stream_init(&writer->digest);
    entry_order_init(&writer->order);
    writer_put(writer, LISTING_MAGIC, LISTING_MAGIC_SIZE);
    return 0;
}

/* " SIZE SHA256", all of it with the leading space. */
static void put_size_and_sha256(struct listing_writer *writer, const struct entry *entry)
{
    char digits[20], hex[DIGEST_HEX_SIZE];
    size_t at = sizeof(digits);
    uint64_t size = entry->size;

    do {
        digits[--at] = (char)('0' + size % 10);
        size /= 10;
    } while (size > 0);
    writer_put(writer, digits + at, sizeof(digits) - at);
    digest_hex(&entry->sha256, hex);
    writer_put(writer, " ", 1);
    writer_put(writer, hex, 64);
    writer_put(writer, " ", 1);
}

int listing_writer_add(struct listing_writer *writer, const struct entry *entry, struct error *err)
{
    static const char *const kinds[] = { "", "d ", "f ", "l " };
    char mode[MODE_TEXT_SIZE];
    int r = entry_order_next(&writer->order, entry, err);

    if (r < 0)
        return error_prefix(err, r, "%.*s", (int)entry->path.size, entry->path.bytes);
    if (writer->size > LISTING_MAX_SIZE - LISTING_ENTRY_MAX_SIZE)
        return error_set(err, -EFBIG, "a listing has at most 4 GiB");
    if (sizeof(writer->buffer) - writer->used < LISTING_ENTRY_MAX_SIZE) {
        r = writer_flush(writer, err);
        if (r < 0)
            return r;
    }
    writer_put(writer, kinds[entry->kind], 2);
    if (entry->kind != ENTRY_LINK) {
        name_format_mode(entry->mode, mode);
        mode[4] = ' ';
        writer_put(writer, mode, 5);
    }
    if (entry->kind == ENTRY_FILE)
        put_size_and_sha256(writer, entry);
    writer_put(writer, entry->path.bytes, entry->path.size);
    writer_put(writer, "", 1);
    if (entry->kind == ENTRY_LINK) {
        writer_put(writer, entry->target.bytes, entry->target.size);
        writer_put(writer, "", 1);
    }
    return 0;
}

int listing_writer_end(struct listing_writer *writer, struct listing_totals *out, struct error *err)
{
    int r = writer_flush(writer, err);
    struct digest content;

    if (r < 0)
        return r;
    content = digest_stream_end(&writer->digest);
    *out = totals_of(&writer->order, writer->size, &content);
    return 0;
}
