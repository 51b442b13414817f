/* SPDX-License-Identifier: MIT */
/* The jobs of format-tool for chunk lists, deltas and packs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/zstd.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"
#include "common/model/merkle.h"
#include "common/model/pack.h"
#include "tests/formats/format_jobs.h"

CLEANUP_DEFINE(delta_reader, delta_reader_free);
CLEANUP_DEFINE(delta_writer, delta_writer_free);
CLEANUP_DEFINE(pack_reader, pack_reader_free);
CLEANUP_DEFINE(pack_writer, pack_writer_free);

/* chunk-list DATA OUT */
static int do_chunk_list(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct span data;
    int r = job_load(job, 0, 1, &data, err);

    if (r == 0)
        r = chunk_list_build(data, NULL, &out, err);
    return r < 0 ? r : job_save(job->fields[2], buf_span(&out), err);
}

/* chunk-list-check FILE */
static int do_chunk_list_check(struct job *job, struct error *err)
{
    struct chunk_cursor cursor;
    struct chunk_leaf leaf;
    struct chunk_list list;
    struct span object;
    int r = job_load(job, 0, 1, &object, err);

    if (r == 0)
        r = chunk_list_open(object, &list, err);
    if (r < 0)
        return r;
    chunk_cursor_init(&cursor, &list);
    while (chunk_cursor_next(&cursor, &leaf))
        ;
    if (cursor.offset != list.shape.size)
        return error_set(err, -EIO, "the leaves of a sound list do not add up");
    job_answer_digest(job, &list.shape.sha256, cursor.index, true);
    return 0;
}

static int read_delta(const struct delta_header *header, struct span base, struct span delta,
                      size_t piece, struct buf *out, struct error *err)
{
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    int r = delta_reader_new(&reader, header, delta_source_of_span(&base), sink_to_buf(out),
                             DELTA_PATCH_MAX, err);

    for (size_t at = 0; r == 0 && at < delta.size; at += piece) {
        struct span part = span_slice(delta, at, piece);
        r = delta_reader_feed(reader, part.bytes, part.size, err);
    }
    return r == 0 ? delta_reader_end(reader, err) : r;
}

/* What the receiver knows: here the base, and of the target what the delta says, which is then held
 * against the result. */
static int header_for(struct span base, struct span delta, struct delta_header *out,
                      struct error *err)
{
    int r = delta_header_parse(delta, out, err);

    out->base = digest_of_span(base);
    out->base_size = base.size;
    return r;
}

/* delta BASE DELTA OUT: twice, as a whole and in pieces. */
static int do_delta(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED), again = buf_init(BUF_UNLIMITED);
    struct error streamed = { 0 };
    struct delta_header header;
    struct digest made;
    struct span base, delta;
    int r = job_load(job, 0, 1, &base, err), s;

    if (r == 0)
        r = job_load(job, 1, 2, &delta, err);
    if (r == 0)
        r = header_for(base, delta, &header, err);
    if (r < 0)
        return r;
    r = read_delta(&header, base, delta, SIZE_MAX / 2, &out, err);
    s = read_delta(&header, base, delta, 11, &again, &streamed);
    if (r != s || (r < 0 && strcmp(err->text, streamed.text) != 0) ||
        !span_equal(buf_span(&out), buf_span(&again)))
        return error_set(err, -EIO, "a delta in pieces is another");
    if (r < 0)
        return r;
    made = digest_of_span(buf_span(&out));
    if (!digest_equal(&made, &header.target))
        return error_set(err, -EBADMSG, "offset 40: the target has another digest");
    r = job_save(job->fields[3], buf_span(&out), err);
    job_answer_digest(job, &made, out.size, true);
    return r;
}

static int plan_by_lists(struct span base, struct span target, struct delta_plan *out,
                         struct error *err)
{
    cleanup(buf_release) struct buf a = buf_init(BUF_UNLIMITED), b = buf_init(BUF_UNLIMITED);
    struct chunk_list base_list, target_list;
    int r = chunk_list_build(base, NULL, &a, err);

    if (r == 0)
        r = chunk_list_build(target, NULL, &b, err);
    if (r == 0)
        r = chunk_list_open(buf_span(&a), &base_list, err);
    if (r == 0)
        r = chunk_list_open(buf_span(&b), &target_list, err);
    return r < 0 ? r : delta_plan_of_lists(&base_list, &target_list, out, err);
}

static int plan_by_trees(struct span base, struct span target, struct delta_plan *out,
                         struct error *err)
{
    cleanup_memory uint8_t *a = NULL, *b = NULL;
    struct merkle_shape base_shape, target_shape;
    int r = merkle_shape_of(base.size, &base_shape, err);

    if (r == 0)
        r = merkle_shape_of(target.size, &target_shape, err);
    if (r < 0)
        return r;
    a = memory_new(base_shape.object_size);
    b = memory_new(target_shape.object_size);
    if (a == NULL || b == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = merkle_build(base, a, NULL, NULL, err);
    if (r == 0)
        r = merkle_build(target, b, NULL, NULL, err);
    return r < 0
               ? r
               : delta_plan_of_trees(&base_shape, span_of(a, base_shape.object_size), &target_shape,
                                     span_of(b, target_shape.object_size), out, err);
}

static int write_delta(const char *how, struct span base, struct span target, struct sink sink,
                       struct error *err)
{
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    cleanup(delta_plan_release) struct delta_plan plan = { .ranges = NULL };
    struct delta_header header = { .base = digest_of_span(base),
                                   .target = digest_of_span(target),
                                   .base_size = base.size,
                                   .target_size = target.size };
    bool whole = strcmp(how, "patch") == 0;
    int r = delta_writer_new(&writer, &header, ZSTD_LEVEL_DEFAULT, sink, err);

    if (r == 0 && whole)
        r = delta_writer_patch(writer, target, 0, base, err);
    if (r == 0 && !whole)
        r = (strcmp(how, "lists") == 0 ? plan_by_lists : plan_by_trees)(base, target, &plan, err);
    if (r == 0 && !whole)
        r = delta_plan_write(&plan, delta_source_of_span(&base), delta_source_of_span(&target),
                             writer, err);
    return r == 0 ? delta_writer_end(writer, err) : r;
}

/* delta-make HOW BASE TARGET OUT; HOW: lists, trees, patch */
static int do_delta_make(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct span base, target;
    int r = job_load(job, 0, 2, &base, err);

    if (r == 0)
        r = job_load(job, 1, 3, &target, err);
    if (r == 0)
        r = write_delta(job->fields[1], base, target, sink_to_buf(&out), err);
    return r < 0 ? r : job_save(job->fields[4], buf_span(&out), err);
}

/* What came out of a pack: counts, and the digest of each name followed by a byte, 1 for whole. */
struct members {
    uint64_t count, damaged;
    struct digest_stream seen;
};

static int take_member(void *context, const struct pack_member *member, struct error *err)
{
    struct members *members = context;
    uint8_t whole = member->damage == NULL;

    members->count++;
    members->damaged += !whole;
    digest_stream_add(&members->seen, member->sha256.bytes, DIGEST_SIZE);
    digest_stream_add(&members->seen, &whole, 1);
    return 0;
}

static int read_pack(struct span pack, const struct pack_limits *limits, size_t piece,
                     struct members *members, struct error *err)
{
    cleanup(cleanup_pack_reader) struct pack_reader *reader = NULL;
    int r = pack_reader_new(&reader, limits, take_member, members, err);

    members->count = members->damaged = 0;
    digest_stream_init(&members->seen);
    for (size_t at = 0; r == 0 && at < pack.size; at += piece) {
        struct span part = span_slice(pack, at, piece);
        r = pack_reader_feed(reader, part.bytes, part.size, err);
    }
    return r == 0 ? pack_reader_end(reader, err) : r;
}

/* pack FILE LARGEST-MEMBER MOST-MEMBERS: twice, as a whole and in pieces. */
static int do_pack(struct job *job, struct error *err)
{
    struct members members, again;
    struct error streamed = { 0 };
    struct pack_limits limits;
    struct digest seen, seen_again;
    char hex[DIGEST_HEX_SIZE];
    struct span pack;
    int r = job_load(job, 0, 1, &pack, err), s;

    if (r == 0 && (number_parse(span_text(job->fields[2]), UINT64_MAX, &limits.member_size, NULL) ||
                   number_parse(span_text(job->fields[3]), UINT64_MAX, &limits.count, NULL)))
        r = error_set(err, -EIO, "limits are integers");
    if (r < 0)
        return r;
    r = read_pack(pack, &limits, SIZE_MAX / 2, &members, err);
    s = read_pack(pack, &limits, 13, &again, &streamed);
    seen = digest_stream_end(&members.seen);
    seen_again = digest_stream_end(&again.seen);
    if (r != s || (r < 0 && strcmp(err->text, streamed.text) != 0) ||
        !digest_equal(&seen, &seen_again))
        return error_set(err, -EIO, "a pack in pieces is another");
    digest_hex(&seen, hex);
    snprintf(job->answer, sizeof(job->answer), "%llu %llu %s", (unsigned long long)members.count,
             (unsigned long long)members.damaged, hex);
    return r;
}

/* pack-make BLOBS OUT; BLOBS: u64 size and bytes of each */
static int do_pack_make(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_pack_writer) struct pack_writer *writer = NULL;
    struct span rest;
    int r = job_load(job, 0, 1, &rest, err);

    if (r == 0)
        r = pack_writer_new(&writer, ZSTD_LEVEL_DEFAULT, sink_to_buf(&out), err);
    while (r == 0 && rest.size >= 8) {
        struct span blob = span_slice(rest, 8, bytes_u64(rest.bytes));
        struct digest name = digest_of_span(blob);
        r = pack_writer_add(writer, &name, blob, err);
        rest = span_slice(rest, 8 + blob.size, rest.size);
    }
    if (r == 0)
        r = pack_writer_end(writer, err);
    return r < 0 ? r : job_save(job->fields[2], buf_span(&out), err);
}

const struct verb transfer_verbs[] = {
    { "chunk-list", 3, do_chunk_list },
    { "chunk-list-check", 2, do_chunk_list_check },
    { "delta", 4, do_delta },
    { "delta-make", 5, do_delta_make },
    { "pack", 4, do_pack },
    { "pack-make", 3, do_pack_make },
    { NULL, 0, NULL },
};
