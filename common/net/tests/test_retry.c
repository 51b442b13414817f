/* SPDX-License-Identifier: MIT */
#include "common/net/retry.h"

#include <errno.h>

#include "tests/support/unit.h"

static void waits_double_and_spread(void **state)
{
    struct retry_policy policy = {
        .tries = 6, .base_ms = 100, .max_ms = 800, .retry_after_max_ms = 5000
    };
    static const uint64_t most[] = { 100, 200, 400, 800, 800 };
    uint64_t wait;

    for (uint32_t next = 2; next <= 6; next++) {
        assert_true(retry_wait(&policy, next, 0, UINT32_MAX, &wait));
        assert_int_equal(wait, most[next - 2]);
        assert_true(retry_wait(&policy, next, 0, 0, &wait));
        assert_int_equal(wait, most[next - 2] / 2);
        assert_true(retry_wait(&policy, next, 0, UINT32_MAX / 2, &wait));
        assert_in_range(wait, most[next - 2] / 2, most[next - 2]);
    }
    assert_false(retry_wait(&policy, 7, 0, 0, &wait));
}

static void what_the_server_says_counts(void **state)
{
    struct retry_policy policy = retry_policy_default();
    uint64_t wait;

    assert_true(retry_wait(&policy, 2, 3000, 0, &wait));
    assert_int_equal(wait, 3000);
    assert_true(retry_wait(&policy, 5, 10, UINT32_MAX, &wait));
    assert_int_equal(wait, 1600);
    assert_false(retry_wait(&policy, 2, 60001, 0, &wait));
}

static void what_is_worth_another_try(void **state)
{
    static const int again[] = { 408, 425, 429, 500, 502, 503, 504 };
    static const int answers[] = {
        200, 204, 304, 400, 401, 403, 404, 409, 410, 416, 422, 501, 507
    };

    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
        assert_int_equal(retry_judge(0, again[i]), RETRY_NEXT);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        assert_int_equal(retry_judge(0, answers[i]), RETRY_DONE);
    assert_int_equal(retry_judge(-EAGAIN, 0), RETRY_NEXT);
    assert_int_equal(retry_judge(-ETIMEDOUT, 0), RETRY_NEXT);
    assert_int_equal(retry_judge(-EIO, 200), RETRY_NEXT);
    assert_int_equal(retry_judge(-EACCES, 0), RETRY_NEVER);
    assert_int_equal(retry_judge(-ECANCELED, 0), RETRY_NEVER);
    assert_int_equal(retry_judge(-ENOMEM, 0), RETRY_NEVER);
}

static void retry_after_is_read(void **state)
{
    int64_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */

    assert_int_equal(retry_after_parse("120", now), 120000);
    assert_int_equal(retry_after_parse(" 1 ", now), 1000);
    assert_int_equal(retry_after_parse("99999999", now), 86400000);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:47 GMT", now), 10000);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT", now), 0);
    assert_int_equal(retry_after_parse("Sun, 06 Xyz 1994 08:49:47 GMT", now), 0);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:4x GMT", now), 0);
    assert_int_equal(retry_after_parse("soon", now), 0);
    assert_int_equal(retry_after_parse("-5", now), 0);
    assert_int_equal(retry_after_parse("1e3", now), 0);
    assert_int_equal(retry_after_parse("", now), 0);
    assert_int_equal(retry_after_parse(NULL, now), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_and_spread),
        cmocka_unit_test(what_the_server_says_counts),
        cmocka_unit_test(what_is_worth_another_try),
        cmocka_unit_test(retry_after_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
