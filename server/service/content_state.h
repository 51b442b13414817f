/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"
#include "server/db/blobs.h"
#include "server/service/content.h"
#include "server/service/scratch.h"

/* content_state - the inside of struct content, for those who open one (content_blob.c,
 * content_tree.c, content_chunks.c, content_delta.c). */
#define CONTENT_ETAG_SIZE (DIGEST_HEX_SIZE + 16)

struct content {
    struct services *services;
    /* The bytes are in one of these. */
    struct object *object;
    struct buf frame;
    struct scratch scratch;
    int fd; /* or -1 */
    uint64_t size;
    bool has_blob; /* `blob` is reported when reading fails */
    struct blob blob;
    char etag[CONTENT_ETAG_SIZE]; /* empty: none */
};

struct identity;
struct refusal;
struct tree_image;
struct version_fact;

/* The version and its tree, for one who may pull it. *out_image is the caller's reference. */
int content_open_version(struct services *services, const struct identity *identity,
                         const char *project, const char *app, const char *reference,
                         struct version_fact *out_version, struct tree_image **out_image,
                         struct refusal *why, struct error *err);

/* Is it a file of the version, its listing or its times? The tree image answers, not the
 * database. */
bool content_is_member(const struct version_fact *version, const struct tree_image *image,
                       const struct digest *sha256);

/* A member's bytes. */
int content_open_member(struct services *services, const struct version_fact *version,
                        const struct digest *sha256, struct content **out, struct refusal *why,
                        struct error *err);

/* Takes the reference of `object` (which may be NULL), also on failure. ETag:
 * "<digest><suffix>"; none when `named` is NULL. */
int content_new(struct services *services, struct object *object, const struct digest *named,
                const char *suffix, struct content **out, struct error *err);

/* The same of bytes in memory, which are taken out of *frame. */
int content_new_frame(struct services *services, struct buf *frame, const struct digest *named,
                      const char *suffix, struct content **out, struct error *err);

/* The same of bytes in a scratch, which is taken. */
int content_new_scratch(struct services *services, struct scratch *scratch,
                        const struct digest *named, const char *suffix, struct content **out,
                        struct error *err);

/* The same of the first `size` bytes of a file that nobody changes, without an ETag; takes *fd,
 * also on failure. */
int content_new_file(struct services *services, int *fd, uint64_t size, struct content **out,
                     struct error *err);

/* The merkle object of a blob: made from its bytes when they are one piece, else kept, and made
 * again when the store has lost it. */
int content_of_merkle(struct services *services, const struct blob *blob, struct content **out,
                      struct refusal *why, struct error *err);
