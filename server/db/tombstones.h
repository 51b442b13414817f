/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/blobs.h"

/*
 * tombstones - storage keys whose row is gone and whose object has to go.
 *
 * Written in the transaction that drops the row. Whoever works on them removes
 * the object (and those beside it, under KEY.m, KEY.c and KEY.n), then the tombstone;
 * a failure is counted and tried again later.
 */
struct tombstone {
    char key[BLOB_STORAGE_KEY_SIZE];
    uint64_t tries;
};

/* The oldest of those least tried. memory_free() the items. */
int tombstone_list(struct database *database, size_t limit, struct tombstone **out_items,
                   size_t *out_count, struct error *err);
/* 1: the key has one; 0: it has none. */
int tombstone_has(struct database *database, const char *key, struct error *err);
int tombstone_done(struct database *database, const char *key, struct error *err);
int tombstone_failed(struct database *database, const char *key, const char *reason,
                     struct error *err);
