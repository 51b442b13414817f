/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/* listing_count - how much a listing in memory names. Checks every rule on the way: -EBADMSG. */
struct listing_count {
    uint64_t entries, files, links, bytes;
};

int listing_count(struct span listing, struct listing_count *out, struct error *err);
