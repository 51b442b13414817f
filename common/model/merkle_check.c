/* SPDX-License-Identifier: MIT */
/* The verifier of merkle.h: from the verity digest downwards. */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/codec/digest_blocks.h"
#include "common/model/merkle.h"

struct merkle_range merkle_upper_range(const struct merkle_shape *shape)
{
    return (struct merkle_range){ .offset = 0, .size = shape->bottom_offset };
}

struct merkle_range merkle_data_range(const struct merkle_shape *shape, uint64_t offset,
                                      uint64_t size)
{
    uint64_t end;

    if (offset >= shape->data_size || size == 0)
        return (struct merkle_range){ .offset = shape->data_size, .size = 0 };
    end = size > shape->data_size - offset ? shape->data_size : offset + size;
    offset -= offset % MERKLE_BLOCK_SIZE;
    end += (MERKLE_BLOCK_SIZE - end % MERKLE_BLOCK_SIZE) % MERKLE_BLOCK_SIZE;
    if (end > shape->data_size)
        end = shape->data_size;
    return (struct merkle_range){ .offset = offset, .size = end - offset };
}

struct merkle_range merkle_bottom_range(const struct merkle_shape *shape, uint64_t offset,
                                        uint64_t size)
{
    struct merkle_range data = merkle_data_range(shape, offset, size);
    uint64_t first, last;

    if (shape->level_count == 0 || data.size == 0)
        return (struct merkle_range){ .offset = shape->bottom_offset, .size = 0 };
    first = data.offset / MERKLE_PIECE_SIZE;
    last = (data.offset + data.size - 1) / MERKLE_PIECE_SIZE;
    return (struct merkle_range){ .offset = shape->bottom_offset + first * MERKLE_BLOCK_SIZE,
                                  .size = (last - first + 1) * MERKLE_BLOCK_SIZE };
}

static int refuse_block(struct error *err, const char *what, uint64_t index)
{
    return error_set(err, -EBADMSG, "%s %llu does not match its digest", what,
                     (unsigned long long)index);
}

static int check_span(struct span span, uint64_t size, const char *what, struct error *err)
{
    if (span.size == size)
        return 0;
    return error_set(err, -EBADMSG, "%s has %zu bytes instead of %llu", what, span.size,
                     (unsigned long long)size);
}

/* How many hashes a level holds: one for each block below it. */
static uint64_t hash_count(const struct merkle_shape *shape, uint32_t level)
{
    if (level > 0)
        return shape->level_blocks[level - 1];
    return (shape->data_size + MERKLE_BLOCK_SIZE - 1) / MERKLE_BLOCK_SIZE;
}

/* Zeros stand behind the last hash of a level. */
static bool padding_is_zero(const struct merkle_shape *shape, uint32_t level, uint64_t index,
                            const uint8_t *block)
{
    uint64_t left = hash_count(shape, level) - index * MERKLE_BLOCK_HASHES;
    size_t used = left >= MERKLE_BLOCK_HASHES ? MERKLE_BLOCK_SIZE : (size_t)left * DIGEST_SIZE;

    for (size_t i = used; i < MERKLE_BLOCK_SIZE; i++) {
        if (block[i] != 0)
            return false;
    }
    return true;
}

static int check_root(const struct merkle_shape *shape, const struct digest *verity,
                      const struct digest *root, struct error *err)
{
    struct digest found = merkle_verity(shape->data_size, root);

    if (!digest_equal(&found, verity))
        return error_set(err, -EBADMSG, "the root does not match the verity digest");
    return 0;
}

/* The hash of block `index` of `level`, against the level above in `levels` (the object's
 * beginning), or against the digest when there is none. */
static int check_hash(const struct merkle_shape *shape, const struct digest *verity,
                      struct span levels, uint32_t level, uint64_t index, const struct digest *hash,
                      struct error *err)
{
    uint64_t at;

    if (level + 1 == shape->level_count)
        return check_root(shape, verity, hash, err);
    at = shape->level_offset[level + 1] + index * DIGEST_SIZE;
    if (memcmp(levels.bytes + at, hash->bytes, DIGEST_SIZE) != 0)
        return refuse_block(err, level == 0 ? "bottom block" : "inner block", index);
    return 0;
}

static int check_block(const struct merkle_shape *shape, const struct digest *verity,
                       struct span levels, uint32_t level, uint64_t index, const uint8_t *block,
                       struct error *err)
{
    struct digest hash = digest_of(block, MERKLE_BLOCK_SIZE);
    int r = check_hash(shape, verity, levels, level, index, &hash, err);

    if (r == 0 && !padding_is_zero(shape, level, index, block))
        r = error_set(err, -EBADMSG, "bytes behind the last hash of a level");
    return r;
}

/* All blocks of a level, which lies in `levels` too. */
static int check_level(const struct merkle_shape *shape, const struct digest *verity,
                       struct span levels, uint32_t level, struct error *err)
{
    const uint8_t *block = levels.bytes + shape->level_offset[level];
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < shape->level_blocks[level]; i++)
        r = check_block(shape, verity, levels, level, i, block + i * MERKLE_BLOCK_SIZE, err);
    return r;
}

int merkle_check_upper(const struct merkle_shape *shape, const struct digest *verity,
                       struct span upper, struct error *err)
{
    int r = check_span(upper, shape->bottom_offset, "the upper part of a merkle tree", err);

    for (uint32_t level = shape->level_count; r == 0 && level > 1; level--)
        r = check_level(shape, verity, upper, level - 1, err);
    return r;
}

int merkle_check_bottom(const struct merkle_shape *shape, const struct digest *verity,
                        struct span upper, uint64_t piece, struct span bottom, struct error *err)
{
    int r = check_span(bottom, MERKLE_BLOCK_SIZE, "a bottom block", err);

    if (r == 0)
        r = check_span(upper, shape->bottom_offset, "the upper part of a merkle tree", err);
    if (r == 0 && (shape->level_count == 0 || piece >= shape->piece_count))
        r = error_set(err, -EINVAL, "no such bottom block");
    if (r == 0)
        r = check_block(shape, verity, upper, 0, piece, bottom.bytes, err);
    return r;
}

/* The hash of each block; the last may be short. */
static void hash_data(struct span data, struct digest *out)
{
    uint8_t padded[MERKLE_BLOCK_SIZE];
    size_t count = data.size / MERKLE_BLOCK_SIZE, rest = data.size % MERKLE_BLOCK_SIZE;

    digest_blocks(data.bytes, MERKLE_BLOCK_SIZE, count, out);
    if (rest == 0)
        return;
    memset(padded, 0, sizeof(padded));
    memcpy(padded, data.bytes + data.size - rest, rest);
    out[count] = digest_of(padded, sizeof(padded));
}

static uint64_t piece_size(const struct merkle_shape *shape, uint64_t piece)
{
    uint64_t left = shape->data_size - piece * MERKLE_PIECE_SIZE;

    return left < MERKLE_PIECE_SIZE ? left : MERKLE_PIECE_SIZE;
}

/* Data without an object: the root is its own hash, or zeros. */
static int check_small(const struct merkle_shape *shape, const struct digest *verity,
                       struct span data, struct error *err)
{
    struct digest root = { { 0 } };

    if (data.size > 0)
        hash_data(data, &root);
    return check_root(shape, verity, &root, err);
}

int merkle_check_piece(const struct merkle_shape *shape, const struct digest *verity,
                       struct span upper, uint64_t piece, struct span data, uint8_t *out_bottom,
                       struct error *err)
{
    struct digest bottom[MERKLE_BLOCK_HASHES] = { { { 0 } } };
    int r;

    if (piece >= shape->piece_count && !(piece == 0 && shape->data_size == 0))
        return error_set(err, -EINVAL, "no such piece");
    r = check_span(data, piece_size(shape, piece), "a piece", err);
    if (r == 0)
        r = check_span(upper, shape->bottom_offset, "the upper part of a merkle tree", err);
    if (r < 0)
        return r;
    if (shape->level_count == 0)
        return check_small(shape, verity, data, err);
    hash_data(data, bottom);
    r = check_block(shape, verity, upper, 0, piece, bottom[0].bytes, err);
    if (r < 0)
        return error_prefix(err, r, "piece %llu", (unsigned long long)piece);
    if (out_bottom != NULL)
        memcpy(out_bottom, bottom, sizeof(bottom));
    return 0;
}

int merkle_check_blocks(const struct merkle_shape *shape, struct span bottom, uint64_t offset,
                        struct span data, struct error *err)
{
    struct merkle_range whole = merkle_data_range(shape, offset, data.size);
    size_t first = offset % MERKLE_PIECE_SIZE / MERKLE_BLOCK_SIZE;
    struct digest hashes[MERKLE_BLOCK_HASHES];

    if (shape->level_count == 0 || data.size == 0 || whole.offset != offset ||
        whole.size != data.size || data.size > MERKLE_PIECE_SIZE - offset % MERKLE_PIECE_SIZE)
        return error_set(err, -EINVAL, "data that is no run of whole blocks of one piece");
    if (bottom.size != MERKLE_BLOCK_SIZE)
        return error_set(err, -EINVAL, "a bottom block has %d bytes", MERKLE_BLOCK_SIZE);
    hash_data(data, hashes);
    for (size_t at = 0; at < data.size; at += MERKLE_BLOCK_SIZE) {
        size_t index = at / MERKLE_BLOCK_SIZE;
        if (memcmp(bottom.bytes + (first + index) * DIGEST_SIZE, hashes[index].bytes,
                   DIGEST_SIZE) != 0)
            return refuse_block(err, "data block", (offset + at) / MERKLE_BLOCK_SIZE);
    }
    return 0;
}

int merkle_check_object(uint64_t data_size, const struct digest *verity, struct span object,
                        struct error *err)
{
    struct merkle_shape shape;
    int r = merkle_shape_of(data_size, &shape, err);

    if (r == 0)
        r = check_span(object, shape.object_size, "a merkle object", err);
    if (r == 0 && data_size == 0 && !digest_equal(verity, &merkle_empty_verity))
        r = error_set(err, -EBADMSG, "not the verity digest of no bytes");
    for (uint32_t level = shape.level_count; r == 0 && level > 0; level--)
        r = check_level(&shape, verity, object, level - 1, err);
    return r;
}
