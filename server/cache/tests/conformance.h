/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/cache/cache.h"
#include "tests/support/unit.h"

/*
 * conformance - what every cache does, whatever its backend. The backend's test
 * gives a fresh cache with room for at least 100 KiB, whose clock is
 * conformance_wait()'s.
 */
struct cache *conformance_open(void);
void conformance_close(struct cache *cache);
void conformance_wait(uint32_t ms);

/* These cases and the backend's own, as one group; the number of failures. */
#define CONFORMANCE_OWN_MAX 16
int conformance_run(const char *name, const struct CMUnitTest *own, size_t own_count);

/* Whether `key` gives exactly `value`; NULL: nothing. */
void conformance_expect(struct cache *cache, const char *key, const char *value);
