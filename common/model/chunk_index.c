/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_index.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/random.h"

#define FIRST_SLOTS 16

static const uint8_t *record_at(const struct chunk_index *index, uint32_t number)
{
    return index->records.bytes + number * index->record_size;
}

/* The slot that holds an equal record, or the free one where it would stand. */
static size_t slot_of(const struct chunk_index *index, const uint8_t *record)
{
    size_t slot = map_hash(index->key, span_of(record, index->record_size)) & index->mask;

    while (index->slots[slot] != 0 &&
           memcmp(record_at(index, index->slots[slot] - 1), record, index->record_size) != 0)
        slot = (slot + 1) & index->mask;
    return slot;
}

int chunk_index_init(struct chunk_index *index, struct span records, size_t record_size,
                     struct error *err)
{
    struct chunk_index made = { .records = records, .record_size = record_size };
    size_t count = records.size / record_size, slots = FIRST_SLOTS;
    int r = random_bytes(made.key, sizeof(made.key), err);

    if (r < 0)
        return r;
    while (slots < count + count / 4 + 1)
        slots *= 2;
    made.mask = slots - 1;
    made.slots = memory_array(slots, sizeof(*made.slots));
    if (made.slots == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        size_t slot = slot_of(&made, record_at(&made, (uint32_t)i));
        if (made.slots[slot] == 0)
            made.slots[slot] = (uint32_t)i + 1;
    }
    *index = made;
    return 0;
}

void chunk_index_release(struct chunk_index *index)
{
    index->slots = memory_free(index->slots);
}

bool chunk_index_find(const struct chunk_index *index, const uint8_t *record, uint32_t *out_number)
{
    size_t slot;

    if (index->slots == NULL)
        return false;
    slot = slot_of(index, record);
    if (index->slots[slot] == 0)
        return false;
    *out_number = index->slots[slot] - 1;
    return true;
}
