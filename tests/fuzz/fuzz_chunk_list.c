/* SPDX-License-Identifier: MIT */
/* As a list: what was opened is walked, fetched group by group, and planned against itself. As
 * data, repeated until it is long enough: the list of it is sound. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/chunk_list.h"
#include "common/model/chunk_list_fetch.h"
#include "common/model/delta_plan.h"
#include "tests/fuzz/fuzz.h"

static void walk(const struct chunk_list *list)
{
    struct delta_plan plan = { .ranges = NULL };
    struct chunk_cursor cursor;
    struct chunk_leaf leaf;
    uint64_t end = 0;

    chunk_cursor_init(&cursor, list);
    while (chunk_cursor_next(&cursor, &leaf)) {
        FUZZ_CHECK(leaf.offset == end && leaf.length > 0);
        end += leaf.length;
    }
    FUZZ_CHECK(end == list->shape.size);
    FUZZ_CHECK(delta_plan_of_lists(list, list, &plan, NULL) == 0);
    FUZZ_CHECK(plan.literal_bytes == 0 && plan.count == 1);
    delta_plan_release(&plan);
}

/* Every range that is wanted comes out of the object, sound or not. `ours` may be NULL. */
static void fetch(struct span object, const struct chunk_list *ours, bool sound)
{
    const struct chunk_list_range *ranges;
    struct chunk_list_fetch *fetch = NULL;
    struct chunk_list list;
    size_t given = 0;
    int r = chunk_list_fetch_new(&fetch, object, ours, 1 << 24, NULL);
    size_t count = r == 0 ? chunk_list_fetch_wanted(fetch, &ranges) : 0;

    while (r == 0 && given < count) {
        struct chunk_list_range range = ranges[given++];
        r = chunk_list_fetch_give(fetch, range.offset, span_slice(object, range.offset, range.size),
                                  NULL);
        if (r == 0 && given == count) { /* the next round */
            count = chunk_list_fetch_wanted(fetch, &ranges);
            given = 0;
        }
    }
    if (r == 0)
        r = chunk_list_fetch_end(fetch, &list, NULL);
    FUZZ_CHECK(!sound || (r == 0 && span_equal(list.object, object)));
    chunk_list_fetch_free(fetch);
}

static void check_list(struct span object)
{
    struct chunk_list list;

    if (chunk_list_open(object, &list, NULL) < 0) {
        fetch(object, NULL, false);
        return;
    }
    walk(&list);
    fetch(object, NULL, true);
    fetch(object, &list, true);
}

#define DATA_SIZE 100000

static void check_data(struct span data)
{
    cleanup(buf_release) struct buf repeated = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf object = buf_init(BUF_UNLIMITED);
    struct chunk_list list;

    while (repeated.size < DATA_SIZE)
        buf_add_span(&repeated, data);
    FUZZ_CHECK(chunk_list_build(buf_span(&repeated), NULL, &object, NULL) == 0);
    FUZZ_CHECK(chunk_list_open(buf_span(&object), &list, NULL) == 0);
    walk(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_list(span_of(data, size));
    if (size > 0 && size % 8 == 0)
        check_data(span_of(data, size));
    return 0;
}
