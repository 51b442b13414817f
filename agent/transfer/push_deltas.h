/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "agent/transfer/push_send.h"

struct directory;
struct push_looks;

/*
 * push_deltas - the large ones of a push's missing blobs, each as a delta from what the
 * app's latest version has at the same path. Where that is what was last pushed from here,
 * its listing is at hand, and a file of the same name elsewhere will do too.
 *
 * What is known of the base is its chunk list, or its merkle tree when the sizes are
 * equal, as they are after changes in place: from the hint cache when it went this way
 * from here before, else the server's, of which only the parts that differ travel. Both
 * are made of a file when it goes as a delta, not whenever one is hashed: that would more
 * than double the hashing of a first push, to save a later one a few KiB. Of a file that
 * went this way before they are made beside the hashing (push_looks.h).
 *
 * A file is examined before and after. What the server took is cleared from the bitmap.
 * What has no base, little in common with it, a delta that is too large or is refused,
 * stays for push_send(), which sends it whole. Memory: a lane's lists and delta,
 * PUSH_DELTAS_LANES of them at most.
 */
#define PUSH_DELTAS_LANES 2
#define PUSH_DELTAS_MAX ((uint64_t)64 << 20) /* of a delta; the server's part size bounds it too */

struct push_deltas_options {
    const struct push_send_options *send; /* its bitmap is the same as `missing` */
    uint64_t delta_max;
    struct directory *cache;  /* for hints; or NULL */
    struct push_looks *looks; /* what was looked at already; or NULL */
};

/* 0, PUSH_SEND_CHANGED with *out_path, or an error. Runs the loop. */
int push_deltas(const struct push_deltas_options *options, uint8_t *missing, const char **out_path,
                struct error *err);
