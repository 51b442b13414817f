/* SPDX-License-Identifier: MIT */
#include "agent/transfer/name_fold.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static int fold(const char *name, unsigned what, struct buf *out)
{
    buf_release(out);
    name_fold(span_text(name), what, out);
    return buf_check(out, NULL);
}

static bool are_one(const char *a, const char *b, unsigned what)
{
    cleanup(buf_release) struct buf left = buf_init(4096), right = buf_init(4096);

    assert_int_equal(fold(a, what, &left), 0);
    assert_int_equal(fold(b, what, &right), 0);
    return span_equal(buf_span(&left), buf_span(&right));
}

static void each_pair(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned least; /* what makes them one; 0: nothing does */
    } cases[] = {
        { "README", "readme", NAME_FOLD_CASE },
        { "a", "b", 0 },
        { "", "a", 0 },
        { "\xc3\x89", "\xc3\xa9", NAME_FOLD_CASE },          /* E acute */
        { "caf\xc3\xa9", "cafe\xcc\x81", NAME_FOLD_NORMAL }, /* in one and in two */
        { "CAF\xc3\x89", "cafe\xcc\x81", NAME_FOLD_CASE | NAME_FOLD_NORMAL },
        { "caf\xc3\xa9", "cafe", 0 },
        { "\xce\xa9", "\xcf\x89", NAME_FOLD_CASE }, /* omega */
        { "\xcd\xbe", ";", NAME_FOLD_NORMAL },      /* Greek question mark */
        { "\xe2\x84\xaa", "k", NAME_FOLD_CASE },    /* Kelvin */
        { "\xd0\x99", "\xd0\xb8\xcc\x86", NAME_FOLD_CASE | NAME_FOLD_NORMAL },        /* short I */
        { "\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", NAME_FOLD_NORMAL }, /* gag */
        { "\xe1\xbb\x87", "e\xcc\xa3\xcc\x82", NAME_FOLD_NORMAL },  /* parts of parts */
        { "\xf0\x90\x90\x80", "\xf0\x90\x90\xa8", NAME_FOLD_CASE }, /* Deseret */
        { "\xff", "\xfe", 0 },
        { "\xc3", "\xc3\xa9", 0 },
        { "stra\xc3\x9f"
          "e",
          "strasse", 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned what = 0; what < 4; what++) {
            bool expected = cases[i].least != 0 && (what & cases[i].least) == cases[i].least;
            bool found = are_one(cases[i].a, cases[i].b, what);
            if (found != expected)
                fail_msg("%s and %s with %u: %d", cases[i].a, cases[i].b, what, found);
        }
        assert_true(are_one(cases[i].a, cases[i].a, 3));
    }
}

static void no_memory(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(4096);

    assert_survives_no_memory(fold("Caf\xc3\xa9", 3, &out));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("name_fold", tests, NULL, NULL);
}
