/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/storage/blob_store.h"
#include "tests/support/unit.h"

/*
 * conformance - what every blob store does, whatever its backend.
 *
 * A backend's test provides conformance_open() (a fresh, empty store; *state is
 * its own) and conformance_close(), and calls conformance_run().
 */
#define CONFORMANCE_ID "12345678-1234-4123-8123-123456789abc"

struct blob_store *conformance_open(void **state);
void conformance_close(void **state, struct blob_store *store);

/* These cases and the backend's own, as one group; the number of failures. */
#define CONFORMANCE_OWN_MAX 32
int conformance_run(const char *name, const struct CMUnitTest *own, size_t own_count);

/* Writes an object of `size` bytes in pieces and commits it; byte i is (seed + i * 31) & 255. */
int conformance_put(struct blob_store *store, const char *key, unsigned seed, size_t size);
/* Reads it and compares. */
void conformance_expect(struct blob_store *store, const char *key, unsigned seed, size_t size);
