/* SPDX-License-Identifier: MIT */
#include "common/model/delta_plan.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(delta_reader, delta_reader_free);
CLEANUP_DEFINE(delta_writer, delta_writer_free);

static int plan_lists(struct span base, struct span target, struct delta_plan *out)
{
    cleanup(buf_release) struct buf base_list = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf target_list = buf_init(BUF_UNLIMITED);
    struct chunk_list a, b;
    int r = chunk_list_build(base, NULL, &base_list, NULL);

    if (r == 0)
        r = chunk_list_build(target, NULL, &target_list, NULL);
    if (r < 0)
        return r;
    assert_int_equal(chunk_list_open(buf_span(&base_list), &a, NULL), 0);
    assert_int_equal(chunk_list_open(buf_span(&target_list), &b, NULL), 0);
    return delta_plan_of_lists(&a, &b, out, NULL);
}

struct tree {
    struct merkle_shape shape;
    struct span object;
};

static struct tree tree_of(struct span data)
{
    struct tree tree;
    uint8_t *object;

    assert_int_equal(merkle_shape_of(data.size, &tree.shape, NULL), 0);
    object = malloc(tree.shape.object_size + 1);
    assert_non_null(object);
    assert_int_equal(merkle_build(data, object, NULL, NULL, NULL), 0);
    tree.object = span_of(object, tree.shape.object_size);
    return tree;
}

static void tree_release(struct tree *tree)
{
    free((void *)(uintptr_t)tree->object.bytes);
}

static int name_bottom(void *context, uint64_t piece, struct error *err)
{
    uint8_t *named = context;

    named[piece]++;
    return 0;
}

/* Only the bottoms that were named are given: the others are spoilt, and must not matter. */
static int plan_trees(struct span base, struct span target, struct delta_plan *out)
{
    cleanup(tree_release) struct tree a = tree_of(base), b = tree_of(target);
    uint8_t *named = calloc(a.shape.piece_count + 1, 1);
    uint8_t *object = (uint8_t *)(uintptr_t)a.object.bytes;
    int r = delta_plan_bottoms(&a.shape, span_slice(a.object, 0, a.shape.bottom_offset), &b.shape,
                               span_slice(b.object, 0, b.shape.bottom_offset), name_bottom, named,
                               NULL);

    assert_int_equal(r, 0);
    for (uint64_t i = 0; a.shape.level_count > 0 && i < a.shape.piece_count; i++) {
        assert_in_range(named[i], 0, 1);
        if (named[i] == 0)
            memset(object + a.shape.bottom_offset + i * 4096, 0xee, 4096);
    }
    free(named);
    return delta_plan_of_trees(&a.shape, a.object, &b.shape, b.object, out, NULL);
}

/* A plan covers the target, copies are right, no two of them continue each other. */
static void assert_plan(const struct delta_plan *plan, struct span base, struct span target)
{
    uint64_t at = 0, literal = 0;

    assert_int_equal(plan->base_size, base.size);
    assert_int_equal(plan->target_size, target.size);
    for (size_t i = 0; i < plan->count; i++) {
        const struct delta_range *range = &plan->ranges[i];
        assert_int_equal(range->offset, at);
        assert_true(range->length > 0);
        assert_in_range(range->base_offset, 0, base.size);
        assert_in_range(range->base_length, 0, base.size - range->base_offset);
        if (range->copy) {
            assert_int_equal(range->base_length, range->length);
            assert_memory_equal(base.bytes + range->base_offset, target.bytes + range->offset,
                                range->length);
        } else {
            literal += range->length;
        }
        if (i > 0 && range->copy == range[-1].copy) {
            assert_true(range->copy);
            assert_int_not_equal(range[-1].base_offset + range[-1].length, range->base_offset);
        }
        at += range->length;
    }
    assert_int_equal(at, target.size);
    assert_int_equal(literal, plan->literal_bytes);
}

static int write_and_apply(const struct delta_plan *plan, struct span base, struct span target,
                           uint64_t *out_size)
{
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED), made = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    struct delta_header header = { .base_size = base.size, .target_size = target.size };
    int r = delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL);

    if (r == 0)
        r = delta_plan_write(plan, delta_source_of_span(&base), delta_source_of_span(&target),
                             writer, NULL);
    if (r == 0)
        r = delta_writer_end(writer, NULL);
    if (r == 0)
        r = delta_reader_new(&reader, &header, delta_source_of_span(&base), sink_to_buf(&made),
                             DELTA_PATCH_MAX, NULL);
    if (r == 0)
        r = delta_reader_feed(reader, delta.bytes, delta.size, NULL);
    if (r == 0)
        r = delta_reader_end(reader, NULL);
    if (r == 0)
        assert_true(span_equal(buf_span(&made), target));
    *out_size = delta.size;
    return r;
}

typedef int plan_function(struct span base, struct span target, struct delta_plan *out);

/* The plan is sound, its literals and its delta are no larger than said. */
static void assert_saves(plan_function *make, const struct buf *base, const struct buf *target,
                         uint64_t literal_max, uint64_t size_max)
{
    struct delta_plan plan = { .ranges = NULL };
    uint64_t size;

    assert_int_equal(make(buf_span(base), buf_span(target), &plan), 0);
    assert_plan(&plan, buf_span(base), buf_span(target));
    assert_in_range(plan.literal_bytes, 0, literal_max);
    assert_int_equal(write_and_apply(&plan, buf_span(base), buf_span(target), &size), 0);
    assert_in_range(size, 89, size_max);
    delta_plan_release(&plan);
}

#define MIB ((size_t)1 << 20)

static void test_lists(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(5 * MIB, 1), target = sample_bytes(0, 1);

    buf_add_span(&target, buf_span(&base));
    assert_saves(plan_lists, &base, &target, 0, 89 + 17);
    sample_insert(&target, 4096, 1024, 2); /* the rest moved: few chunks around it are new */
    assert_saves(plan_lists, &base, &target, 3 * 65536, 1400);
    sample_change(&target, 3 * MIB, 10, 3);
    assert_saves(plan_lists, &base, &target, 6 * 65536, 1700);
    assert_saves(plan_lists, &target, &base, 6 * 65536, 1700);
    sample_change(&target, 0, target.size, 4);
    assert_saves(plan_lists, &base, &target, target.size, target.size + 1000);
}

/* What moved is found where it was, also twice. */
static void test_moved(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(2 * MIB, 1), target = sample_bytes(0, 1);

    buf_add(&target, base.bytes + MIB, MIB);
    buf_add(&target, base.bytes, MIB);
    buf_add(&target, base.bytes, MIB);
    assert_saves(plan_lists, &base, &target, 8 * 65536, 8 * 65536);
}

/* Equal chunks: the copy goes on where it was, and does not jump to the first of them. */
static void test_duplicates(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(MIB, 1), target = sample_bytes(0, 1);
    struct delta_plan plan = { .ranges = NULL };

    buf_add_zeros(&base, 2 * MIB);
    buf_add_span(&target, buf_span(&base));
    assert_int_equal(plan_lists(buf_span(&base), buf_span(&target), &plan), 0);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.ranges[0].length, base.size);
    delta_plan_release(&plan);
}

/* Behind a change the copy goes on in place, though equal chunks stand before it; so the change is
 * a patch of what it replaced. */
static void test_a_change_among_duplicates(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(0, 1), target = sample_bytes(0, 1);
    cleanup(buf_release) struct buf once = sample_bytes(300000, 1);
    struct delta_plan plan = { .ranges = NULL };

    buf_add_zeros(&base, MIB);
    buf_add_span(&base, buf_span(&once));
    buf_add_zeros(&base, MIB);
    buf_add_span(&target, buf_span(&base));
    sample_change(&target, MIB + 299000, 10, 3);
    assert_int_equal(plan_lists(buf_span(&base), buf_span(&target), &plan), 0);
    assert_int_equal(plan.count, 3);
    assert_int_equal(plan.ranges[1].base_offset, plan.ranges[1].offset);
    assert_int_equal(plan.ranges[1].base_length, plan.ranges[1].length);
    assert_int_equal(plan.ranges[2].base_offset, plan.ranges[2].offset);
    delta_plan_release(&plan);
}

/* What was taken out is no likeness of the few bytes in its place. */
static void test_no_likeness(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(3 * MIB, 1), target = sample_bytes(0, 1);
    struct delta_plan plan = { .ranges = NULL };

    buf_add(&target, base.bytes, MIB);
    buf_add(&target, base.bytes + 2 * MIB, MIB);
    sample_change(&target, MIB - 5, 10, 3);
    assert_int_equal(plan_lists(buf_span(&base), buf_span(&target), &plan), 0);
    assert_int_equal(plan.count, 3);
    assert_false(plan.ranges[1].copy);
    assert_int_equal(plan.ranges[1].base_length, 0);
    delta_plan_release(&plan);
}

/* Not one chunk is left as it was, and there is more than one patch takes: patches of parts. */
static void test_a_long_likeness(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(20 * MIB, 1), target = sample_bytes(0, 1);

    buf_add_span(&target, buf_span(&base));
    for (size_t at = 0; at < target.size; at += 3000)
        target.bytes[at] ^= 1;
    sample_insert(&target, 5 * MIB, 100000, 2);
    assert_saves(plan_lists, &base, &target, target.size, target.size / 20);
    assert_saves(plan_trees, &base, &target, target.size, target.size / 20);
    assert_saves(plan_lists, &target, &base, base.size, base.size / 20);
}

static void test_trees(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(3 * MIB, 1), target = sample_bytes(0, 1);

    buf_add_span(&target, buf_span(&base));
    assert_saves(plan_trees, &base, &target, 0, 89 + 17);
    sample_change(&target, MIB + 5000, 10, 3);
    assert_saves(plan_trees, &base, &target, 4096, 300);
    sample_change(&target, 0, 1, 4);
    sample_change(&target, target.size - 1, 1, 5);
    assert_saves(plan_trees, &base, &target, 3 * 4096, 600);
    sample_change(&target, 0, target.size, 4);
    assert_saves(plan_trees, &base, &target, target.size, target.size + 1000);
}

/* Ends of every kind against each other: trees of other heights, padded blocks, none at all. */
static void test_trees_of_other_sizes(void **state)
{
    static const size_t sizes[] = { 1,      4096,   4097,   8192,    12000,  12288,
                                    524288, 524289, 600000, 1048577, 3 * MIB };
    cleanup(buf_release) struct buf whole = sample_bytes(3 * MIB, 1);
    size_t count = sizeof(sizes) / sizeof(sizes[0]);

    memset(whole.bytes + 11000, 0, 2000); /* a padded block that equals a whole one */
    for (size_t i = 0; i < count * count; i++) {
        struct span base = span_slice(buf_span(&whole), 0, sizes[i / count]);
        struct span target = span_slice(buf_span(&whole), 0, sizes[i % count]);
        struct delta_plan plan = { .ranges = NULL };
        uint64_t size;
        assert_int_equal(plan_trees(base, target, &plan), 0);
        assert_plan(&plan, base, target);
        if (base.size >= target.size && target.size > 4096)
            assert_in_range(plan.literal_bytes, 0, 4096);
        assert_int_equal(write_and_apply(&plan, base, target, &size), 0);
        delta_plan_release(&plan);
    }
}

static int end_it(void *context, uint64_t piece, struct error *err)
{
    return error_set(err, -ECANCELED, "no more");
}

static void test_what_is_refused(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(2 * MIB, 1),
                                    other = sample_bytes(2 * MIB, 2);
    cleanup(tree_release) struct tree a = tree_of(buf_span(&data)), b = tree_of(buf_span(&other));
    struct delta_plan plan;
    struct span upper = span_slice(a.object, 0, a.shape.bottom_offset);

    assert_int_equal(delta_plan_of_trees(&a.shape, span_slice(a.object, 1, SIZE_MAX), &b.shape,
                                         b.object, &plan, NULL),
                     -EINVAL);
    assert_int_equal(delta_plan_of_trees(&a.shape, a.object, &b.shape, upper, &plan, NULL),
                     -EINVAL);
    assert_int_equal(delta_plan_bottoms(&a.shape, a.object, &b.shape, upper, end_it, NULL, NULL),
                     -EINVAL);
    assert_int_equal(delta_plan_bottoms(&a.shape, upper, &b.shape,
                                        span_slice(b.object, 0, b.shape.bottom_offset), end_it,
                                        NULL, NULL),
                     -ECANCELED);
    assert_int_equal(delta_plan_bottoms(&a.shape, upper, &a.shape, upper, end_it, NULL, NULL), 0);
}

static int no_read(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    return error_set(err, -EIO, "the disk is gone");
}

static void test_sources_fail(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(MIB, 1), target = sample_bytes(0, 1);
    cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
    struct delta_source none = { .read = no_read };
    struct delta_plan plan = { .ranges = NULL };

    buf_add_span(&target, buf_span(&base));
    sample_change(&target, 300000, 10, 3);
    assert_int_equal(plan_trees(buf_span(&base), buf_span(&target), &plan), 0);
    for (int i = 0; i < 2; i++) {
        cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
        struct delta_header header = { .base_size = base.size, .target_size = target.size };
        struct span a = buf_span(&base), b = buf_span(&target);
        assert_int_equal(delta_writer_new(&writer, &header, 3, sink_to_buf(&delta), NULL), 0);
        assert_int_equal(delta_plan_write(&plan, i == 0 ? none : delta_source_of_span(&a),
                                          i == 1 ? none : delta_source_of_span(&b), writer, NULL),
                         -EIO);
    }
    delta_plan_release(&plan);
}

static int plan_and_write(plan_function *make, const struct buf *base, const struct buf *target)
{
    struct delta_plan plan = { .ranges = NULL };
    uint64_t size;
    int r = make(buf_span(base), buf_span(target), &plan);

    if (r == 0)
        r = write_and_apply(&plan, buf_span(base), buf_span(target), &size);
    delta_plan_release(&plan);
    return r;
}

static void test_no_memory(void **state)
{
    cleanup(buf_release) struct buf base = sample_bytes(MIB, 1), target = sample_bytes(0, 1);

    buf_add_span(&target, buf_span(&base));
    for (uint64_t i = 0; i < 30; i++) /* more ranges than fit at first */
        sample_change(&target, i * 30000, 10, i);
    assert_survives_no_memory(plan_and_write(plan_lists, &base, &target));
    assert_survives_no_memory(plan_and_write(plan_trees, &base, &target));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),           cmocka_unit_test(test_moved),
        cmocka_unit_test(test_duplicates),      cmocka_unit_test(test_a_change_among_duplicates),
        cmocka_unit_test(test_no_likeness),     cmocka_unit_test(test_a_long_likeness),
        cmocka_unit_test(test_trees),           cmocka_unit_test(test_trees_of_other_sizes),
        cmocka_unit_test(test_what_is_refused), cmocka_unit_test(test_sources_fail),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
