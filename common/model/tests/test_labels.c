/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/labels.h"

static int add(struct labels *labels, const char *key, const char *value)
{
    return labels_add(labels, span_text(key), span_text(value), NULL);
}

static void test_sorted(void **state)
{
    cleanup(labels_release) struct labels labels = { 0 };

    assert_int_equal(add(&labels, "team", "x"), 0);
    assert_int_equal(add(&labels, "a/b", ""), 0);
    assert_int_equal(add(&labels, "stage", "\xc3\xa4"), 0);
    assert_int_equal(add(&labels, "team", "y"), -EINVAL);
    assert_int_equal(labels.count, 3);
    assert_string_equal(labels.items[0].key, "a/b");
    assert_string_equal(labels.items[1].key, "stage");
    assert_string_equal(labels.items[2].key, "team");
    assert_string_equal(labels_get(&labels, "team"), "x");
    assert_string_equal(labels_get(&labels, "a/b"), "");
    assert_null(labels_get(&labels, "b"));
}

static void test_rules(void **state)
{
    char text[300];
    cleanup(labels_release) struct labels labels = { 0 };

    memset(text, 'a', sizeof(text));
    assert_int_equal(label_check_key(span_of(text, 63), NULL), 0);
    assert_int_equal(label_check_key(span_of(text, 64), NULL), -EINVAL);
    assert_int_equal(label_check_key(span_text(""), NULL), -EINVAL);
    assert_int_equal(label_check_key(span_text("A"), NULL), -EINVAL);
    assert_int_equal(label_check_key(span_text("_a"), NULL), -EINVAL);
    assert_int_equal(label_check_key(span_text("a b"), NULL), -EINVAL);
    assert_int_equal(label_check_key(span_of("a\0", 2), NULL), -EINVAL);
    assert_int_equal(label_check_value(span_of(text, 256), NULL), 0);
    assert_int_equal(label_check_value(span_of(text, 257), NULL), -EINVAL);
    assert_int_equal(label_check_value(span_text("a\nb"), NULL), -EINVAL);
    assert_int_equal(label_check_value(span_text("\xff"), NULL), -EINVAL);
    for (int i = 0; i < LABELS_MAX_COUNT; i++) {
        snprintf(text, 10, "k%d", i);
        assert_int_equal(add(&labels, text, "v"), 0);
    }
    assert_int_equal(add(&labels, "more", "v"), -EINVAL);
}

static int add_two(void)
{
    cleanup(labels_release) struct labels labels = { 0 };
    int r = add(&labels, "b", "1");

    return r == 0 ? add(&labels, "a", "2") : r;
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(add_two());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
