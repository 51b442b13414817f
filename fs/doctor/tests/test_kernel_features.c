/* SPDX-License-Identifier: MIT */
#include "fs/doctor/kernel_features.h"

#include "tests/support/unit.h"

static void versions_are_read(void **state)
{
    static const struct {
        const char *text;
        bool is_one;
        unsigned major, minor;
    } cases[] = {
        { "6.18.5-amd64", true, 6, 18 }, { "5.10", true, 5, 10 }, { "6.9-rc1", true, 6, 9 },
        { "4.19.0+", true, 4, 19 },      { "6", false, 0, 0 },    { "", false, 0, 0 },
        { "x.1", false, 0, 0 },          { "6.x", false, 0, 0 },  { "99999.1", false, 0, 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned major = 0, minor = 0;
        assert_int_equal(kernel_release_parse(cases[i].text, &major, &minor), cases[i].is_one);
        assert_int_equal(major, cases[i].major);
        assert_int_equal(minor, cases[i].minor);
    }
}

/* What the kernel says when it is asked agrees with what its version promises. */
static void this_kernel_is_known(void **state)
{
    struct kernel_features features;

    kernel_features_find(-1, &features);
    assert_true(features.major > 0);
    assert_true(features.release[0] != '\0');
    assert_int_equal(features.resend,
                     features.major > 6 || (features.major == 6 && features.minor >= 9));
    if (features.major > 6 || (features.major == 6 && features.minor >= 5))
        assert_true(features.mount_beneath);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_read),
        cmocka_unit_test(this_kernel_is_known),
    };

    return cmocka_run_group_tests_name("kernel_features", tests, NULL, NULL);
}
