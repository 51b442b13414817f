/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/service/act_budget.h"

static void each_token_has_its_own(void **state)
{
    struct act_budget *budget;

    assert_int_equal(act_budget_new(&budget, NULL), 0);
    assert_int_equal(act_budget_left(budget, "one", 1000), ACT_BUDGET_MAX);
    act_budget_charge(budget, "one", 1000, 5);
    act_budget_charge(budget, "two", 1000, 0);
    assert_int_equal(act_budget_left(budget, "one", 1000), ACT_BUDGET_MAX - 5);
    assert_int_equal(act_budget_left(budget, "two", 1000), ACT_BUDGET_MAX);
    assert_null(act_budget_free(budget));
    assert_null(act_budget_free(NULL));
}

static void it_fills_up_with_time(void **state)
{
    struct act_budget *budget;
    const int64_t full_s = ACT_BUDGET_MAX / ACT_BUDGET_PER_S;

    assert_int_equal(act_budget_new(&budget, NULL), 0);
    act_budget_charge(budget, "one", 1000, ACT_BUDGET_MAX);
    assert_int_equal(act_budget_left(budget, "one", 1000), 0);
    assert_int_equal(act_budget_wait_s(budget, "one", 1000, 1), 1);
    assert_int_equal(act_budget_wait_s(budget, "one", 1000, 100), 100 / ACT_BUDGET_PER_S);
    assert_int_equal(act_budget_wait_s(budget, "one", 1000, SIZE_MAX), full_s);
    assert_int_equal(act_budget_left(budget, "one", 1010), 10 * ACT_BUDGET_PER_S);
    assert_int_equal(act_budget_left(budget, "one", 1000 + full_s - 1),
                     ACT_BUDGET_MAX - ACT_BUDGET_PER_S);
    assert_int_equal(act_budget_left(budget, "one", 1000 + full_s), ACT_BUDGET_MAX);
    assert_int_equal(act_budget_left(budget, "one", INT64_MAX), ACT_BUDGET_MAX);
    /* Requests that came together used more than there was. */
    act_budget_charge(budget, "one", 1000, 100);
    assert_int_equal(act_budget_left(budget, "one", 1000), 0);
    assert_int_equal(act_budget_wait_s(budget, "one", 1000, 2), 102 / ACT_BUDGET_PER_S);
    assert_int_equal(act_budget_left(budget, "one", 1000 + full_s), ACT_BUDGET_MAX - 100);
    act_budget_free(budget);
}

/* A year ahead for a moment: nobody waits a year for it. */
static void a_clock_that_went_back(void **state)
{
    struct act_budget *budget;
    const int64_t ahead_s = 1000 + 365 * 86400;

    assert_int_equal(act_budget_new(&budget, NULL), 0);
    act_budget_charge(budget, "one", ahead_s, ACT_BUDGET_MAX);
    assert_int_equal(act_budget_left(budget, "one", 1000), 0);
    assert_int_equal(act_budget_left(budget, "one", 1010), 10 * ACT_BUDGET_PER_S);
    assert_int_equal(act_budget_left(budget, "one", 990), 0);
    assert_int_equal(act_budget_left(budget, "one", 1000 + ACT_BUDGET_MAX), ACT_BUDGET_MAX);
    act_budget_free(budget);
}

/* Any number of tokens: those that are full again are not kept. */
static void what_is_full_is_forgotten(void **state)
{
    struct act_budget *budget;
    char token[16];

    assert_int_equal(act_budget_new(&budget, NULL), 0);
    act_budget_charge(budget, "spender", 1000, ACT_BUDGET_MAX);
    for (int i = 0; i < 9000; i++) {
        snprintf(token, sizeof(token), "%d", i);
        act_budget_charge(budget, token, 1000 + i, 1);
    }
    assert_int_equal(act_budget_left(budget, "8999", 1000 + 8999), ACT_BUDGET_MAX - 1);
    assert_int_equal(act_budget_left(budget, "spender", 1000 + 9000), 9000 * ACT_BUDGET_PER_S);
    act_budget_free(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_has_its_own),
        cmocka_unit_test(it_fills_up_with_time),
        cmocka_unit_test(a_clock_that_went_back),
        cmocka_unit_test(what_is_full_is_forgotten),
    };

    return cmocka_run_group_tests_name("act_budget", tests, NULL, NULL);
}
