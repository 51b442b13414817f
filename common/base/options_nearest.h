/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * options_nearest - what was meant by a mistyped word: the name that is closest to it, when few
 * letters differ (wrong, missing, one too many, two swapped) or when it begins with the word.
 */
struct options_nearest {
    const char *word;
    size_t size;
    const char *name; /* of name_size bytes; NULL: none is close */
    size_t name_size;
    size_t distance; /* its; smaller is closer */
};

struct options_nearest options_nearest_to(const char *word, size_t size);
/* A name that it could be. The first of several that are equally close stays. */
void options_nearest_offer(struct options_nearest *nearest, const char *name, size_t size);
