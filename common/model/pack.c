/* SPDX-License-Identifier: MIT */
#include "common/model/pack.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd_frame.h"

/* What the next bytes are. All but BODY and ENDED are gathered in `fields` until they are whole. */
enum state { MAGIC, NAME, FIELDS, BODY, COUNT, ENDED };

#define FIELDS_SIZE (PACK_MEMBER_SIZE - DIGEST_SIZE)

static const size_t field_sizes[] = {
    [MAGIC] = 8, [NAME] = DIGEST_SIZE, [FIELDS] = FIELDS_SIZE, [COUNT] = 8
};

struct pack_reader {
    struct pack_limits limits;
    pack_function *function;
    pack_ask_function *ask; /* NULL: all are wanted */
    void *context;
    enum state state;
    uint64_t offset; /* of the next byte of the pack */
    uint64_t count;  /* of members so far */
    size_t used;     /* of `fields` */
    uint8_t fields[DIGEST_SIZE];

    /* The member at hand. */
    struct digest sha256;
    uint64_t size;
    enum pack_coding coding;
    uint64_t body_left;
    bool wanted;

    struct zstd_frame_reader *zstd;
    struct buf stored, raw;
};

int pack_reader_new(struct pack_reader **out_reader, const struct pack_limits *limits,
                    pack_function *function, void *context, struct error *err)
{
    struct pack_reader *reader = memory_new(sizeof(*reader));
    int r;

    if (reader == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = zstd_frame_reader_new(&reader->zstd, err);
    if (r < 0) {
        memory_free(reader);
        return r;
    }
    reader->limits = *limits;
    if (reader->limits.member_size > PACK_MAX_BLOB)
        reader->limits.member_size = PACK_MAX_BLOB;
    reader->function = function;
    reader->context = context;
    reader->state = MAGIC;
    reader->stored = buf_init(BUF_UNLIMITED);
    reader->raw = buf_init(BUF_UNLIMITED);
    *out_reader = reader;
    return 0;
}

void pack_reader_ask(struct pack_reader *reader, pack_ask_function *ask)
{
    reader->ask = ask;
}

struct pack_reader *pack_reader_free(struct pack_reader *reader)
{
    if (reader == NULL)
        return NULL;
    zstd_frame_reader_free(reader->zstd);
    buf_release(&reader->stored);
    buf_release(&reader->raw);
    return memory_free(reader);
}

static int refuse(uint64_t offset, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)offset, rule);
}

static int refuse_limit(uint64_t offset, struct error *err, const char *what, uint64_t limit)
{
    return error_set(err, -EFBIG, "offset %llu: more than %llu %s", (unsigned long long)offset,
                     (unsigned long long)limit, what);
}

/* Where a field of the fields at hand stands in the pack. */
static uint64_t field_offset(const struct pack_reader *reader, size_t at)
{
    return reader->offset - reader->used + at;
}

static int take_magic(struct pack_reader *reader, struct error *err)
{
    if (memcmp(reader->fields, PACK_MAGIC, 8) != 0)
        return refuse(0, err, "a pack begins with " PACK_MAGIC);
    reader->state = NAME;
    return 0;
}

static int take_name(struct pack_reader *reader, struct error *err)
{
    memcpy(reader->sha256.bytes, reader->fields, DIGEST_SIZE);
    if (digest_is_zero(&reader->sha256)) {
        reader->state = COUNT;
        return 0;
    }
    if (reader->count == reader->limits.count)
        return refuse_limit(field_offset(reader, 0), err, "members", reader->limits.count);
    reader->count++;
    reader->state = FIELDS;
    return 0;
}

static int take_count(struct pack_reader *reader, struct error *err)
{
    if (bytes_u64(reader->fields) != reader->count)
        return refuse(field_offset(reader, 0), err, "the end names the count of members");
    reader->state = ENDED;
    return 0;
}

/* Unpacks if it must: *out are the blob's bytes, or *out_damage says what is wrong. */
static int unpack(struct pack_reader *reader, struct span *out, struct error *out_damage,
                  struct error *err)
{
    struct span stored = buf_span(&reader->stored);
    uint8_t *raw;
    int r;

    *out = stored;
    if (reader->coding == PACK_RAW || zstd_frame_check(stored, reader->size, out_damage) < 0)
        return 0;
    buf_clear(&reader->raw);
    raw = buf_reserve(&reader->raw, reader->size);
    if (raw == NULL)
        return buf_check(&reader->raw, err);
    r = zstd_frame_read(reader->zstd, stored, span_of("", 0), raw, reader->size, out_damage);
    *out = span_of(raw, reader->size);
    return r == -ENOMEM ? error_set(err, r, "out of memory") : 0;
}

/* The bytes of a member that is wanted are there. */
static int give_member(struct pack_reader *reader, struct error *err)
{
    struct pack_member member = { .sha256 = reader->sha256, .size = reader->size };
    struct error damage = { 0 };
    struct digest digest;
    int r = unpack(reader, &member.bytes, &damage, err);

    if (r < 0)
        return r;
    if (damage.code == 0) {
        digest = digest_of_span(member.bytes);
        if (!digest_equal(&digest, &member.sha256))
            error_set(&damage, -EBADMSG, "the bytes do not match their digest");
    }
    if (damage.code != 0) {
        member.bytes = span_of("", 0);
        member.damage = damage.text;
    }
    r = reader->function(reader->context, &member, err);
    buf_clear(&reader->stored);
    return r;
}

static int end_member(struct pack_reader *reader, struct error *err)
{
    reader->state = NAME;
    return reader->wanted ? give_member(reader, err) : 0;
}

static int take_fields(struct pack_reader *reader, struct error *err)
{
    uint64_t size = bytes_u64(reader->fields), stored = bytes_u64(reader->fields + 9);
    uint8_t coding = reader->fields[8];
    int r = 0;

    if (coding > PACK_ZSTD)
        return refuse(field_offset(reader, 8), err, "a coding is 0 raw or 1 zstd");
    if (size > reader->limits.member_size)
        return refuse_limit(field_offset(reader, 0), err, "bytes in a member",
                            reader->limits.member_size);
    if (coding == PACK_RAW ? stored != size : stored == 0 || stored > size)
        return refuse(field_offset(reader, 9), err,
                      "stored is as long as the blob, or with zstd not longer");
    reader->size = size;
    reader->coding = coding;
    reader->body_left = stored;
    reader->state = BODY;
    reader->wanted = true;
    if (reader->ask != NULL)
        r = reader->ask(reader->context, &reader->sha256, size, &reader->wanted, err);
    return r == 0 && stored == 0 ? end_member(reader, err) : r;
}

static int take_body(struct pack_reader *reader, struct span bytes, struct error *err)
{
    int r = 0;

    if (reader->wanted) {
        buf_add_span(&reader->stored, bytes);
        r = buf_check(&reader->stored, err);
    }
    reader->body_left -= bytes.size;
    return r == 0 && reader->body_left == 0 ? end_member(reader, err) : r;
}

static int take(struct pack_reader *reader, struct error *err)
{
    static int (*const table[])(struct pack_reader * reader, struct error * err) = {
        [MAGIC] = take_magic,
        [NAME] = take_name,
        [FIELDS] = take_fields,
        [COUNT] = take_count,
    };
    int r = table[reader->state](reader, err);

    reader->used = 0;
    return r;
}

int pack_reader_feed(struct pack_reader *reader, const void *bytes, size_t size, struct error *err)
{
    struct span rest = span_of(bytes, size);

    while (rest.size > 0) {
        uint64_t wanted;
        size_t more;
        int r = 0;
        if (reader->state == ENDED)
            return refuse(reader->offset, err, "nothing stands behind the end");
        wanted =
            reader->state == BODY ? reader->body_left : field_sizes[reader->state] - reader->used;
        more = wanted < rest.size ? (size_t)wanted : rest.size;
        reader->offset += more;
        if (reader->state == BODY) {
            r = take_body(reader, span_slice(rest, 0, more), err);
        } else {
            memcpy(reader->fields + reader->used, rest.bytes, more);
            reader->used += more;
            if (more == wanted)
                r = take(reader, err);
        }
        if (r != 0)
            return r;
        rest = span_slice(rest, more, rest.size);
    }
    return 0;
}

int pack_reader_end(struct pack_reader *reader, struct error *err)
{
    if (reader->state != ENDED)
        return refuse(reader->offset, err, "a pack ends with zeros and its count");
    return 0;
}
