/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/span.h"

/*
 * wildcard - whether a pattern matches a whole text, with the rules of gitignore(5).
 *
 *   ?        one byte but '/'
 *   *        any bytes but '/'
 *   [abc]    one byte of a set, never '/': ranges a-z, classes [:alpha:], ! or ^ first: all others
 *   **       as a whole component: any number of components; elsewhere like *
 *   \c       the byte c
 *
 * What is no valid pattern (an open bracket, a backslash at the end) matches nothing.
 * Bytes, no locale. Time is bounded by pattern size times text size for a pattern
 * without `**`, and by that for each of its `**` otherwise.
 */
bool wildcard_matches(struct span pattern, struct span text);
