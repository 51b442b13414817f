/* SPDX-License-Identifier: MIT */
#include "fs/reads/read_log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "common/model/tree.h"

#define PLACES (2 * READ_LOG_MAX)
#define UNIT_BITS 5
#define HASH_FACTOR 2654435769u /* D. E. Knuth, The Art of Computer Programming 3, 6.4 */
#define HASH_SHIFT (32 - 13)    /* to the 8,192 places */

_Static_assert(1 << UNIT_BITS == READ_LOG_UNITS, "a unit is so many bits of a key");
_Static_assert(PLACES == 1 << (32 - HASH_SHIFT), "a hash is a place");
_Static_assert(READ_LOG_UNITS <= 2 * READS_RANGES_MAX, "a list has room for the ranges of a file");

enum state { FRESH, OPEN, CLOSED };

struct note {
    atomic_uint key;   /* (index << UNIT_BITS | unit) + 1; 0: free */
    atomic_uint order; /* from 1; 0: not told yet, or one too many */
};

struct read_log {
    atomic_int state;
    atomic_uint users; /* who may be looking at the notes now */
    atomic_uint count;
    _Atomic(struct note *) notes;
};

struct read_log *read_log_new(void)
{
    return memory_new(sizeof(struct read_log));
}

struct read_log *read_log_free(struct read_log *log)
{
    if (log != NULL)
        memory_free(atomic_load(&log->notes));
    return memory_free(log);
}

/* How many bytes a unit of such a file has. */
static uint64_t unit_of(uint64_t file_size)
{
    uint64_t unit = MERKLE_PIECE_SIZE;

    while (file_size > unit * READ_LOG_UNITS)
        unit *= 2;
    return unit;
}

/* One of those at once makes the memory; what the others read meanwhile is not noted. */
static bool begin(struct read_log *log)
{
    struct note *none = NULL, *notes;
    int fresh = FRESH;

    if (atomic_load(&log->state) != FRESH)
        return false;
    notes = memory_array(PLACES, sizeof(*notes));
    if (notes == NULL || !atomic_compare_exchange_strong(&log->notes, &none, notes)) {
        memory_free(notes);
        return false;
    }
    return atomic_compare_exchange_strong(&log->state, &fresh, OPEN);
}

static void add(struct read_log *log, uint32_t key)
{
    struct note *notes = atomic_load(&log->notes);
    uint32_t at = key * HASH_FACTOR >> HASH_SHIFT;
    unsigned order;

    /* There are always free places: no more than READ_LOG_MAX and one for each thread are taken. */
    while (atomic_load(&log->count) < READ_LOG_MAX) {
        unsigned there = 0;

        if (atomic_compare_exchange_strong(&notes[at].key, &there, key)) {
            order = atomic_fetch_add(&log->count, 1) + 1;
            if (order <= READ_LOG_MAX)
                atomic_store(&notes[at].order, order);
            return;
        }
        if (there == key)
            return;
        at = (at + 1) % PLACES;
    }
}

bool read_log_note(struct read_log *log, uint32_t index, uint64_t file_size, uint64_t offset,
                   uint64_t size)
{
    uint64_t unit, last;
    bool first = false;

    if (atomic_load(&log->state) == CLOSED)
        return false;
    if (atomic_load(&log->state) == FRESH)
        first = begin(log);
    atomic_fetch_add(&log->users, 1);
    if (atomic_load(&log->state) == OPEN) {
        unit = unit_of(file_size);
        last = (offset + size - 1) / unit;
        for (uint64_t i = offset / unit; i <= last && i < READ_LOG_UNITS; i++)
            add(log, (index << UNIT_BITS | (uint32_t)i) + 1);
    }
    atomic_fetch_sub(&log->users, 1);
    return first;
}

void read_log_stop(struct read_log *log)
{
    atomic_store(&log->state, CLOSED);
}

/* Taking ------------------------------------------------------------------------------ */

struct taken { /* a file */
    uint32_t index, units, order;
};

static int by_index(const void *a, const void *b)
{
    const struct taken *left = a, *right = b;

    return left->index < right->index ? -1 : left->index > right->index;
}

static int by_order(const void *a, const void *b)
{
    const struct taken *left = a, *right = b;

    return left->order < right->order ? -1 : left->order > right->order;
}

/* The notes of one file become one, with the first order of them. */
static size_t join_files(struct taken *taken, size_t count)
{
    size_t files = 0;

    qsort(taken, count, sizeof(*taken), by_index);
    for (size_t i = 0; i < count; i++) {
        struct taken *last = files > 0 ? &taken[files - 1] : NULL;

        if (last == NULL || last->index != taken[i].index) {
            taken[files++] = taken[i];
            continue;
        }
        last->units |= taken[i].units;
        if (taken[i].order < last->order)
            last->order = taken[i].order;
    }
    qsort(taken, files, sizeof(*taken), by_order);
    return files;
}

static size_t collect(struct note *notes, struct taken *out)
{
    size_t count = 0;

    for (size_t i = 0; i < PLACES && count < READ_LOG_MAX; i++) {
        uint32_t key = atomic_load(&notes[i].key), order = atomic_load(&notes[i].order);

        if (key != 0 && order != 0)
            out[count++] = (struct taken){ (key - 1) >> UNIT_BITS,
                                           1u << ((key - 1) & (READ_LOG_UNITS - 1)), order };
    }
    return join_files(out, count);
}

static int add_file(const struct taken *taken, const struct tree *tree, struct reads *out,
                    struct error *err)
{
    struct read_range ranges[READ_LOG_UNITS];
    uint8_t path[PATH_MAX_SIZE];
    uint64_t size, unit;
    size_t count = 0;

    if (taken->index >= tree->header.record_count)
        return 0;
    size = tree_record(tree, taken->index).size;
    unit = unit_of(size);
    for (uint32_t i = 0; i < READ_LOG_UNITS; i++)
        if ((taken->units >> i & 1) != 0)
            ranges[count++] = (struct read_range){ i * unit, unit };
    count = read_ranges_join(ranges, count, size, READS_RANGES_MAX);
    if (count == 1 && ranges[0].length == size)
        count = 0;
    return reads_add(out, tree_path(tree, taken->index, path), ranges, count, err);
}

int read_log_take(struct read_log *log, const struct tree *tree, struct reads *out,
                  struct error *err)
{
    cleanup_memory struct taken *taken = NULL;
    cleanup_memory struct note *notes = NULL;
    size_t files;
    int r = 0;

    if (atomic_load(&log->users) > 0)
        return error_set(err, -EAGAIN, "somebody reads");
    notes = atomic_exchange(&log->notes, NULL);
    taken = memory_array(READ_LOG_MAX, sizeof(*taken));
    if (taken == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    files = notes == NULL ? 0 : collect(notes, taken);
    for (size_t i = 0; i < files && r != -ENOMEM; i++)
        r = add_file(&taken[i], tree, out, err);
    return r == -ENOMEM ? r : 0;
}

void read_log_drop(struct read_log *log)
{
    if (atomic_load(&log->users) == 0)
        memory_free(atomic_exchange(&log->notes, NULL));
}

struct read_log_sums read_log_sums(const struct reads *reads, const struct tree *tree)
{
    struct read_log_sums sums = { .files = reads->count };
    uint32_t index;

    for (size_t i = 0; i < reads->count; i++) {
        size_t count = reads->files[i].range_count;

        if (count == 0 && tree_find_path(tree, reads_path(reads, i), &index) == 0)
            sums.bytes += tree_record(tree, index).size;
        for (size_t k = 0; k < count; k++)
            sums.bytes += reads_ranges(reads, i)[k].length;
    }
    return sums;
}
