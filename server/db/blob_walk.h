/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/blobs.h"
#include "server/db/versions.h"

/* blob_walk - all rows of blobs one after the other, and what is broken among them: for fsck. */

/* Rows whose object is said to be there or to have been there (all but `uploading`), by id from
 * behind `after`; *out_count < limit: the last ones. out_items: room for `limit`. */
int blob_walk(struct database *database, int64_t after, size_t limit, struct blob *out_items,
              size_t *out_count, struct error *err);

/* The object of a missing or corrupt row was found to be right: live again. 0 also when the row is
 * another by now. */
int blob_recovered(struct database *database, int64_t id, const char *key, struct error *err);

struct broken_version {
    int64_t id;
    char project[NAME_SIZE], app[NAME_SIZE], version[VERSION_NAME_SIZE];
    uint64_t blob_count; /* broken ones of it */
};

/* Versions that have a missing or corrupt blob, at most `limit`; memory_free() them. */
int broken_version_list(struct database *database, size_t limit, struct broken_version **out_items,
                        size_t *out_count, struct error *err);

/* Versions that have this blob, whatever is said of it: of each, blob_count is 1. As above. */
int blob_version_list(struct database *database, int64_t blob_id, size_t limit,
                      struct broken_version **out_items, size_t *out_count, struct error *err);
