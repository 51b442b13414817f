/* SPDX-License-Identifier: MIT */
#include "common/model/delta_plan.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/chunk_index.h"
#include "common/model/delta_plan_build.h"

#define FIRST_CAPACITY 16
#define READ_STEP (256u * 1024)
#define PATCH_MAX (8u << 20) /* of a patch, and of its prefix */
#define MARK_STEP 64         /* leaves between two offsets that are kept */
#define LOOK_AHEAD 8         /* leaves */
/* A likeness is at most so many times the literal, and so many bytes more: where copies jump to and
 * fro, far more of the base would be read for patches than the target is long. Step by step
 * (write_patches) it is no more either, which the reader relies on. */
#define LIKENESS_TIMES DELTA_PREFIX_TIMES
#define LIKENESS_MORE DELTA_PREFIX_MORE

void delta_plan_release(struct delta_plan *plan)
{
    plan->ranges = memory_free(plan->ranges);
    plan->count = plan->capacity = 0;
}

int delta_plan_add(struct delta_plan *plan, uint64_t length, bool copy, uint64_t base_offset,
                   struct error *err)
{
    struct delta_range *last = plan->count > 0 ? &plan->ranges[plan->count - 1] : NULL;
    uint64_t offset = last == NULL ? 0 : last->offset + last->length;

    if (length == 0)
        return 0;
    if (!copy)
        plan->literal_bytes += length;
    if (last != NULL && last->copy == copy &&
        (!copy || last->base_offset + last->length == base_offset)) {
        last->length += length;
        last->base_length += copy ? length : 0;
        return 0;
    }
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity == 0 ? FIRST_CAPACITY : 2 * plan->capacity;
        struct delta_range *ranges = memory_resize(plan->ranges, capacity, sizeof(*ranges));
        if (ranges == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        plan->ranges = ranges;
        plan->capacity = capacity;
    }
    plan->ranges[plan->count++] = (struct delta_range){ .offset = offset,
                                                        .length = length,
                                                        .copy = copy,
                                                        .base_offset = base_offset,
                                                        .base_length = copy ? length : 0 };
    return 0;
}

void delta_plan_find_likenesses(struct delta_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct delta_range *range = &plan->ranges[i];
        uint64_t begin = 0, end = plan->base_size;
        if (range->copy)
            continue;
        if (i > 0)
            begin = range[-1].base_offset + range[-1].length;
        if (i + 1 < plan->count)
            end = range[1].base_offset;
        if (begin >= end || end - begin > LIKENESS_TIMES * range->length + LIKENESS_MORE)
            continue;
        range->base_offset = begin;
        range->base_length = end - begin;
    }
}

/* Where leaves begin in the base: every 64th is kept, from there it is counted. */
struct marks {
    struct span leaves;
    uint64_t *offsets;
};

static int marks_init(struct marks *marks, const struct chunk_list *list, struct error *err)
{
    uint64_t count = list->shape.level_entries[0];
    struct chunk_cursor cursor;
    struct chunk_leaf leaf;

    marks->leaves = chunk_list_level(list, 0);
    marks->offsets = memory_array(count / MARK_STEP + 1, sizeof(*marks->offsets));
    if (marks->offsets == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    chunk_cursor_init(&cursor, list);
    while (chunk_cursor_next(&cursor, &leaf)) {
        if (leaf.index % MARK_STEP == 0)
            marks->offsets[leaf.index / MARK_STEP] = leaf.offset;
    }
    return 0;
}

static void marks_release(struct marks *marks)
{
    marks->offsets = memory_free(marks->offsets);
}

static uint64_t marks_offset(const struct marks *marks, uint64_t number)
{
    uint64_t offset = marks->offsets[number / MARK_STEP];

    for (uint64_t i = number - number % MARK_STEP; i < number; i++)
        offset += bytes_u32(marks->leaves.bytes + i * CHUNK_LEAF_SIZE);
    return offset;
}

/* The leaf that follows the last one copied, or stands a little behind it because something was
 * changed or taken out there; else wherever an equal one stands. */
static bool find_leaf(const struct chunk_index *index, const struct marks *marks,
                      const uint8_t *record, uint64_t *next, uint64_t *next_offset)
{
    struct span ahead =
        span_slice(marks->leaves, *next * CHUNK_LEAF_SIZE, (size_t)LOOK_AHEAD * CHUNK_LEAF_SIZE);
    uint64_t offset = *next_offset;
    uint32_t number;

    for (size_t at = 0; at < ahead.size; at += CHUNK_LEAF_SIZE) {
        if (memcmp(ahead.bytes + at, record, CHUNK_LEAF_SIZE) == 0) {
            *next += at / CHUNK_LEAF_SIZE;
            *next_offset = offset;
            return true;
        }
        offset += bytes_u32(ahead.bytes + at);
    }
    if (!chunk_index_find(index, record, &number))
        return false;
    *next = number;
    *next_offset = marks_offset(marks, number);
    return true;
}

static int match_leaves(const struct chunk_index *index, const struct marks *marks,
                        const struct chunk_list *target, struct delta_plan *plan, struct error *err)
{
    uint64_t next = 0, next_offset = 0;
    struct chunk_cursor cursor;
    struct chunk_leaf leaf;
    int r = 0;

    chunk_cursor_init(&cursor, target);
    while (r == 0 && chunk_cursor_next(&cursor, &leaf)) {
        if (find_leaf(index, marks, leaf.record, &next, &next_offset)) {
            r = delta_plan_add(plan, leaf.length, true, next_offset, err);
            next++;
            next_offset += leaf.length;
        } else {
            r = delta_plan_add(plan, leaf.length, false, 0, err);
        }
    }
    return r;
}

int delta_plan_of_lists(const struct chunk_list *base, const struct chunk_list *target,
                        struct delta_plan *out, struct error *err)
{
    cleanup(chunk_index_release) struct chunk_index index = { .slots = NULL };
    cleanup(marks_release) struct marks marks = { .offsets = NULL };
    struct delta_plan plan = { .base_size = base->shape.size, .target_size = target->shape.size };
    int r = chunk_index_init(&index, chunk_list_level(base, 0), CHUNK_LEAF_SIZE, err);

    if (r == 0)
        r = marks_init(&marks, base, err);
    if (r == 0)
        r = match_leaves(&index, &marks, target, &plan, err);
    if (r < 0) {
        delta_plan_release(&plan);
        return r;
    }
    delta_plan_find_likenesses(&plan);
    *out = plan;
    return 0;
}

static int write_data(struct delta_source target, const struct delta_range *range,
                      struct delta_writer *writer, struct buf *room, struct error *err)
{
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < range->length; at += READ_STEP) {
        uint64_t left = range->length - at;
        size_t step = left < READ_STEP ? (size_t)left : READ_STEP;
        uint8_t *bytes;
        buf_clear(room);
        bytes = buf_reserve(room, step);
        if (bytes == NULL)
            return buf_check(room, err);
        r = target.read(target.context, range->offset + at, bytes, step, err);
        if (r == 0)
            r = delta_writer_data(writer, bytes, step, err);
    }
    return r;
}

/* `size` bytes of a literal from `at` on, against `prefix_size` bytes of the base. */
static int write_patch(struct delta_source base, struct delta_source target, uint64_t at,
                       size_t size, uint64_t prefix_at, size_t prefix_size,
                       struct delta_writer *writer, struct buf *room, struct error *err)
{
    uint8_t *bytes;
    int r;

    buf_clear(room);
    bytes = buf_reserve(room, size + prefix_size);
    if (bytes == NULL)
        return buf_check(room, err);
    r = target.read(target.context, at, bytes, size, err);
    if (r == 0)
        r = base.read(base.context, prefix_at, bytes + size, prefix_size, err);
    if (r < 0)
        return r;
    return delta_writer_patch(writer, span_of(bytes, size), prefix_at,
                              span_of(bytes + size, prefix_size), err);
}

/* A literal of any size against its likeness: as one patch, or step by step, each against the part
 * of the likeness around the same place. */
static int write_patches(struct delta_source base, struct delta_source target,
                         const struct delta_range *range, struct delta_writer *writer,
                         struct buf *room, struct error *err)
{
    bool whole = range->length <= PATCH_MAX && range->base_length <= PATCH_MAX;
    uint64_t window = range->base_length < PATCH_MAX ? range->base_length : PATCH_MAX;
    double scale = (double)range->base_length / (double)range->length;
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < range->length;) {
        uint64_t left = range->length - at, step = whole ? PATCH_MAX : PATCH_MAX / 2, begin;
        if (step > left)
            step = left;
        begin = (uint64_t)(scale * (double)(at + step / 2));
        begin = begin > window / 2 ? begin - window / 2 : 0;
        if (begin > range->base_length - window)
            begin = range->base_length - window;
        r = write_patch(base, target, range->offset + at, (size_t)step, range->base_offset + begin,
                        (size_t)window, writer, room, err);
        at += step;
    }
    return r;
}

int delta_plan_write(const struct delta_plan *plan, struct delta_source base,
                     struct delta_source target, struct delta_writer *writer, struct error *err)
{
    cleanup(buf_release) struct buf room = buf_init(2 * PATCH_MAX);
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->count; i++) {
        const struct delta_range *range = &plan->ranges[i];
        if (range->copy)
            r = delta_writer_copy(writer, range->base_offset, range->length, err);
        else if (range->base_length > 0)
            r = write_patches(base, target, range, writer, &room, err);
        else
            r = write_data(target, range, writer, &room, err);
    }
    return r;
}
