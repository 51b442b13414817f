/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "common/client/blob_cache.h"
#include "common/client/tests/sample.h"

/* cache_files - what the tests of a cache share: two blobs, the files that hold them, and what
 * happens to files. */
extern struct sample *small, *large; /* of one piece and of seven; there for the group */

int cache_samples_new(void **state);
int cache_samples_free(void **state);

/* quota 0: none. Four descriptors. */
struct blob_cache *cache_open(const char *folder, uint64_t quota);
/* A cache that has the sample whole, on disk. */
struct blob_cache *cache_filled(const char *folder, const struct sample *sample);
struct blob_cache_stats cache_stats(struct blob_cache *cache);
/* All of its bytes are read, and right. */
void assert_whole(struct blob_entry *entry, const struct sample *sample);

/* Where a file of that name is: in "obj", "idx", "part", "mk" or "bad", with ".m" or "t" behind.
 * Until the next call. */
const char *cache_file(const char *folder, const char *below, const struct digest *name,
                       const char *behind);
/* Changes a bit of the byte there, whatever the mode, which stays. */
void file_flip(const char *path, off_t offset);
