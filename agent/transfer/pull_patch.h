/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct directory;
struct error;
struct pull_blob;
struct transfer;

/*
 * pull_patch - a blob made of a file of DEST and a delta that lies in the staging directory.
 *
 * It works as long as the blob is large, so it belongs on a thread. The result counts
 * once its SHA-256 is the blob's. Memory: 2 MiB, with patches three times PULL_PATCH_MAX
 * at most.
 */
#define PULL_PATCH_MAX ((uint64_t)32 << 20)

struct pull_patch {
    struct transfer *transfer;
    struct directory *dest, *stage;
    const struct pull_blob *blob; /* its base is known */
    const char *delta, *made;     /* in stage; `made` is written, and removed after a failure */
};

/* Of a base that was changed, `made` stays, of the blob's size, and is wrong in places. */
#define PULL_PATCH_CHANGED 1

/* 0, PULL_PATCH_CHANGED, or an error. *out_disk_failed: what failed is the writing, and coming
 * whole would not help. After other failures (-EBADMSG, -EFBIG, -ESTALE: DEST's file is another by
 * now, what reading gives) it may come whole; but not after -ECANCELED and -ENOMEM. */
int pull_patch_apply(const struct pull_patch *patch, bool *out_disk_failed, struct error *err);
