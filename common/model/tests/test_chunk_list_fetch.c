/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_list_fetch.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(chunk_list_fetch, chunk_list_fetch_free);

struct sample {
    struct buf object;
    struct chunk_list list;
};

static struct sample sample_of(const struct buf *data)
{
    struct sample sample = { .object = buf_init(BUF_UNLIMITED) };

    assert_int_equal(chunk_list_build(buf_span(data), NULL, &sample.object, NULL), 0);
    assert_int_equal(chunk_list_open(buf_span(&sample.object), &sample.list, NULL), 0);
    return sample;
}

static void sample_release(struct sample *sample)
{
    buf_release(&sample->object);
}

/* Fetches theirs out of memory; backwards within a round, which must not matter. */
static int fetch_all(const struct sample *theirs, const struct chunk_list *ours,
                     struct chunk_list_fetch **out, uint64_t *out_moved, size_t *out_rounds)
{
    const struct chunk_list_range *ranges;
    size_t count;
    int r = chunk_list_fetch_new(out, span_slice(buf_span(&theirs->object), 0, 256), ours,
                                 BUF_UNLIMITED, NULL);

    *out_moved = 256;
    *out_rounds = 0;
    while (r == 0 && (count = chunk_list_fetch_wanted(*out, &ranges)) > 0) {
        cleanup(buf_release) struct buf copy = buf_init(BUF_UNLIMITED);
        const struct chunk_list_range *round;
        buf_add(&copy, ranges, count * sizeof(*ranges));
        r = buf_check(&copy, NULL);
        round = (const struct chunk_list_range *)(void *)copy.bytes;
        for (size_t i = count; r == 0 && i > 0; i--) {
            struct chunk_list_range range = round[i - 1];
            *out_moved += range.size;
            r = chunk_list_fetch_give(*out, range.offset,
                                      span_slice(buf_span(&theirs->object), range.offset,
                                                 range.size),
                                      NULL);
        }
        ++*out_rounds;
    }
    return r;
}

static void assert_fetched(const struct sample *theirs, const struct chunk_list *ours,
                           uint64_t moved_min, uint64_t moved_max)
{
    cleanup(cleanup_chunk_list_fetch) struct chunk_list_fetch *fetch = NULL;
    struct chunk_list list;
    uint64_t moved;
    size_t rounds;

    assert_int_equal(fetch_all(theirs, ours, &fetch, &moved, &rounds), 0);
    assert_int_equal(chunk_list_fetch_end(fetch, &list, NULL), 0);
    assert_true(span_equal(list.object, buf_span(&theirs->object)));
    assert_in_range(moved, moved_min, moved_max);
    assert_in_range(rounds, 1, theirs->list.shape.level_count);
}

static void test_only_what_differs(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(40 << 20, 1);
    cleanup(sample_release) struct sample ours = sample_of(&data), theirs = sample_of(&data);
    struct sample other;
    uint64_t whole, top;

    whole = theirs.object.size;
    top = theirs.list.shape.level_offset[0];
    assert_fetched(&theirs, NULL, whole, whole);
    assert_fetched(&theirs, &ours.list, top, top);
    sample_release(&theirs);
    sample_insert(&data, 20 << 20, 1000, 2);
    theirs = sample_of(&data);
    assert_fetched(&theirs, &ours.list, top, top + 2 * 256 * 20 + 100);
    data.size = 3 << 20;
    other = sample_of(&data);
    assert_fetched(&other, &ours.list, 256, other.object.size);
    assert_fetched(&ours, &other.list, 256, whole);
    sample_release(&other);
}

/* Groups of groups: of one that differs a path from the top to its leaves is fetched. */
static void test_three_levels(void **state)
{
    cleanup(buf_release) struct buf data = buf_init(BUF_UNLIMITED);
    size_t size = sample_small_chunks(2000 * 16, &data);
    cleanup(sample_release) struct sample ours, theirs;
    uint64_t top;

    for (size_t i = 0; i < 2000; i++) /* no two groups alike */
        data.bytes[i * 16 * size + 100 + i % 1000] ^= (uint8_t)(i / 1000 + 1);
    ours = sample_of(&data);
    data.bytes[1000 * 16 * size] ^= 1;
    theirs = sample_of(&data);
    assert_in_range(ours.list.shape.level_count, 3, 4);
    top = theirs.list.shape.level_offset[theirs.list.shape.level_count - 2];
    assert_fetched(&ours, &ours.list, top, top);
    assert_fetched(&theirs, &ours.list, top, top + 4 * (256 * 28 + 256 * 20));
}

static void test_what_is_refused(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(5 << 20, 1);
    cleanup(sample_release) struct sample theirs = sample_of(&data);
    cleanup(cleanup_chunk_list_fetch) struct chunk_list_fetch *fetch = NULL;
    struct span object = buf_span(&theirs.object);
    const struct chunk_list_range *ranges;
    struct chunk_list list;
    struct span top;

    assert_int_equal(chunk_list_fetch_new(&fetch, object, NULL, object.size - 1, NULL), -EFBIG);
    assert_int_equal(chunk_list_fetch_new(&fetch, span_slice(object, 0, 255), NULL, 100000, NULL),
                     -EBADMSG);
    assert_int_equal(chunk_list_fetch_new(&fetch, object, NULL, object.size, NULL), 0);
    assert_int_equal(chunk_list_fetch_end(fetch, &list, NULL), -EINVAL);
    assert_int_equal(chunk_list_fetch_wanted(fetch, &ranges), 1);
    assert_int_equal(ranges[0].offset, 256);
    top = span_slice(object, 256, ranges[0].size);
    assert_int_equal(chunk_list_fetch_give(fetch, 257, top, NULL), -EINVAL);
    assert_int_equal(chunk_list_fetch_give(fetch, 256, span_slice(top, 1, SIZE_MAX), NULL),
                     -EBADMSG);
    theirs.object.bytes[256 + 8] ^= 1;
    assert_int_equal(chunk_list_fetch_give(fetch, 256, top, NULL), -EBADMSG);
    fetch = chunk_list_fetch_free(fetch);
    theirs.object.bytes[256 + 8] ^= 1;
    theirs.object.bytes[256 + 12] ^= 1; /* a hash: seen at the end */
    assert_int_equal(chunk_list_fetch_new(&fetch, object, NULL, object.size, NULL), 0);
    assert_int_equal(chunk_list_fetch_give(fetch, 256, top, NULL), 0);
    assert_int_equal(chunk_list_fetch_wanted(fetch, &ranges), 1);
    assert_int_equal(chunk_list_fetch_give(fetch, ranges[0].offset,
                                           span_slice(object, ranges[0].offset, ranges[0].size),
                                           NULL),
                     0);
    assert_int_equal(chunk_list_fetch_wanted(fetch, &ranges), 0);
    assert_int_equal(chunk_list_fetch_give(fetch, 256, top, NULL), -EINVAL);
    assert_int_equal(chunk_list_fetch_end(fetch, &list, NULL), -EBADMSG);
}

static int fetch_once(const struct sample *theirs, const struct sample *ours)
{
    cleanup(cleanup_chunk_list_fetch) struct chunk_list_fetch *fetch = NULL;
    uint64_t moved;
    size_t rounds;

    return fetch_all(theirs, &ours->list, &fetch, &moved, &rounds);
}

static void test_no_memory(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(8 << 20, 1);
    cleanup(sample_release) struct sample ours = sample_of(&data);
    struct sample theirs;

    sample_change(&data, 4 << 20, 100, 9);
    theirs = sample_of(&data);
    assert_survives_no_memory(fetch_once(&theirs, &ours));
    sample_release(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_differs),
        cmocka_unit_test(test_three_levels),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
