/* SPDX-License-Identifier: MIT */
#include "common/codec/metric_text.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void one_value(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    metric_number(&out, "counter", "a_total", "What it is.", UINT64_MAX);
    assert_string_equal(buf_text(&out), "# HELP a_total What it is.\n# TYPE a_total counter\n"
                                        "a_total 18446744073709551615\n");
}

static void labels_are_escaped(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    metric_label(&out, "a\"b\\c\nd");
    assert_string_equal(buf_text(&out), "\"a\\\"b\\\\c\\nd\"");
    buf_clear(&out);
    metric_build_info(&out, "b_info", "1.0");
    assert_string_equal(buf_text(&out), "# HELP b_info The program's version.\n"
                                        "# TYPE b_info gauge\nb_info{version=\"1.0\"} 1\n");
}

static void buckets_are_cumulated(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct metric_histogram histogram = { 0 };
    const char *text;

    metric_histogram_add(&histogram, 500);
    metric_histogram_add(&histogram, 501);
    metric_histogram_add(&histogram, 60000000);
    metric_histogram_write(&out, "t", "", &histogram);
    text = buf_text(&out);
    assert_non_null(strstr(text, "t_bucket{le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "t_bucket{le=\"0.001\"} 2\n"));
    assert_non_null(strstr(text, "t_bucket{le=\"30\"} 2\n"));
    assert_non_null(strstr(text, "t_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "t_sum 60.001001\n"));
    assert_non_null(strstr(text, "t_count 3\n"));
    buf_clear(&out);
    metric_histogram_write(&out, "t", "a=\"b\"", &histogram);
    text = buf_text(&out);
    assert_non_null(strstr(text, "t_bucket{a=\"b\",le=\"30\"} 2\n"));
    assert_non_null(strstr(text, "t_sum{a=\"b\"} 60.001001\n"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(buckets_are_cumulated),
    };

    return cmocka_run_group_tests_name("metric_text", tests, NULL, NULL);
}
