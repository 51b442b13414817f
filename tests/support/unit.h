/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * unit - what every unit test includes: cmocka with the headers it wants first,
 * and the loop over failing allocations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/memory.h"

/*
 * Runs `expression` (an int: 0 or a negative errno) with the 1st, 2nd, ... nth
 * allocation failing until it passes with none failed: a failed allocation must
 * give -ENOMEM, the last run 0. Not for code that allocates on other threads.
 */
#define assert_survives_no_memory(expression) \
    do {                                      \
        for (int64_t n_ = 0;; n_++) {         \
            int r_;                           \
            bool failed_;                     \
            memory_fail_after(n_);            \
            r_ = (expression);                \
            failed_ = memory_failed();        \
            memory_fail_after(-1);            \
            if (!failed_) {                   \
                assert_int_equal(r_, 0);      \
                break;                        \
            }                                 \
            assert_int_equal(r_, -ENOMEM);    \
        }                                     \
    } while (0)
