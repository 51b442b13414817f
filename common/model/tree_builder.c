/* SPDX-License-Identifier: MIT */
#include "common/model/tree_builder.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/listing.h"
#include "common/model/times.h"
#include "common/model/tree.h"

#define ALIGNMENT 4096

static uint64_t round_up(uint64_t value)
{
    return (value + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint32_t depth_of(struct span path)
{
    uint32_t depth = 1;

    for (size_t i = 0; i < path.size; i++)
        depth += path.bytes[i] == '/';
    return depth;
}

static void plan_entry(struct tree_plan *plan, const struct entry *entry)
{
    uint32_t depth = depth_of(entry->path);
    size_t name_size = name_base(entry->path).size;

    plan->depth_records[depth]++;
    plan->depth_names[depth] += name_size;
    plan->names_size += name_size;
    plan->depth_targets[depth] += entry->target.size;
    plan->targets_size += entry->target.size;
    if (entry->kind == ENTRY_FILE)
        plan->depth_files[depth]++;
}

/* Where the five sections begin. */
struct layout {
    uint64_t at[6]; /* the last: the image's end */
};

static struct layout layout_of(const struct tree_plan *plan)
{
    uint64_t sizes[5] = { (uint64_t)plan->record_count * TREE_RECORD_SIZE, plan->names_size,
                          plan->targets_size, (uint64_t)plan->file_count * TREE_DIGESTS_SIZE,
                          (uint64_t)plan->file_count * 4 };
    struct layout layout = { .at = { TREE_HEADER_SIZE } };

    for (int i = 0; i < 5; i++)
        layout.at[i + 1] = round_up(layout.at[i] + sizes[i]);
    return layout;
}

int tree_plan_make(struct span listing, struct span times, struct tree_plan *out, struct error *err)
{
    struct tree_plan plan = { .depth_records = { 1 } };
    struct listing_cursor cursor;
    struct times checked;
    struct entry entry;
    int r = listing_cursor_init(&cursor, listing, err);

    if (r < 0)
        return r;
    while ((r = listing_cursor_next(&cursor, &entry, err)) > 0)
        plan_entry(&plan, &entry);
    if (r == 0)
        r = times_open(times, cursor.order.count, &checked, err);
    if (r < 0)
        return r;
    plan.record_count = (uint32_t)cursor.order.count + 1;
    plan.file_count = (uint32_t)cursor.order.file_count;
    plan.bytes = cursor.order.bytes;
    plan.content = digest_of_span(listing);
    plan.times_sha256 = digest_of_span(times);
    plan.image_size = layout_of(&plan).at[5];
    *out = plan;
    return 0;
}

/* The second pass. Breadth-first order is by depth, and within a depth in the order of the listing:
 * so each depth has a running place in every section, and the directories above are a stack. */
struct filler {
    uint8_t *image;
    struct layout layout;
    uint32_t next_record[257];
    uint32_t next_file[256];
    uint64_t next_name[256], next_target[256];
    uint32_t stack[256]; /* the record of the directory entered at each depth; 0 is the root */
};

static void filler_init(struct filler *filler, const struct tree_plan *plan, uint8_t *image)
{
    uint32_t record = 0, file = 0;
    uint64_t name = 0, target = 0;

    filler->image = image;
    filler->layout = layout_of(plan);
    filler->stack[0] = TREE_ROOT;
    for (int depth = 0; depth < 256; depth++) {
        filler->next_record[depth] = record;
        filler->next_file[depth] = file;
        filler->next_name[depth] = name;
        filler->next_target[depth] = target;
        record += plan->depth_records[depth];
        file += plan->depth_files[depth];
        name += plan->depth_names[depth];
        target += plan->depth_targets[depth];
    }
    filler->next_record[0] = 1;
}

static uint8_t *record_at(const struct filler *filler, uint32_t index)
{
    return filler->image + filler->layout.at[0] + (size_t)index * TREE_RECORD_SIZE;
}

/* One child more; the first one says where the run begins. */
static void add_child(struct filler *filler, uint32_t parent, uint32_t child)
{
    uint8_t *at = record_at(filler, parent);
    uint32_t count = bytes_u32(at + 12);

    if (count == 0)
        bytes_set_u32(at + 8, child);
    bytes_set_u32(at + 12, count + 1);
}

static void fill_file(struct filler *filler, const struct entry *entry, uint32_t depth, uint8_t *at,
                      const struct digest *verity)
{
    uint32_t file = filler->next_file[depth]++;
    uint8_t *digests = filler->image + filler->layout.at[3] + (size_t)file * TREE_DIGESTS_SIZE;

    bytes_set_u64(at + 8, entry->size);
    bytes_set_u32(at + 28, file);
    memcpy(digests, entry->sha256.bytes, DIGEST_SIZE);
    memcpy(digests + DIGEST_SIZE, verity->bytes, DIGEST_SIZE);
}

static void fill_link(struct filler *filler, const struct entry *entry, uint32_t depth, uint8_t *at)
{
    uint64_t target = filler->next_target[depth];

    bytes_set_u32(at + 8, (uint32_t)target);
    bytes_set_u32(at + 12, (uint32_t)entry->target.size);
    memcpy(filler->image + filler->layout.at[2] + target, entry->target.bytes, entry->target.size);
    filler->next_target[depth] += entry->target.size;
}

static void fill_entry(struct filler *filler, const struct entry *entry,
                       const struct digest *verity)
{
    uint32_t depth = depth_of(entry->path), parent = filler->stack[depth - 1];
    uint32_t index = filler->next_record[depth]++;
    struct span name = name_base(entry->path);
    uint64_t name_at = filler->next_name[depth];
    uint8_t *at = record_at(filler, index);

    bytes_set_u32(at, (uint32_t)name_at);
    bytes_set_u16(at + 4, (uint16_t)name.size);
    bytes_set_u16(at + 6, (uint16_t)((uint32_t)entry->kind << 12 | entry->mode));
    bytes_set_u64(at + 16, (uint64_t)entry->mtime);
    bytes_set_u32(at + 24, parent);
    memcpy(filler->image + filler->layout.at[1] + name_at, name.bytes, name.size);
    filler->next_name[depth] += name.size;
    add_child(filler, parent, index);
    if (entry->kind == ENTRY_DIRECTORY)
        filler->stack[depth] = index;
    else if (entry->kind == ENTRY_FILE)
        fill_file(filler, entry, depth, at, verity);
    else
        fill_link(filler, entry, depth, at);
}

static void fill_header(const struct filler *filler, const struct tree_plan *plan)
{
    uint64_t sizes[5] = { (uint64_t)plan->record_count * TREE_RECORD_SIZE, plan->names_size,
                          plan->targets_size, (uint64_t)plan->file_count * TREE_DIGESTS_SIZE,
                          (uint64_t)plan->file_count * 4 };
    uint8_t *at = filler->image;

    memcpy(at, "KKATREE1", 8);
    bytes_set_u32(at + 8, TREE_HEADER_SIZE);
    bytes_set_u32(at + 16, plan->record_count);
    bytes_set_u32(at + 20, plan->file_count);
    bytes_set_u64(at + 24, plan->bytes);
    for (int i = 0; i < 5; i++) {
        bytes_set_u64(at + 32 + 16 * i, filler->layout.at[i]);
        bytes_set_u64(at + 40 + 16 * i, sizes[i]);
    }
    memcpy(at + 112, plan->content.bytes, DIGEST_SIZE);
    memcpy(at + 144, plan->times_sha256.bytes, DIGEST_SIZE);
    bytes_set_u16(record_at(filler, TREE_ROOT) + 6, ENTRY_DIRECTORY << 12 | ENTRY_ROOT_MODE);
}

/* Sorting by-digest: the digest's first 8 bytes stand beside the index, so that most comparisons
 * stay in the array; the sort merges, because what strangers choose must not make it slow. */
struct ranked {
    uint64_t prefix; /* big-endian: compares like bytes */
    uint32_t index;
};

static bool ranked_before(const uint8_t *digests, const struct ranked *a, const struct ranked *b)
{
    int order;

    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    order = memcmp(digests + (size_t)a->index * TREE_DIGESTS_SIZE,
                   digests + (size_t)b->index * TREE_DIGESTS_SIZE, DIGEST_SIZE);
    return order != 0 ? order < 0 : a->index < b->index;
}

/* Merges [low, middle) and [middle, high) of `from` into `to`. */
static void merge(const uint8_t *digests, const struct ranked *from, struct ranked *to, size_t low,
                  size_t middle, size_t high)
{
    size_t a = low, b = middle;

    for (size_t i = low; i < high; i++) {
        if (a < middle && (b >= high || !ranked_before(digests, &from[b], &from[a])))
            to[i] = from[a++];
        else
            to[i] = from[b++];
    }
}

/* Returns which of the two arrays holds the result. */
static struct ranked *merge_sort(const uint8_t *digests, struct ranked *a, struct ranked *b,
                                 size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        struct ranked *sorted = b;
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = middle + width < count ? middle + width : count;
            merge(digests, a, b, low, middle, high);
        }
        b = a;
        a = sorted;
    }
    return a;
}

static int sort_by_digest(const struct filler *filler, uint32_t count, struct error *err)
{
    const uint8_t *digests = filler->image + filler->layout.at[3];
    cleanup_memory struct ranked *room = memory_array((size_t)count + 1, 2 * sizeof(*room));
    struct ranked *sorted;

    if (room == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t prefix = 0;
        for (int byte = 0; byte < 8; byte++)
            prefix = prefix << 8 | digests[(size_t)i * TREE_DIGESTS_SIZE + (size_t)byte];
        room[i] = (struct ranked){ .prefix = prefix, .index = i };
    }
    sorted = merge_sort(digests, room, room + count, count);
    for (uint32_t i = 0; i < count; i++)
        bytes_set_u32(filler->image + filler->layout.at[4] + (size_t)i * 4, sorted[i].index);
    return 0;
}

static int check_verity(const struct entry *entry, const struct digest *verity, struct error *err)
{
    if (digest_equal(verity, &merkle_empty_verity) == (entry->size == 0))
        return 0;
    return error_set(err, -EINVAL, "%.*s: the verity digest of no bytes belongs to empty files",
                     (int)entry->path.size, entry->path.bytes);
}

static int fill_entries(struct filler *filler, struct span listing, const struct times *times,
                        tree_verity_function *verity, void *context, struct error *err)
{
    struct listing_cursor cursor;
    uint64_t count = 0, file = 0;
    struct entry entry;
    int r = listing_cursor_init(&cursor, listing, err);

    while (r == 0 && (r = listing_cursor_next(&cursor, &entry, err)) > 0) {
        struct digest digest = { { 0 } };
        entry.mtime = times_get(times, count);
        r = 0;
        if (entry.kind == ENTRY_LINK && entry.mtime != 0)
            return error_set(err, -EBADMSG, "offset %llu: a link's time is 0",
                             (unsigned long long)times_size(count));
        if (entry.kind == ENTRY_FILE) {
            r = verity(context, file++, &entry, &digest, err);
            if (r == 0)
                r = check_verity(&entry, &digest, err);
        }
        count++;
        if (r == 0)
            fill_entry(filler, &entry, &digest);
        if (r < 0)
            return r;
    }
    return r;
}

int tree_plan_write(const struct tree_plan *plan, struct span listing, struct span times,
                    tree_verity_function *verity, void *context, uint8_t *image, struct error *err)
{
    cleanup_memory struct filler *filler = memory_new(sizeof(*filler));
    struct times checked;
    struct error why = { 0 };
    struct tree tree;
    int r;

    if (filler == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = times_open(times, plan->record_count - 1, &checked, err);
    if (r < 0)
        return r;
    filler_init(filler, plan, image);
    fill_header(filler, plan);
    r = fill_entries(filler, listing, &checked, verity, context, err);
    if (r == 0)
        r = sort_by_digest(filler, plan->file_count, err);
    if (r < 0)
        return r;
    /* What only the whole shows: equal files of unequal size or verity digest. */
    if (tree_open_unhashed(span_of(image, plan->image_size), &tree, &why) < 0)
        return error_set(err, -EINVAL, "%s", why.text);
    return 0;
}

int tree_build(struct span listing, struct span times, tree_verity_function *verity, void *context,
               struct sink sink, struct digest *out_verity, uint64_t *out_size, struct error *err)
{
    cleanup_memory uint8_t *image = NULL;
    struct tree_plan plan;
    struct digest digest;
    int r = tree_plan_make(listing, times, &plan, err);

    if (r < 0)
        return r;
    image = memory_new(plan.image_size);
    if (image == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = tree_plan_write(&plan, listing, times, verity, context, image, err);
    if (r == 0)
        r = merkle_verity_of(span_of(image, plan.image_size), &digest, err);
    if (r == 0)
        r = sink_write(&sink, image, plan.image_size, err);
    if (r < 0)
        return r;
    *out_verity = digest;
    *out_size = plan.image_size;
    return 0;
}
