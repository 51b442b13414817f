/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/entry.h"
#include "common/model/listing.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/times.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define MAGIC LISTING_MAGIC "\0"
#define LITERAL(text) span_of(text, sizeof(text) - 1)

static int constant_verity(void *context, uint64_t index, const struct entry *entry,
                           struct digest *out, struct error *err)
{
    *out = merkle_empty_verity;
    if (entry->size > 0)
        out->bytes[0] ^= 1;
    return 0;
}

static int build(struct span listing, struct span times, tree_verity_function *verity,
                 struct error *err)
{
    struct digest digest;
    uint64_t size, written = 0;
    int r =
        tree_build(listing, times, verity, NULL, sink_to_counter(&written), &digest, &size, err);

    if (r == 0)
        assert_int_equal(size, written);
    return r;
}

static void test_verity_is_that_of_the_image(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct digest verity;

    sample_tree_make(&sample, 3, 500);
    assert_int_equal(merkle_verity_of(buf_span(&sample.image), &verity, NULL), 0);
    assert_memory_equal(verity.bytes, sample.verity.bytes, DIGEST_SIZE);
}

static void test_empty(void **state)
{
    struct tree_plan plan;
    struct tree tree;
    uint8_t image[8192] = { 0 };

    assert_int_equal(tree_plan_make(LITERAL(MAGIC), span_of(TIMES_MAGIC, TIMES_MAGIC_SIZE), &plan,
                                    NULL),
                     0);
    assert_int_equal(plan.image_size, 8192);
    assert_int_equal(tree_plan_write(&plan, LITERAL(MAGIC), span_of(TIMES_MAGIC, TIMES_MAGIC_SIZE),
                                     constant_verity, NULL, image, NULL),
                     0);
    assert_int_equal(tree_open(span_of(image, sizeof(image)), &tree, NULL), 0);
    assert_int_equal(tree.header.record_count, 1);
}

static void test_refused(void **state)
{
    struct error err = { 0 };
    struct span one = LITERAL(TIMES_MAGIC "\0\0\0\0\0\0\0\0\0");
    struct span late = LITERAL(TIMES_MAGIC "\0\1\0\0\0\0\0\0\0");
    struct span two = LITERAL(TIMES_MAGIC "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

    assert_int_equal(build(LITERAL(MAGIC "d 0755 a\0"), one, constant_verity, &err), 0);
    assert_int_equal(build(LITERAL(MAGIC "d 0755 a"), one, constant_verity, &err), -EBADMSG);
    assert_int_equal(build(LITERAL(MAGIC "d 0755 a\0"), two, constant_verity, &err), -EBADMSG);
    assert_int_equal(build(LITERAL(MAGIC "l a\0b\0"), one, constant_verity, &err), 0);
    assert_int_equal(build(LITERAL(MAGIC "l a\0b\0"), late, constant_verity, &err), -EBADMSG);
    assert_string_equal(err.text, "offset 19: a link's time is 0");
    assert_int_equal(build(LITERAL(MAGIC "f 0644 5 " HELLO " a\0f 0644 5 " HELLO " b\0"), two,
                           constant_verity, &err),
                     0);
    assert_int_equal(build(LITERAL(MAGIC "f 0644 5 " HELLO " a\0f 0644 6 " HELLO " b\0"), two,
                           constant_verity, &err),
                     -EINVAL);
}

static int empty_verity(void *context, uint64_t index, const struct entry *entry,
                        struct digest *out, struct error *err)
{
    *out = merkle_empty_verity;
    return 0;
}

static int counting_verity(void *context, uint64_t index, const struct entry *entry,
                           struct digest *out, struct error *err)
{
    *out = digest_of(&index, sizeof(index));
    return 0;
}

static int no_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                     struct error *err)
{
    return error_set(err, -ENOENT, "not known");
}

static void test_verities_refused(void **state)
{
    struct span two = LITERAL(TIMES_MAGIC "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    struct span listing = LITERAL(MAGIC "f 0644 5 " HELLO " a\0f 0644 5 " HELLO " b\0");

    assert_int_equal(build(listing, two, empty_verity, NULL), -EINVAL);
    assert_int_equal(build(listing, two, counting_verity, NULL), -EINVAL);
    assert_int_equal(build(listing, two, no_verity, NULL), -ENOENT);
}

static int build_sample(const struct sample_tree *sample)
{
    return build(buf_span(&sample->listing), buf_span(&sample->times), constant_verity, NULL);
}

static void test_no_memory(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;

    sample_tree_make(&sample, 5, 100);
    assert_survives_no_memory(build_sample(&sample));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verity_is_that_of_the_image),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_verities_refused),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
