/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_space.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/volume.h"
#include "tests/support/unit.h"

static void both_numbers_are_told(void **state)
{
    static const struct {
        struct pull_space_need need;
        struct volume_space space;
        const char *needed, *free; /* NULL: there is room */
    } cases[] = {
        { { 0, 0 }, { 0, 0 }, NULL, NULL },
        { { 1000, 3 }, { 1000, 3 }, NULL, NULL },
        { { 1001, 3 }, { 1000, 3 }, "1001 bytes", "1000 bytes" },
        { { 1000, 4 }, { 1000, 3 }, "4 inodes", "3 inodes" },
        { { 5ull << 40, 1 }, { 4ull << 40, 9 }, "5.00 TiB", "4.00 TiB" },
        { { 1, UINT32_MAX }, { 1, UINT64_MAX }, NULL, NULL },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        int r = pull_space_compare(&cases[i].need, &cases[i].space, &err);
        assert_int_equal(r, cases[i].needed == NULL ? 0 : -ENOSPC);
        if (r == 0)
            continue;
        assert_non_null(strstr(err.text, cases[i].needed));
        assert_non_null(strstr(err.text, cases[i].free));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_numbers_are_told),
    };

    return cmocka_run_group_tests_name("pull_space", tests, NULL, NULL);
}
