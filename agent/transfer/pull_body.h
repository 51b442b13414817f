/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct directory;
struct error;
struct hash_behind;

/*
 * pull_body - the bytes of a blob, or of the delta that makes it, on their way into a file of the
 * stage: written as they come, hashed meanwhile, gone on with when an earlier pull left some.
 *
 * Large blobs are hashed on a thread (hash_behind.h). A delta is not hashed: what it makes is. Loop
 * thread.
 */
struct pull_body {
    struct directory *stage;
    const char *name;                                             /* of the file */
    uint64_t size;                                                /* of the blob */
    uint64_t offset;                                              /* bytes there are */
    int fd;                                                       /* -1: closed */
    enum { PULL_BODY_NEW, PULL_BODY_BLOB, PULL_BODY_DELTA } kind; /* by its first bytes */
    struct digest_stream digest;
    struct hash_behind *hash; /* instead; or NULL */
};

/* Opens what there is of a blob, if there is anything (offset > 0 then; at least a byte of the blob
 * is left to ask for), else an empty file. go_on false: an empty one in any case. */
int pull_body_open(struct pull_body *body, struct directory *stage, const char *name, uint64_t size,
                   bool go_on, const atomic_bool *stop, struct error *err);
/* Begins again at the front of the file, or, once it is closed, only of the count. */
void pull_body_rewind(struct pull_body *body);
/* Closes, the file stays. Fine twice, and of a zeroed one with fd -1. */
void pull_body_close(struct pull_body *body);

/* -EBADMSG: more than the blob has, *out_disk_failed false; else the disk failed. */
int pull_body_add(struct pull_body *body, struct span bytes, bool *out_disk_failed,
                  struct error *err);

/* 0 when the blob is there and has this digest; -EBADMSG. Waits for what is not hashed yet. */
int pull_body_check(struct pull_body *body, const struct digest *sha256, struct error *err);
