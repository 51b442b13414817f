/* SPDX-License-Identifier: MIT */
#include "agent/cli/progress.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static void modes(void **state)
{
    enum progress_mode mode = PROGRESS_NONE;

    assert_int_equal(progress_parse("plain", &mode, NULL), 0);
    assert_int_equal(mode, PROGRESS_PLAIN);
    assert_int_equal(progress_parse("bar", &mode, NULL), -EINVAL);
    assert_int_equal(mode, PROGRESS_PLAIN);
}

static void a_line_tells_share_rate_and_rest(void **state)
{
    cleanup(buf_release) struct buf line = buf_init(4096);
    struct progress_sample sample = { "sending", 5, 10, 50 << 20, 100 << 20 };

    progress_format(&sample, 5000, 100, &line);
    assert_string_equal(buf_text(&line), "sending [###############...............] 5/10 files "
                                         "50.0 MiB/100.0 MiB 10.0 MiB/s ETA 0:05");
}

static void assert_line(struct progress_sample sample, const char *expected)
{
    cleanup(buf_release) struct buf line = buf_init(4096);

    progress_format(&sample, 5000, 30, &line);
    assert_string_equal(buf_text(&line), expected);
}

static void a_line_without_a_rate(void **state)
{
    assert_line((struct progress_sample){ "x", 0, 0, 0, 1024 }, "x [............] 0 B/1.00 KiB");
    assert_line((struct progress_sample){ "x", 0, 0, 3, 0 }, "x 3 B");
    assert_line((struct progress_sample){ "x", 0, 0, 5, 0 }, "x 5 B 1 B/s");
}

static void one_is_a_file(void **state)
{
    assert_line((struct progress_sample){ "x", 1, 0, 0, 0 }, "x 1 file");
    assert_line((struct progress_sample){ "x", 2, 0, 0, 0 }, "x 2 files");
    assert_line((struct progress_sample){ "x", 0, 1, 0, 0 }, "x [................] 0/1 file");
    assert_line((struct progress_sample){ "x", 1, 2, 0, 0 }, "x [#######........] 1/2 files");
}

static void a_line_fits_the_terminal(void **state)
{
    struct progress_sample sample = { "sending", UINT64_MAX, UINT64_MAX, UINT64_MAX / 2000,
                                      UINT64_MAX };

    for (int columns = 1; columns < 120; columns++) {
        cleanup(buf_release) struct buf line = buf_init(4096);
        progress_format(&sample, 1, columns, &line);
        assert_true(line.size <= (size_t)columns);
        assert_int_equal(buf_check(&line, NULL), 0);
    }
}

static void sample_nothing(void *context, struct progress_sample *out)
{
    *out = (struct progress_sample){ .label = "x" };
}

static void nothing_is_shown_where_nobody_looks(void **state)
{
    struct progress *progress = (struct progress *)(uintptr_t)8;

    assert_int_equal(progress_start(PROGRESS_NONE, sample_nothing, NULL, &progress, NULL), 0);
    assert_null(progress);
    assert_int_equal(progress_start(PROGRESS_PLAIN, sample_nothing, NULL, &progress, NULL), 0);
    assert_non_null(progress);
    assert_null(progress_stop(progress));
    assert_null(progress_stop(NULL));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(a_line_tells_share_rate_and_rest),
        cmocka_unit_test(a_line_without_a_rate),
        cmocka_unit_test(one_is_a_file),
        cmocka_unit_test(a_line_fits_the_terminal),
        cmocka_unit_test(nothing_is_shown_where_nobody_looks),
    };

    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
