/* SPDX-License-Identifier: MIT */
#include "server/http/range.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/support/unit.h"

struct range_case {
    const char *header;
    uint64_t total;
    struct range expected;
};

static const struct range_case cases[] = {
    { NULL, 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=0-0", 10, { RANGE_PART, 0, 1 } },
    { "bytes=0-", 10, { RANGE_PART, 0, 10 } },
    { "bytes=9-", 10, { RANGE_PART, 9, 1 } },
    { "bytes=2-5", 10, { RANGE_PART, 2, 4 } },
    { "bytes=2-99999", 10, { RANGE_PART, 2, 8 } },
    { "BYTES=2-5", 10, { RANGE_PART, 2, 4 } },
    { "bytes= 2-5 ", 10, { RANGE_PART, 2, 4 } },
    { "bytes=-1", 10, { RANGE_PART, 9, 1 } },
    { "bytes=-10", 10, { RANGE_PART, 0, 10 } },
    { "bytes=-11", 10, { RANGE_PART, 0, 10 } },
    { "bytes=-99999999999999999999999", 10, { RANGE_PART, 0, 10 } },
    { "bytes=0-99999999999999999999999", 10, { RANGE_PART, 0, 10 } },
    { "bytes=007-8", 10, { RANGE_PART, 7, 2 } },
    /* nothing to give */
    { "bytes=10-", 10, { RANGE_UNSATISFIABLE, 0, 0 } },
    { "bytes=10-12", 10, { RANGE_UNSATISFIABLE, 0, 0 } },
    { "bytes=99999999999999999999999-", 10, { RANGE_UNSATISFIABLE, 0, 0 } },
    { "bytes=-0", 10, { RANGE_UNSATISFIABLE, 0, 0 } },
    { "bytes=0-", 0, { RANGE_UNSATISFIABLE, 0, 0 } },
    { "bytes=-5", 0, { RANGE_UNSATISFIABLE, 0, 0 } },
    /* not a single range of bytes: as if it were not there */
    { "bytes=0-1,3-4", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=5-2", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=-", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=5", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=a-b", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=1-b", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=+1-2", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=1--2", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=--2", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes 1-2", 10, { RANGE_WHOLE, 0, 10 } },
    { "items=1-2", 10, { RANGE_WHOLE, 0, 10 } },
    { "bytes=1-2-3", 10, { RANGE_WHOLE, 0, 10 } },
    { "", 10, { RANGE_WHOLE, 0, 10 } },
    { "=", 10, { RANGE_WHOLE, 0, 10 } },
};

static void single_ranges(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct range got = range_parse(cases[i].header, cases[i].total);
        const struct range *want = &cases[i].expected;

        if (got.kind != want->kind || got.offset != want->offset || got.size != want->size)
            fail_msg("%s of %" PRIu64 ": kind %d offset %" PRIu64 " size %" PRIu64,
                     cases[i].header == NULL ? "(none)" : cases[i].header, cases[i].total, got.kind,
                     got.offset, got.size);
    }
}

static void largest_content(void **state)
{
    const struct range all = range_parse("bytes=0-", UINT64_MAX);
    const struct range last = range_parse("bytes=18446744073709551614-", UINT64_MAX);

    assert_int_equal(all.kind, RANGE_PART);
    assert_true(all.size == UINT64_MAX);
    assert_int_equal(last.kind, RANGE_PART);
    assert_true(last.offset == UINT64_MAX - 1 && last.size == 1);
}

static void conditions(void **state)
{
    assert_true(range_condition(NULL, "\"a\""));
    assert_true(range_condition("\"a\"", "\"a\""));
    assert_true(range_condition(" \"a\" ", "\"a\""));
    assert_false(range_condition("\"b\"", "\"a\""));
    assert_false(range_condition("W/\"a\"", "\"a\""));
    assert_false(range_condition("Sat, 29 Oct 1994 19:43:31 GMT", "\"a\""));
    assert_false(range_condition("", "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_ranges),
        cmocka_unit_test(largest_content),
        cmocka_unit_test(conditions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
