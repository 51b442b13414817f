/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct buf;
struct error;

/*
 * merkle - the hash tree of a blob, exactly that of Linux fs-verity with SHA-256,
 * 4096-byte blocks and no salt; and its verity digest.
 *
 * The data is cut into blocks of 4096 bytes, the last padded with zeros. Level 0,
 * the bottom, holds the SHA-256s of the data blocks, 128 to a block, zero-padded;
 * each level above those of the blocks below it, up to a level of one block. Root
 * hash = SHA-256 of that block; of up to 4096 bytes of data: of the padded data;
 * of none: zeros. Verity digest = SHA-256 of 256 bytes: 1, 1, 12, 0 0 0 0 0,
 * u64 data size, root hash, zeros.
 *
 * The merkle object holds the levels from the top down (the bottom last), so that
 * what stands above the bottom is its first `bottom_offset` bytes. Blobs of up to
 * 4096 bytes have no object: level_count and object_size are 0. A piece is
 * 512 KiB: the data under one bottom block; piece i belongs to the bottom block
 * at bottom_offset + 4096 * i.
 */
#define MERKLE_BLOCK_SIZE 4096
#define MERKLE_BLOCK_HASHES 128
#define MERKLE_PIECE_SIZE (MERKLE_BLOCK_SIZE * MERKLE_BLOCK_HASHES) /* 524288 */
#define MERKLE_MAX_LEVELS 6
#define MERKLE_MAX_DATA 9007199254740991u /* 2^53 - 1 */

struct merkle_shape {
    uint64_t data_size;
    uint64_t object_size;
    uint64_t bottom_offset; /* where level 0 begins in the object */
    uint64_t piece_count;   /* also for data without an object: 1, or 0 when empty */
    uint32_t level_count;
    uint64_t level_offset[MERKLE_MAX_LEVELS]; /* in the object; 0 is the bottom */
    uint64_t level_blocks[MERKLE_MAX_LEVELS];
};

/* -EFBIG above MERKLE_MAX_DATA. */
int merkle_shape_of(uint64_t data_size, struct merkle_shape *out, struct error *err);

struct digest merkle_verity(uint64_t data_size, const struct digest *root);
/* The verity digest of the file without bytes. */
extern const struct digest merkle_empty_verity;

/*
 * Builder: data in any pieces, in order; hashes leave through `put` block by block
 * as soon as a block is full, in no order of offsets. put may be NULL (only the
 * digests are wanted). Plain memory of the caller (about 29 KiB), no release, no
 * allocation. One thread.
 */
typedef int merkle_put(void *context, uint64_t object_offset, const void *bytes, size_t size,
                       struct error *err);

struct merkle_builder {
    struct merkle_shape shape;
    merkle_put *put;
    void *context;
    uint64_t added;                      /* bytes of data so far */
    uint64_t written[MERKLE_MAX_LEVELS]; /* whole blocks put, by level */
    uint32_t filled[MERKLE_MAX_LEVELS];  /* hashes in `hashes`, by level */
    uint8_t hashes[MERKLE_MAX_LEVELS][MERKLE_BLOCK_SIZE];
    uint8_t block[MERKLE_BLOCK_SIZE]; /* the unfinished data block */
    struct digest root;
};

int merkle_builder_init(struct merkle_builder *builder, uint64_t data_size, merkle_put *put,
                        void *context, struct error *err);
/* -EINVAL when more comes than data_size. */
int merkle_builder_add(struct merkle_builder *builder, const void *bytes, size_t size,
                       struct error *err);
/* The bytes go to the stream as well, in hardly more than the time of one of the two. */
int merkle_builder_add_both(struct merkle_builder *builder, struct digest_stream *sha256,
                            const void *bytes, size_t size, struct error *err);
/* -EINVAL when less came. The outputs may be NULL. */
int merkle_builder_end(struct merkle_builder *builder, struct digest *out_root,
                       struct digest *out_verity, struct error *err);

/* The state as bytes (at most 32 KiB), so that another process goes on where this one stopped. What
 * was put before is not in it. load: -EBADMSG when the bytes are no such state. */
void merkle_builder_save(const struct merkle_builder *builder, struct buf *out);
int merkle_builder_load(struct merkle_builder *builder, struct span saved, merkle_put *put,
                        void *context, struct error *err);

/* Of bytes in memory: no object. */
int merkle_verity_of(struct span data, struct digest *out_verity, struct error *err);
/* The object too, into object_size bytes of the caller (shape from merkle_shape_of). */
int merkle_build(struct span data, uint8_t *out_object, struct digest *out_root,
                 struct digest *out_verity, struct error *err);

/*
 * Verifier: from the verity digest downwards, nothing is believed. Every check
 * gives 0, or -EBADMSG naming the block. Spans have exactly the size asked for.
 *
 * A reader keeps, for a blob: its shape, its verity digest, and the upper part
 * once merkle_check_upper() has passed. Then, for data:
 *   whole pieces        merkle_check_piece(): needs nothing else;
 *   parts of a piece    the bottom block at merkle_bottom_range(), checked with
 *                       merkle_check_bottom(), then merkle_check_blocks().
 * With one level (up to 512 KiB) or none (up to 4096 bytes) the upper part is
 * empty and the digest itself takes its place: the same calls work.
 */
struct merkle_range {
    uint64_t offset, size; /* in the merkle object; size 0: nothing is needed */
};

/* The levels above the bottom: [0, bottom_offset). */
struct merkle_range merkle_upper_range(const struct merkle_shape *shape);
/* The bottom blocks over data [offset, offset + size): contiguous; empty when there is no
 * object. */
struct merkle_range merkle_bottom_range(const struct merkle_shape *shape, uint64_t offset,
                                        uint64_t size);
/* The data [offset, offset + size) widened to whole blocks, and ended at the data's end. */
struct merkle_range merkle_data_range(const struct merkle_shape *shape, uint64_t offset,
                                      uint64_t size);

int merkle_check_upper(const struct merkle_shape *shape, const struct digest *verity,
                       struct span upper, struct error *err);
/* One bottom block (4096 bytes) against the checked upper part. piece < piece_count. */
int merkle_check_bottom(const struct merkle_shape *shape, const struct digest *verity,
                        struct span upper, uint64_t piece, struct span bottom, struct error *err);
/* A whole piece of data (512 KiB; the last one: what is left) against the checked upper part. The
 * bottom block it hashes to goes to out_bottom (4096 bytes) unless NULL, for those who keep it. */
int merkle_check_piece(const struct merkle_shape *shape, const struct digest *verity,
                       struct span upper, uint64_t piece, struct span data, uint8_t *out_bottom,
                       struct error *err);
/* Data at `offset` (a multiple of 4096; ends at a multiple or at the data's end; inside one piece)
 * against the checked bottom block of that piece. Not for blobs without an object: use
 * merkle_check_piece. */
int merkle_check_blocks(const struct merkle_shape *shape, struct span bottom, uint64_t offset,
                        struct span data, struct error *err);

/* A whole merkle object against the digest, with its size and padding. */
int merkle_check_object(uint64_t data_size, const struct digest *verity, struct span object,
                        struct error *err);
