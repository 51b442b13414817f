/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

/*
 * likeness - which of several files another one is probably a version of, by their paths.
 *
 * Last names are alike when they are equal but for the numbers in them: `app-1.9.jar` and
 * `app-1.10.jar`, `main.8d2f1c.js` and `main.07ab3e.js`. A number is a run of hexadecimal digits
 * (a-f, no capitals) with at least one of 0-9 among them, and with single dots before digits.
 */
#define LIKENESS_SAME_NAME 0x80000000u

/* Equal for those whose last names are alike, and hardly ever for others. */
uint64_t likeness_name(struct span path);

/* Of two whose last names are alike: the more directories they share, at the end (which count
 * twice) and at the front, the higher; with LIKENESS_SAME_NAME when the last names are equal. */
uint32_t likeness_of(struct span a, struct span b);
