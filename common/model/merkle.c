/* SPDX-License-Identifier: MIT */
#include "common/model/merkle.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/codec/digest_blocks.h"

#define DESCRIPTOR_SIZE 256

const struct digest merkle_empty_verity = { { 0x3d, 0x24, 0x8c, 0xa5, 0x42, 0xa2, 0x4f, 0xc6,
                                              0x2d, 0x1c, 0x43, 0xb9, 0x16, 0xea, 0xe5, 0x01,
                                              0x68, 0x78, 0xe2, 0x53, 0x3c, 0x88, 0x23, 0x84,
                                              0x80, 0xb2, 0x61, 0x28, 0xa1, 0xf1, 0xaf, 0x95 } };

int merkle_shape_of(uint64_t data_size, struct merkle_shape *out, struct error *err)
{
    struct merkle_shape shape = { .data_size = data_size };
    uint64_t blocks = (data_size + MERKLE_BLOCK_SIZE - 1) / MERKLE_BLOCK_SIZE;

    if (data_size > MERKLE_MAX_DATA)
        return error_set(err, -EFBIG, "a blob has at most 2^53 - 1 bytes");
    shape.piece_count = (data_size + MERKLE_PIECE_SIZE - 1) / MERKLE_PIECE_SIZE;
    while (blocks > 1) {
        blocks = (blocks + MERKLE_BLOCK_HASHES - 1) / MERKLE_BLOCK_HASHES;
        shape.level_blocks[shape.level_count++] = blocks;
    }
    for (uint32_t level = shape.level_count; level > 0; level--) {
        shape.level_offset[level - 1] = shape.object_size;
        shape.object_size += shape.level_blocks[level - 1] * MERKLE_BLOCK_SIZE;
    }
    shape.bottom_offset = shape.level_count > 0 ? shape.level_offset[0] : 0;
    *out = shape;
    return 0;
}

struct digest merkle_verity(uint64_t data_size, const struct digest *root)
{
    uint8_t descriptor[DESCRIPTOR_SIZE] = { 1, 1, 12 };

    bytes_set_u64(descriptor + 8, data_size);
    memcpy(descriptor + 16, root->bytes, DIGEST_SIZE);
    return digest_of(descriptor, sizeof(descriptor));
}

int merkle_builder_init(struct merkle_builder *builder, uint64_t data_size, merkle_put *put,
                        void *context, struct error *err)
{
    struct merkle_shape shape;
    int r = merkle_shape_of(data_size, &shape, err);

    if (r < 0)
        return r;
    builder->shape = shape;
    builder->put = put;
    builder->context = context;
    builder->added = 0;
    memset(builder->written, 0, sizeof(builder->written));
    memset(builder->filled, 0, sizeof(builder->filled));
    memset(&builder->root, 0, sizeof(builder->root));
    return 0;
}

static int add_hash(struct merkle_builder *builder, uint32_t level, const struct digest *hash,
                    struct error *err);

/* The level's block is complete: pads it, puts it, hands its hash up. */
static int finish_block(struct merkle_builder *builder, uint32_t level, struct error *err)
{
    uint8_t *block = builder->hashes[level];
    size_t used = (size_t)builder->filled[level] * DIGEST_SIZE;
    uint64_t offset =
        builder->shape.level_offset[level] + builder->written[level] * MERKLE_BLOCK_SIZE;
    struct digest hash;
    int r = 0;

    memset(block + used, 0, MERKLE_BLOCK_SIZE - used);
    builder->filled[level] = 0;
    builder->written[level]++;
    if (builder->put != NULL)
        r = builder->put(builder->context, offset, block, MERKLE_BLOCK_SIZE, err);
    if (r < 0)
        return r;
    hash = digest_of(block, MERKLE_BLOCK_SIZE);
    return add_hash(builder, level + 1, &hash, err);
}

/* Above the top level stands the root. */
static int add_hash(struct merkle_builder *builder, uint32_t level, const struct digest *hash,
                    struct error *err)
{
    if (level == builder->shape.level_count) {
        builder->root = *hash;
        return 0;
    }
    memcpy(builder->hashes[level] + (size_t)builder->filled[level] * DIGEST_SIZE, hash->bytes,
           DIGEST_SIZE);
    if (++builder->filled[level] == MERKLE_BLOCK_HASHES)
        return finish_block(builder, level, err);
    return 0;
}

static int add_block(struct merkle_builder *builder, const uint8_t *block, struct error *err)
{
    struct digest hash = digest_of(block, MERKLE_BLOCK_SIZE);

    return add_hash(builder, 0, &hash, err);
}

/* As many as belong under one block of the bottom level are hashed side by side. */
static int add_blocks(struct merkle_builder *builder, const uint8_t *blocks, size_t count,
                      struct error *err)
{
    struct digest hashes[MERKLE_BLOCK_HASHES];
    int r = 0;

    while (count > 0 && r == 0) {
        size_t some = count < MERKLE_BLOCK_HASHES ? count : MERKLE_BLOCK_HASHES;

        digest_blocks(blocks, MERKLE_BLOCK_SIZE, some, hashes);
        for (size_t i = 0; i < some && r == 0; i++)
            r = add_hash(builder, 0, &hashes[i], err);
        blocks += some * MERKLE_BLOCK_SIZE;
        count -= some;
    }
    return r;
}

int merkle_builder_add(struct merkle_builder *builder, const void *bytes, size_t size,
                       struct error *err)
{
    const uint8_t *at = bytes;

    if (size > builder->shape.data_size - builder->added)
        return error_set(err, -EINVAL, "more bytes than the %llu that were announced",
                         (unsigned long long)builder->shape.data_size);
    while (size > 0) {
        size_t used = builder->added % MERKLE_BLOCK_SIZE;
        size_t more = MERKLE_BLOCK_SIZE - used;
        int r = 0;
        if (used == 0 && size >= MERKLE_BLOCK_SIZE) {
            more = size - size % MERKLE_BLOCK_SIZE;
            r = add_blocks(builder, at, more / MERKLE_BLOCK_SIZE, err);
        } else {
            if (more > size)
                more = size;
            memcpy(builder->block + used, at, more);
            if (used + more == MERKLE_BLOCK_SIZE)
                r = add_block(builder, builder->block, err);
        }
        if (r < 0)
            return r;
        builder->added += more;
        at += more;
        size -= more;
    }
    return 0;
}

int merkle_builder_end(struct merkle_builder *builder, struct digest *out_root,
                       struct digest *out_verity, struct error *err)
{
    size_t used = builder->added % MERKLE_BLOCK_SIZE;
    int r = 0;

    if (builder->added != builder->shape.data_size)
        return error_set(err, -EINVAL, "%llu bytes instead of the %llu that were announced",
                         (unsigned long long)builder->added,
                         (unsigned long long)builder->shape.data_size);
    if (used > 0) {
        memset(builder->block + used, 0, MERKLE_BLOCK_SIZE - used);
        r = add_block(builder, builder->block, err);
    }
    for (uint32_t level = 0; r == 0 && level < builder->shape.level_count; level++) {
        if (builder->filled[level] > 0)
            r = finish_block(builder, level, err);
    }
    if (r < 0)
        return r;
    if (out_root != NULL)
        *out_root = builder->root;
    if (out_verity != NULL)
        *out_verity = merkle_verity(builder->shape.data_size, &builder->root);
    return 0;
}

/* `u64 data size, u64 added, levels x (u64 written, u32 filled, hashes), root, unfinished data
 * block`. */
void merkle_builder_save(const struct merkle_builder *builder, struct buf *out)
{
    buf_add_u64(out, builder->shape.data_size);
    buf_add_u64(out, builder->added);
    for (uint32_t level = 0; level < builder->shape.level_count; level++) {
        buf_add_u64(out, builder->written[level]);
        buf_add_u32(out, builder->filled[level]);
        buf_add(out, builder->hashes[level], (size_t)builder->filled[level] * DIGEST_SIZE);
    }
    buf_add(out, builder->root.bytes, DIGEST_SIZE);
    buf_add(out, builder->block, builder->added % MERKLE_BLOCK_SIZE);
}

/* Takes `size` bytes off the front; false when there are not as many. */
static bool take(struct span *rest, size_t size, const uint8_t **out)
{
    if (rest->size < size)
        return false;
    *out = rest->bytes;
    *rest = span_slice(*rest, size, rest->size);
    return true;
}

/* What the counters must be follows from `added`; so a state that was damaged cannot lead
 * astray. */
static bool load_levels(struct merkle_builder *builder, struct span *rest)
{
    uint64_t below = builder->added / MERKLE_BLOCK_SIZE;
    const uint8_t *at;

    for (uint32_t level = 0; level < builder->shape.level_count; level++) {
        size_t size;
        if (!take(rest, 12, &at))
            return false;
        builder->written[level] = bytes_u64(at);
        builder->filled[level] = bytes_u32(at + 8);
        if (builder->written[level] != below / MERKLE_BLOCK_HASHES ||
            builder->filled[level] != below % MERKLE_BLOCK_HASHES)
            return false;
        size = (size_t)builder->filled[level] * DIGEST_SIZE;
        if (!take(rest, size, &at))
            return false;
        memcpy(builder->hashes[level], at, size);
        below /= MERKLE_BLOCK_HASHES;
    }
    return true;
}

int merkle_builder_load(struct merkle_builder *builder, struct span saved, merkle_put *put,
                        void *context, struct error *err)
{
    struct span rest = saved;
    const uint8_t *at;
    uint64_t added;

    if (!take(&rest, 16, &at) ||
        merkle_builder_init(builder, bytes_u64(at), put, context, NULL) < 0)
        return error_set(err, -EBADMSG, "no saved state of a merkle tree");
    added = bytes_u64(at + 8);
    builder->added = added;
    if (added > builder->shape.data_size || !load_levels(builder, &rest) ||
        rest.size != DIGEST_SIZE + added % MERKLE_BLOCK_SIZE)
        return error_set(err, -EBADMSG, "a damaged saved state of a merkle tree");
    memcpy(builder->root.bytes, rest.bytes, DIGEST_SIZE);
    memcpy(builder->block, rest.bytes + DIGEST_SIZE, rest.size - DIGEST_SIZE);
    return 0;
}

static int put_memory(void *context, uint64_t offset, const void *bytes, size_t size,
                      struct error *err)
{
    memcpy((uint8_t *)context + offset, bytes, size);
    return 0;
}

int merkle_build(struct span data, uint8_t *out_object, struct digest *out_root,
                 struct digest *out_verity, struct error *err)
{
    struct merkle_builder builder;
    int r = merkle_builder_init(&builder, data.size, out_object == NULL ? NULL : put_memory,
                                out_object, err);

    if (r == 0)
        r = merkle_builder_add(&builder, data.bytes, data.size, err);
    if (r == 0)
        r = merkle_builder_end(&builder, out_root, out_verity, err);
    return r;
}

int merkle_verity_of(struct span data, struct digest *out_verity, struct error *err)
{
    return merkle_build(data, NULL, NULL, out_verity, err);
}
