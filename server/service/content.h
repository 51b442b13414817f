/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/service/access.h"

/*
 * content - the bytes of a version, ready to be sent: a blob, a file by its path,
 * the tree image, its names part, merkle objects, chunk lists, deltas.
 *
 * An open content has a size, a strong ETag (but for deltas) and a source: a descriptor (local
 * store: sendfile), or only content_read(). It stays readable until it is closed,
 * whatever happens to the version. `reference` as in versions.h.
 *
 * Opening touches no database when the facts are warm; the *_cached form then
 * does not block either. The size on disk is compared at open (-EIO, REFUSAL_STORAGE when it
 * differs or the object is gone; the blob is marked for healing).
 * A content belongs to one thread at a time.
 */
struct content;

int content_open_blob(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      const struct digest *sha256, struct content **out, struct refusal *why,
                      struct error *err);
/* The merkle object of a blob: -ENOENT REFUSAL_NO_MERKLE up to 4096 bytes. ETag: the verity
 * digest. */
int content_open_blob_merkle(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err);
/* The chunk list of a blob: -ENOENT REFUSAL_NO_CHUNKS below 64 KiB and above 64 GiB. ETag: the
 * sha256 with "-chunks" behind it. The first who asks for one waits until it is made. */
int content_open_blob_chunks(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err);
/* A delta that makes the blob out of `base`, or *out = NULL: the blob is to be given whole. That is
 * so when the identity may not pull `base` (there is nothing that tells it from one that does not
 * exist), when a delta would be no smaller than the blob in zstd, and when one of them is too large
 * to make it while somebody waits. When too many are being made *out is NULL and the result
 * CONTENT_DELTA_LATER: it may be had by who asks again. Failures are those of the blob alone. */
#define CONTENT_DELTA_LATER 1
int content_open_delta(struct services *services, const struct identity *identity,
                       const char *project, const char *app, const char *reference,
                       const struct digest *sha256, const struct digest *base, struct content **out,
                       struct refusal *why, struct error *err);
/* path: decoded bytes, components joined by '/'. Directories and links are -ENOENT. ETag: the
 * sha256. */
int content_open_file(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference, struct span path,
                      struct content **out, struct refusal *why, struct error *err);
int content_open_tree(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      struct content **out, struct refusal *why, struct error *err);
int content_open_tree_merkle(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             struct content **out, struct refusal *why, struct error *err);
/* One zstd frame of the names part. ETag: the tree's with "-names" behind it. */
int content_open_tree_names(struct services *services, const struct identity *identity,
                            const char *project, const char *app, const char *reference,
                            struct content **out, struct refusal *why, struct error *err);

/* Never block; -EAGAIN: not warm, ask the blocking form on a worker. */
int content_open_blob_cached(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err);
int content_open_file_cached(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             struct span path, struct content **out, struct refusal *why,
                             struct error *err);

uint64_t content_size(const struct content *content);
/* With its quotes. NULL: ranges of it are of no use to anybody: a delta, which may be made anew
 * with other bytes. */
const char *content_etag(const struct content *content);

/* A descriptor of the caller's own (a duplicate) and the offset in it where the content's byte 0
 * is; -1: there is none, use content_read(). For sendfile and pread: its file position is shared,
 * never use it. */
int content_descriptor(const struct content *content, uint64_t *out_base);

/* When the whole content is in memory: its bytes, living as long as the content; else an empty
 * span. */
struct span content_bytes(const struct content *content);

/* The whole range or an error. Blocks. -EIO marks the blob for healing. */
int content_read(struct content *content, uint64_t offset, void *out, size_t size,
                 struct error *err);

struct content *content_close(struct content *content); /* NULL is fine; returns NULL */
