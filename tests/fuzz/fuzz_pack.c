/* SPDX-License-Identifier: MIT */
/* A pack whole and in pieces gives the same members; each whole one has its digest; what was taken
 * is written again and read again. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/pack.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    struct digest_stream members;
    uint64_t count;
    struct pack_writer *writer; /* or NULL: whole members are written again */
};

static int see(void *context, const struct pack_member *member, struct error *err)
{
    struct seen *seen = context;
    struct digest digest = digest_of_span(member->bytes);
    uint8_t whole = member->damage == NULL;

    FUZZ_CHECK(!whole || member->bytes.size == member->size);
    FUZZ_CHECK(!whole || digest_equal(&digest, &member->sha256));
    digest_stream_add(&seen->members, member->sha256.bytes, DIGEST_SIZE);
    digest_stream_add(&seen->members, &whole, 1);
    seen->count += whole;
    if (whole && seen->writer != NULL)
        FUZZ_CHECK(pack_writer_add(seen->writer, &member->sha256, member->bytes, NULL) == 0);
    return 0;
}

static int read_pack(struct span pack, size_t piece, struct pack_writer *writer,
                     struct digest *out_members, uint64_t *out_count)
{
    const struct pack_limits limits = { .member_size = 1 << 20, .count = 10000 };
    struct seen seen = { .writer = writer };
    struct pack_reader *reader = NULL;
    int r = pack_reader_new(&reader, &limits, see, &seen, NULL);

    digest_stream_init(&seen.members);
    for (size_t at = 0; r == 0 && at < pack.size; at += piece) {
        struct span part = span_slice(pack, at, piece);
        r = pack_reader_feed(reader, part.bytes, part.size, NULL);
    }
    if (r == 0)
        r = pack_reader_end(reader, NULL);
    pack_reader_free(reader);
    *out_members = digest_stream_end(&seen.members);
    *out_count = seen.count;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf again = buf_init(BUF_UNLIMITED);
    struct pack_writer *writer = NULL;
    struct digest whole, pieces;
    uint64_t count, count_again;
    int r;

    FUZZ_CHECK(pack_writer_new(&writer, 1, sink_to_buf(&again), NULL) == 0);
    r = read_pack(span_of(data, size), SIZE_MAX / 2, writer, &whole, &count);
    FUZZ_CHECK(read_pack(span_of(data, size), 5, NULL, &pieces, &count_again) == r);
    FUZZ_CHECK(count == count_again && digest_equal(&whole, &pieces));
    FUZZ_CHECK(pack_writer_end(writer, NULL) == 0);
    pack_writer_free(writer);
    FUZZ_CHECK(read_pack(buf_span(&again), 64, NULL, &pieces, &count_again) == 0);
    FUZZ_CHECK(count == count_again);
    return 0;
}
