/* SPDX-License-Identifier: MIT */
/* delta_plan.h from two merkle trees: from the highest level that both have down to where blocks
 * are equal. */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/model/delta_plan_build.h"

struct walk {
    const struct merkle_shape *base, *target;
    struct span base_object, target_object;
    uint32_t lowest;           /* the walk goes no deeper than blocks of this level */
    struct delta_plan *plan;   /* or NULL */
    delta_plan_bottom *bottom; /* or NULL: called for each differing block of level 0 */
    void *context;
};

/* Bytes of data under a hash in a block of `level`. */
static uint64_t hash_covers(uint32_t level)
{
    uint64_t bytes = MERKLE_BLOCK_SIZE;

    while (level-- > 0)
        bytes *= MERKLE_BLOCK_HASHES;
    return bytes;
}

static const uint8_t *block_at(const struct merkle_shape *shape, struct span object, uint32_t level,
                               uint64_t block)
{
    return object.bytes + shape->level_offset[level] + block * MERKLE_BLOCK_SIZE;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int add(const struct walk *walk, uint64_t begin, uint64_t size, bool copy, struct error *err)
{
    uint64_t end, common;
    int r;

    if (walk->plan == NULL || begin >= walk->target->data_size)
        return 0;
    end = begin + smaller(size, walk->target->data_size - begin);
    if (!copy)
        return delta_plan_add(walk->plan, end - begin, false, 0, err);
    /* A last block is padded with zeros before it is hashed, so equal blocks may have ends apart:
     * what the base has is copied, zeros behind it are sent. */
    common = smaller(end, walk->base->data_size);
    if (common <= begin)
        return delta_plan_add(walk->plan, end - begin, false, 0, err);
    r = delta_plan_add(walk->plan, common - begin, true, begin, err);
    return r < 0 ? r : delta_plan_add(walk->plan, end - common, false, 0, err);
}

static int compare_block(const struct walk *walk, uint32_t level, uint64_t block,
                         struct error *err);

/* Hash `i` of a block stands for one block of the level below, or of data. */
static int compare_hash(const struct walk *walk, uint32_t level, uint64_t block, uint32_t i,
                        const uint8_t *ours, const uint8_t *theirs, struct error *err)
{
    uint64_t below = block * MERKLE_BLOCK_HASHES + i, covers = hash_covers(level);

    if (memcmp(ours + i * DIGEST_SIZE, theirs + i * DIGEST_SIZE, DIGEST_SIZE) == 0)
        return add(walk, below * covers, covers, true, err);
    if (level == 0)
        return add(walk, below * covers, covers, false, err);
    if (level - 1 < walk->lowest) {
        if (walk->bottom == NULL || below >= walk->base->level_blocks[level - 1] ||
            below >= walk->target->level_blocks[level - 1])
            return 0;
        return walk->bottom(walk->context, below, err);
    }
    return compare_block(walk, level - 1, below, err);
}

/* One block that both trees may have at this place. */
static int compare_block(const struct walk *walk, uint32_t level, uint64_t block, struct error *err)
{
    uint64_t covers = hash_covers(level), begin = block * MERKLE_BLOCK_HASHES * covers;
    const uint8_t *ours, *theirs;
    int r = 0;

    if (block >= walk->base->level_blocks[level])
        return add(walk, begin, MERKLE_BLOCK_HASHES * covers, false, err);
    ours = block_at(walk->target, walk->target_object, level, block);
    theirs = block_at(walk->base, walk->base_object, level, block);
    for (uint32_t i = 0; r == 0 && i < MERKLE_BLOCK_HASHES; i++) {
        if (begin + i * covers >= walk->target->data_size)
            break;
        r = compare_hash(walk, level, block, i, ours, theirs, err);
    }
    return r;
}

/* From the highest level that both have; the taller tree has several blocks there. */
static int compare(const struct walk *walk, struct error *err)
{
    uint32_t levels = (uint32_t)smaller(walk->base->level_count, walk->target->level_count);
    int r = 0;

    if (levels == 0)
        return add(walk, 0, walk->target->data_size, false, err);
    for (uint64_t i = 0; r == 0 && i < walk->target->level_blocks[levels - 1]; i++)
        r = compare_block(walk, levels - 1, i, err);
    return r;
}

int delta_plan_of_trees(const struct merkle_shape *base, struct span base_object,
                        const struct merkle_shape *target, struct span target_object,
                        struct delta_plan *out, struct error *err)
{
    struct delta_plan plan = { .base_size = base->data_size, .target_size = target->data_size };
    struct walk walk = { .base = base,
                         .target = target,
                         .base_object = base_object,
                         .target_object = target_object,
                         .plan = &plan };
    int r;

    if (base_object.size != base->object_size || target_object.size != target->object_size)
        return error_set(err, -EINVAL, "a merkle object of another size");
    r = compare(&walk, err);
    if (r < 0) {
        delta_plan_release(&plan);
        return r;
    }
    delta_plan_find_likenesses(&plan);
    *out = plan;
    return 0;
}

int delta_plan_bottoms(const struct merkle_shape *base, struct span base_upper,
                       const struct merkle_shape *target, struct span target_upper,
                       delta_plan_bottom *function, void *context, struct error *err)
{
    struct walk walk = { .base = base,
                         .target = target,
                         .base_object = base_upper,
                         .target_object = target_upper,
                         .lowest = 1,
                         .bottom = function,
                         .context = context };
    uint64_t blocks;
    int r = 0;

    if (base_upper.size != base->bottom_offset || target_upper.size != target->bottom_offset)
        return error_set(err, -EINVAL, "the upper part of a merkle tree of another size");
    if (base->level_count > 1 && target->level_count > 1)
        return compare(&walk, err);
    /* One has nothing above its bottom: every block that both have may differ. */
    if (base->level_count == 0 || target->level_count == 0)
        return 0;
    blocks = smaller(base->level_blocks[0], target->level_blocks[0]);
    for (uint64_t i = 0; r == 0 && i < blocks; i++)
        r = function(context, i, err);
    return r;
}
