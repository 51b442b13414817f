/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/model/token_text.h"

#define GOOD "kka_ABCdef012345_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_-"

static void test_split(void **state)
{
    struct token_text token;
    char joined[TOKEN_TEXT_SIZE + 1];

    assert_int_equal(strlen(GOOD), TOKEN_TEXT_SIZE);
    assert_int_equal(token_text_split(span_text(GOOD), &token, NULL), 0);
    assert_string_equal(token.id, "ABCdef012345");
    assert_int_equal(strlen(token.secret), TOKEN_SECRET_SIZE);
    token_text_join(&token, joined);
    assert_string_equal(joined, GOOD);
}

static void test_refused(void **state)
{
    struct token_text token;

    for (size_t i = 0; i < TOKEN_TEXT_SIZE; i++) {
        struct error err = { 0 };
        char text[] = GOOD;
        text[i] = '!';
        assert_int_equal(token_text_split(span_text(text), &token, &err), -EINVAL);
        assert_null(strstr(err.text, "ABC"));
        assert_int_equal(token_text_split(span_of(GOOD, i), &token, NULL), -EINVAL);
    }
    assert_int_equal(token_text_split(span_text(GOOD "a"), &token, NULL), -EINVAL);
    assert_int_equal(token_text_split(span_text(
                                          "kka_ABCdef_12345_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                          "aaaaa"),
                                      &token, NULL),
                     -EINVAL);
    assert_false(token_text_is_id(span_text("ABCdef01234")));
    assert_false(token_text_is_id(span_text("ABCdef01234-")));
    assert_true(token_text_is_id(span_text("ABCdef01234z")));
}

static void test_made(void **state)
{
    struct token_text a, b, again;
    char text[TOKEN_TEXT_SIZE + 1];

    assert_int_equal(token_text_make(&a, NULL), 0);
    assert_int_equal(token_text_make(&b, NULL), 0);
    assert_string_not_equal(a.id, b.id);
    assert_string_not_equal(a.secret, b.secret);
    token_text_join(&a, text);
    assert_int_equal(token_text_split(span_text(text), &again, NULL), 0);
    assert_string_equal(again.id, a.id);
    assert_string_equal(again.secret, a.secret);
}

static int make(void)
{
    struct token_text token;

    return token_text_make(&token, NULL);
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(make());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
