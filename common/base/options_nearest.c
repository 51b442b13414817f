/* SPDX-License-Identifier: MIT */
#include "common/base/options_nearest.h"

#include <string.h>

#define SIZE_MOST 40   /* of a word and of a name */
#define PREFIX_LEAST 3 /* letters that say what is meant */
#define SHORT_MOST 4   /* up to here one letter may differ, above two */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters that are to be changed, added, left out, or swapped with the next. */
static size_t distance_of(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][SIZE_MOST + 1] = { { 0 } };
    size_t *before = rows[0], *above = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *old = before;
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = old;
    }
    return above[b_size];
}

struct options_nearest options_nearest_to(const char *word, size_t size)
{
    return (struct options_nearest){ .word = word,
                                     .size = size,
                                     .distance = size <= SHORT_MOST ? 2 : 3 };
}

void options_nearest_offer(struct options_nearest *nearest, const char *name, size_t size)
{
    size_t distance;

    if (nearest->size < 2 || nearest->size > SIZE_MOST || size > SIZE_MOST)
        return;
    distance = distance_of(nearest->word, nearest->size, name, size);
    if (distance > 1 && nearest->size >= PREFIX_LEAST && size > nearest->size &&
        memcmp(nearest->word, name, nearest->size) == 0)
        distance = 1;
    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    nearest->name = name;
    nearest->name_size = size;
}
