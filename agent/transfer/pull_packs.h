/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/transfer/pull_fetch.h"

/*
 * pull_packs - the small ones of the blobs that a pull wants, many in a request.
 *
 * Each is written under its digest's name in the staging directory once its bytes are checked, and
 * marked as here. What did not come (the server left it out, it was damaged on the way) is left to
 * pull_fetch(), which asks for it alone and tells why. Answers are unpacked and written on threads
 * while others arrive. Memory: two answers a lane at most, of 2 MiB and some.
 */
#define PULL_PACKS_BLOB_MAX ((uint64_t)256 << 10)
#define PULL_PACKS_LANES 4

/* Runs the loop. */
int pull_packs(const struct pull_fetch_options *options, struct error *err);
