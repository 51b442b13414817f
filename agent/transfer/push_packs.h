/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "agent/transfer/push_send.h"

/*
 * push_packs - the small ones of a push's missing blobs, many in a request.
 *
 * Packs are made on threads while others are on their way; files are read whole, and examined
 * before and after. What the server took is cleared from the bitmap: what it could not take
 * (another request of ours is at it, it came damaged, it is a server that knows no packs) stays for
 * push_send(), which sends it alone and tells why. Memory: a few MiB a pack, PUSH_PACKS_LANES packs
 * at most.
 */
#define PUSH_PACKS_FILE_MAX ((uint64_t)256 << 10) /* larger ones are sent alone */
#define PUSH_PACKS_LANES 4

/* options->missing is the same bitmap as `missing`. 0, PUSH_SEND_CHANGED with *out_path, or an
 * error. Runs the loop. */
int push_packs(const struct push_send_options *options, uint8_t *missing, const char **out_path,
               struct error *err);
