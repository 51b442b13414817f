/* SPDX-License-Identifier: MIT */
#include "fs/doctor/findings.h"

#include <errno.h>

#include "common/base/memory.h"
#include "tests/support/unit.h"

static void the_worst_counts(void **state)
{
    struct findings findings = { 0 };

    assert_int_equal(findings_worst(&findings), FINDING_OK);
    findings_add(&findings, FINDING_NOTE, "a", NULL, "%d of %s", 1, "x");
    findings_add(&findings, FINDING_PROBLEM, "b", "do it", "y");
    findings_add(&findings, FINDING_WARNING, "c", NULL, "z");
    assert_int_equal(findings_check(&findings, NULL), 0);
    assert_int_equal(findings_worst(&findings), FINDING_PROBLEM);
    assert_int_equal(findings.count, 3);
    assert_string_equal(findings.items[0].what, "1 of x");
    assert_null(findings.items[0].advice);
    assert_string_equal(findings.items[1].advice, "do it");
    assert_string_equal(finding_level_name(findings.items[1].level), "problem");
    findings_release(&findings);
}

static void texts_are_fit_for_a_line(void **state)
{
    struct findings findings = { 0 };

    findings_add(&findings, FINDING_OK, "a", "\n", "%s", "a\x1b[31m\xff\xc3\xa9");
    findings_add(&findings, FINDING_OK, "a", NULL, "%s", "b\xc3\xa9");
    assert_string_equal(findings.items[0].what, "a?[31m???");
    assert_string_equal(findings.items[0].advice, "?");
    assert_string_equal(findings.items[1].what, "b\xc3\xa9");
    findings_release(&findings);
}

static void memory_that_runs_out_is_told(void **state)
{
    for (int64_t n = 0;; n++) {
        struct findings findings = { 0 };
        memory_fail_after(n);
        for (int i = 0; i < 40; i++)
            findings_add(&findings, FINDING_OK, "a", "b", "c");
        bool failed = memory_failed();
        memory_fail_after(-1);
        assert_int_equal(findings_check(&findings, NULL), failed ? -ENOMEM : 0);
        findings_release(&findings);
        if (!failed)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_counts),
        cmocka_unit_test(texts_are_fit_for_a_line),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };

    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
