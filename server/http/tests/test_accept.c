/* SPDX-License-Identifier: MIT */
#include "server/http/accept.h"

#include "tests/support/unit.h"

static void named_codings(void **state)
{
    assert_true(accept_coding("gzip", "gzip"));
    assert_true(accept_coding("deflate, GZIP;q=0.5 , br", "gzip"));
    assert_true(accept_coding("gzip;q=1.000", "gzip"));
    assert_false(accept_coding("deflate, br", "gzip"));
    assert_false(accept_coding(",", "gzip"));
    assert_true(accept_coding(",,gzip", "gzip"));
    assert_false(accept_coding("xgzip, gzip2", "gzip"));
    assert_false(accept_coding(NULL, "gzip"));
    assert_false(accept_coding("", "gzip"));
}

static void weights(void **state)
{
    assert_false(accept_coding("gzip;q=0", "gzip"));
    assert_false(accept_coding("gzip; q=0.000, *", "gzip"));
    assert_true(accept_coding("gzip; q=0.001", "gzip"));
    assert_true(accept_coding("*", "gzip"));
    assert_false(accept_coding("*;q=0", "gzip"));
    assert_true(accept_coding("*;q=0, gzip", "gzip"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_codings),
        cmocka_unit_test(weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
