/* SPDX-License-Identifier: MIT */
#include "common/base/utf8.h"

#include "tests/support/unit.h"

static void every_code_point_comes_back(void **state)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        size_t size;
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size = utf8_put(code, bytes);
        assert_int_equal(utf8_next(span_of(bytes, size), &back), size);
        assert_int_equal(back, code);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(utf8_next(span_of(bytes, cut), &back), 0);
    }
}

static void refused(void **state)
{
    static const char *const bad[] = { "\x80",         "\xc0\x80",         "\xc1\xbf",
                                       "\xe0\x80\x80", "\xed\xa0\x80",     "\xf0\x80\x80\x80",
                                       "\xf5\x80\x80", "\xf4\x90\x80\x80", "\xff",
                                       "\xc2x",        "a\xe2\x82" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(utf8_is_valid(span_text(bad[i])));
    assert_true(utf8_is_valid(span_text("")));
    assert_true(utf8_is_valid(span_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
