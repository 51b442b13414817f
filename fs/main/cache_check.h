/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;

/*
 * cache_check - a cache directory hashed again without a mount: everything that is complete in it,
 * or what of one version is.
 *
 * What is wrong is set aside (blob_check.h): the next who wants it has it fetched. Partial objects
 * are not looked at without a version: each of their pieces is checked when it is read.
 */
struct cache_check {
    uint64_t objects, bytes; /* hashed */
    uint64_t wrong;
};

/* Called for each that is wrong: "P/A/V/PATH", or its name in the cache. */
typedef void cache_check_wrong(void *context, const char *what);

/* version: "P/A/V" or NULL. The process stands in the cache afterwards, and root has become its
 * owner (worker_user_enter_cache()). -ENOENT: nothing is known of it there, or it was never
 * whole. */
int cache_check_run(const char *directory, const char *version, cache_check_wrong *wrong,
                    void *context, struct cache_check *out, struct error *err);
