/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "server/service/cursor.h"
#include "server/service/refusal.h"

static void test_comes_back(void **state)
{
    char text[CURSOR_SIZE];
    uint8_t longest[CURSOR_KEY_MAX];
    uint8_t key[CURSOR_KEY_MAX];
    size_t size;

    cursor_format(CURSOR_APPS, span_text("shop"), text);
    assert_int_equal(cursor_parse(CURSOR_APPS, text, key, &size, NULL, NULL), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(key, "shop", 4);
    memset(longest, 0xff, sizeof(longest));
    cursor_format(CURSOR_FILES, span_of(longest, sizeof(longest)), text);
    assert_true(strlen(text) < CURSOR_SIZE);
    assert_int_equal(cursor_parse(CURSOR_FILES, text, key, &size, NULL, NULL), 0);
    assert_int_equal(size, sizeof(longest));
}

static void test_nothing_is_the_start(void **state)
{
    uint8_t key[CURSOR_KEY_MAX];
    size_t size = 9;

    assert_int_equal(cursor_parse(CURSOR_APPS, NULL, key, &size, NULL, NULL), 0);
    assert_int_equal(size, 0);
    size = 9;
    assert_int_equal(cursor_parse(CURSOR_APPS, "", key, &size, NULL, NULL), 0);
    assert_int_equal(size, 0);
}

static void test_refuses_what_it_did_not_give(void **state)
{
    static const char *const bad[] = { "x",          "02",         "0",         "0273686f7",
                                       "zz73686f70", "0173686f70", "0273 8f70", "02AB" };
    char huge[2 * CURSOR_SIZE + 1];
    uint8_t key[CURSOR_KEY_MAX];
    size_t size = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct refusal why = { 0 };

        assert_int_equal(cursor_parse(CURSOR_APPS, bad[i], key, &size, &why, NULL), -EINVAL);
        assert_int_equal(why.code, REFUSAL_VALIDATION);
        assert_string_equal(why.pointer, "/cursor");
    }
    memset(huge, '0', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_int_equal(cursor_parse(CURSOR_APPS, huge, key, &size, NULL, NULL), -EINVAL);
    assert_int_equal(size, 77);
}

static void test_numbers(void **state)
{
    const int64_t given[] = { 1700000000, INT64_MAX };
    struct page_request request = { .limit = 7 };
    char text[CURSOR_SIZE];
    int64_t numbers[] = { 1, 2 };
    uint32_t limit = 0;

    assert_int_equal(page_start_behind(CURSOR_TRASH, &request, &limit, numbers, 2, NULL, NULL), 0);
    assert_int_equal(limit, 7);
    assert_int_equal(numbers[0], 0);
    assert_int_equal(numbers[1], 0);
    page_end_at(CURSOR_TRASH, given, 2, text);
    request.cursor = text;
    assert_int_equal(page_start_behind(CURSOR_TRASH, &request, &limit, numbers, 2, NULL, NULL), 0);
    assert_int_equal(numbers[0], given[0]);
    assert_int_equal(numbers[1], given[1]);
    /* another list's, and one that is not as long */
    assert_int_equal(page_start_behind(CURSOR_VERSIONS, &request, &limit, numbers, 2, NULL, NULL),
                     -EINVAL);
    page_end_at(CURSOR_TRASH, given, 1, text);
    assert_int_equal(page_start_behind(CURSOR_TRASH, &request, &limit, numbers, 2, NULL, NULL),
                     -EINVAL);
    assert_int_equal(numbers[0], given[0]);
}

static void test_limits(void **state)
{
    struct page_request request = { .limit = 0 };
    uint32_t limit = 0;

    assert_int_equal(page_limit(NULL, &limit, NULL, NULL), 0);
    assert_int_equal(limit, PAGE_LIMIT_DEFAULT);
    assert_int_equal(page_limit(&request, &limit, NULL, NULL), 0);
    assert_int_equal(limit, PAGE_LIMIT_DEFAULT);
    request.limit = PAGE_LIMIT_MAX;
    assert_int_equal(page_limit(&request, &limit, NULL, NULL), 0);
    assert_int_equal(limit, PAGE_LIMIT_MAX);
    request.limit++;
    assert_int_equal(page_limit(&request, &limit, NULL, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_nothing_is_the_start),
        cmocka_unit_test(test_refuses_what_it_did_not_give),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
