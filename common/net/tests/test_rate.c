/* SPDX-License-Identifier: MIT */
#include "common/net/rate.h"

#include "tests/support/unit.h"

/* What passes in `ms` when pieces of `size` are asked for as soon as there is something. */
static uint64_t passed(uint64_t bytes_per_s, size_t size, uint64_t ms)
{
    struct rate rate = rate_init(bytes_per_s, 5000);
    uint64_t now = 5000, total = 0;

    while (now < 5000 + ms) {
        uint64_t wait;
        if (rate_take(&rate, size, now)) {
            total += size;
            continue;
        }
        wait = rate_wait_ms(&rate, now);
        assert_true(wait > 0);
        assert_false(rate_take(&rate, size, now + wait - 2));
        now += wait;
    }
    return total;
}

static void the_mean_is_right_whatever_the_pieces(void **state)
{
    static const uint64_t rates[] = { 1024, 100000, 2 << 20, 1 << 30 };
    static const size_t sizes[] = { 1, 1024, 16 * 1024, 512 * 1024 };

    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            uint64_t found, expected = rates[r] * 20;
            if (sizes[s] * 200000 < rates[r])
                continue; /* would take long to count */
            found = passed(rates[r], sizes[s], 20000);
            assert_in_range(found, expected * 9 / 10, expected * 11 / 10 + sizes[s]);
        }
    }
}

static void idleness_saves_up_little(void **state)
{
    struct rate rate = rate_init(8000, 0);
    uint64_t total = 0;

    while (rate_take(&rate, 100, 3600000))
        total += 100;
    assert_int_equal(total, 1000);
    rate_give_back(&rate, 500);
    assert_true(rate_take(&rate, 500, 3600000));
    assert_false(rate_take(&rate, 1, 3600000));
    assert_false(rate_take(&rate, 1, 3599999)); /* a clock that goes back gives nothing */
}

static void no_limit(void **state)
{
    struct rate rate = rate_init(0, 0);

    for (int i = 0; i < 1000; i++)
        assert_true(rate_take(&rate, SIZE_MAX / 2, 0));
    assert_int_equal(rate_wait_ms(&rate, 0), 0);
    assert_true(rate_step(&rate) > 1 << 20);
}

static void steps(void **state)
{
    struct rate slow = rate_init(1024, 0), fast = rate_init(8 << 20, 0);

    assert_int_equal(rate_step(&slow), 1024);
    assert_int_equal(rate_step(&fast), 1 << 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_is_right_whatever_the_pieces),
        cmocka_unit_test(idleness_saves_up_little),
        cmocka_unit_test(no_limit),
        cmocka_unit_test(steps),
    };

    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
