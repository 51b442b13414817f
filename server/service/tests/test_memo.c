/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "server/service/memo.h"

struct counted {
    int *references;
    int number;
};

static void take(void *value)
{
    (*((struct counted *)value)->references)++;
}

static void drop(void *value)
{
    (*((struct counted *)value)->references)--;
}

static void test_remembers_and_replaces(void **state)
{
    struct memo *memo;
    int value = 7;

    assert_int_equal(memo_new(&memo, sizeof(int), 4, NULL, NULL, NULL), 0);
    assert_false(memo_get(memo, span_text("a"), &value));
    memo_put(memo, span_text("a"), &value);
    value = 8;
    memo_put(memo, span_text("a"), &value);
    value = 0;
    assert_true(memo_get(memo, span_text("a"), &value));
    assert_int_equal(value, 8);
    assert_int_equal(memo_count(memo), 1);
    memo_forget(memo, span_text("a"));
    memo_forget(memo, span_text("never"));
    assert_false(memo_get(memo, span_text("a"), &value));
    memo_free(memo);
}

static void test_is_bounded_and_keeps_what_is_used(void **state)
{
    struct memo *memo;
    char key[16];
    int value;

    assert_int_equal(memo_new(&memo, sizeof(int), 8, NULL, NULL, NULL), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        memo_put(memo, span_text(key), &i);
        assert_true(memo_get(memo, span_text("k0"), &value));
        assert_int_equal(value, 0);
        assert_true(memo_count(memo) <= 8);
    }
    assert_true(memo_get(memo, span_text("k99"), &value));
    assert_false(memo_get(memo, span_text("k50"), &value));
    memo_free(memo);
}

static void test_references_are_balanced(void **state)
{
    int references = 0;
    struct counted value = { &references, 0 };
    struct memo *memo;
    char key[16];

    assert_int_equal(memo_new(&memo, sizeof(value), 4, take, drop, NULL), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i % 10);
        references++; /* passes to the memo */
        memo_put(memo, span_text(key), &value);
        if (memo_get(memo, span_text(key), &value))
            drop(&value);
    }
    assert_int_equal(references, (int)memo_count(memo));
    memo_forget(memo, span_text(key));
    assert_int_equal(references, (int)memo_count(memo));
    memo_free(memo);
    assert_int_equal(references, 0);
}

static void test_without_memory_it_forgets(void **state)
{
    int references = 0;
    struct counted value = { &references, 0 };
    struct memo *memo;
    int r;

    for (int64_t n = 0;; n++) {
        bool failed;

        references = 0;
        memory_fail_after(n);
        r = memo_new(&memo, sizeof(value), 4, take, drop, NULL);
        if (r == 0) {
            references++;
            memo_put(memo, span_text("a"), &value);
            memo_free(memo);
        }
        failed = memory_failed();
        memory_fail_after(-1);
        assert_int_equal(references, 0);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_replaces),
        cmocka_unit_test(test_is_bounded_and_keeps_what_is_used),
        cmocka_unit_test(test_references_are_balanced),
        cmocka_unit_test(test_without_memory_it_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
