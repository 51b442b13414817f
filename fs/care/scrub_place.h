/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct buf;

/*
 * scrub_place - where a pass over a cache is, as one line with a checksum. Plain data.
 *
 * A pass goes over the contents, then over the tree images; each by the first byte of the name, and
 * in the order of names.
 */
struct scrub_place {
    bool in_pass;
    uint32_t folder;    /* 0 .. 255: contents; 256 .. 511: tree images */
    struct digest name; /* the last one that was done in it; zeros: none */
    int64_t started_at_s, ended_at_s;
    uint64_t passes, objects, bytes, wrong;
};
#define SCRUB_FOLDERS 512

void scrub_place_write(const struct scrub_place *place, struct buf *out);
/* -EBADMSG: it is no such line, or a damaged one. */
int scrub_place_read(struct span text, struct scrub_place *out);
