/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/stream.h"

/*
 * delta - how to make one blob out of another (application/vnd.kkartifact.delta).
 *
 *   delta  = header *frame end
 *   header = "KKADELT1", sha256 of the base, sha256 of the target, u64 base size, u64 target size
 *   copy   = u8 1, u64 offset, u64 length                    of the base
 *   data   = u8 2, u32 raw length, u32 stored length, u8 coding, bytes
 *            coding 0 raw, 1 a zstd frame; 2, before the bytes: u64 prefix offset,
 *            u64 prefix length, and the frame has that range of the base as its prefix
 *   end    = u8 0, and nothing behind
 *
 * Lengths are at least 1. Raw <= 1 MiB; with coding 2 raw and prefix <= 128 MiB. Stored
 * = raw with coding 0, <= raw with the others: what zstd does not make smaller is not
 * sent in zstd. Frames obey zstd_frame.h. What is copied lies inside the base; the
 * lengths add up to the target's size. A target is made from its beginning to its end.
 *
 * Neither end believes the other: the result counts only after it was verified, by
 * SHA-256 or piece by piece by its merkle tree; whoever takes it from the sink does so.
 */
#define DELTA_MAGIC "KKADELT1"
#define DELTA_MEDIA_TYPE "application/vnd.kkartifact.delta"
#define DELTA_HEADER_SIZE 88
#define DELTA_RAW_MAX (1u << 20)
#define DELTA_PATCH_MAX (128u << 20)
#define DELTA_MAX_BLOB 9007199254740991u /* 2^53 - 1 */

struct delta_header {
    struct digest base, target; /* SHA-256 */
    uint64_t base_size, target_size;
};

/* `header`: the first DELTA_HEADER_SIZE bytes, or more. -EBADMSG, "offset N: rule". */
int delta_header_parse(struct span header, struct delta_header *out, struct error *err);

/* Reads a blob at any place: exactly `size` bytes to `out`, or fails. */
struct delta_source {
    int (*read)(void *context, uint64_t offset, void *out, size_t size, struct error *err);
    void *context;
};

/* Of bytes in memory; *bytes outlives it. -EINVAL outside them. */
struct delta_source delta_source_of_span(const struct span *bytes);

/*
 * Reader: a delta in any pieces, as they arrive; the target leaves through the sink.
 * Every rule is checked before a byte is used; a broken one gives -EBADMSG,
 * "offset N: rule" (N: in the delta). What base and sink return is returned.
 *
 * Limits of this reader, not of the format: -EFBIG, "offset N: what", and whoever can has the
 * whole blob instead. A raw length or a prefix of coding 2 of more than patch_max; and prefixes of
 * more bytes, of all patches so far together, than
 *
 *     base size + 4 * bytes of the target so far, with this patch's + 32 KiB * these patches
 *
 * so that the work stands in proportion to what comes in and what goes out: a frame has its bytes
 * and makes at least one. A range that follows upon itself is read and counted once. Every delta of
 * delta_plan_write() keeps within it, and so does one patch of all by all.
 *
 * Memory: one frame, stored and raw, and the last prefix: up to 2 MiB, with coding 2 up to
 * three times patch_max. A feed works as long as the frames that it completes ask for,
 * up to the whole target out of 17 bytes: on a worker, not in an event loop; base and sink are
 * called for every frame and can end it. One thread.
 */
#define DELTA_PREFIX_TIMES 4
#define DELTA_PREFIX_MORE (32u << 10)

struct delta_reader;

/* expected: what was asked for; the header must say the same. patch_max: up to DELTA_PATCH_MAX. */
int delta_reader_new(struct delta_reader **out_reader, const struct delta_header *expected,
                     struct delta_source base, struct sink target, uint64_t patch_max,
                     struct error *err);
struct delta_reader *delta_reader_free(struct delta_reader *reader);
/* After any failure the reader is only good for free. */
int delta_reader_feed(struct delta_reader *reader, const void *bytes, size_t size,
                      struct error *err);
/* The end of the bytes: refuses half a delta. */
int delta_reader_end(struct delta_reader *reader, struct error *err);
/* Bytes of the target so far. */
uint64_t delta_reader_made(const struct delta_reader *reader);

/*
 * Writer: frames leave through the sink as they fill. Copies that continue each other
 * become one; data is gathered to frames of 1 MiB and compressed where that helps.
 * -EINVAL: outside the base, or more or less than the target's size. After a failure
 * the writer is only good for free. Memory: 3 MiB, with patches also what they take.
 * One thread.
 */
struct delta_writer;

int delta_writer_new(struct delta_writer **out_writer, const struct delta_header *header, int level,
                     struct sink sink, struct error *err);
struct delta_writer *delta_writer_free(struct delta_writer *writer);
int delta_writer_copy(struct delta_writer *writer, uint64_t offset, uint64_t length,
                      struct error *err);
int delta_writer_data(struct delta_writer *writer, const void *bytes, size_t size,
                      struct error *err);
/* `raw` as a patch of the base's bytes at prefix_offset, or as data where that is no smaller. Both
 * are 1..DELTA_PATCH_MAX bytes. */
int delta_writer_patch(struct delta_writer *writer, struct span raw, uint64_t prefix_offset,
                       struct span prefix, struct error *err);
int delta_writer_end(struct delta_writer *writer, struct error *err);
/* Bytes of the delta so far, and in all after the end. */
uint64_t delta_writer_size(const struct delta_writer *writer);
