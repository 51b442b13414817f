/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/names.h"

/*
 * name_search - looks for a name among sorted ones that are far away, in few looks.
 *
 *     while (name_search_next(&search, &place))
 *         if (name_search_tell(&search, the name at place)) it is there
 *
 * An interpolation search (Perl, Itai, Avni 1978): names are often numbers or digests, and the
 * letters of a name then tell where among the others it stands. Every third look halves, so that
 * no names make it longer than three halvings each. Plain memory.
 */
struct name_search {
    struct span name;       /* the caller's, as long as the search */
    uint64_t first, last;   /* it is in [first, last) if anywhere */
    bool has_low, has_high; /* the names around are known: */
    uint16_t low_size, high_size;
    uint8_t low[COMPONENT_MAX_SIZE], high[COMPONENT_MAX_SIZE];
    uint64_t place; /* where it looked last */
    unsigned looks;
};

/* Among the names at [first, last). */
struct name_search name_search_init(struct span name, uint64_t first, uint64_t last);
/* False: it is not there. */
bool name_search_next(struct name_search *search, uint64_t *out_place);
/* The name that stands there, of at most COMPONENT_MAX_SIZE bytes: whether it is the one. */
bool name_search_tell(struct name_search *search, struct span there);
