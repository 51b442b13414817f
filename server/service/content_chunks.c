/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/blob_chunks.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/gate.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

/* How long somebody may wait for a list that others are at. */
#define WAIT_MS 10000

/* A list may take as long as reading its blob: as few at a time as deltas. */
static int open_chunks(struct services *services, const struct blob *blob, struct blob_chunks *out,
                       struct refusal *why, struct error *err)
{
    const struct span name = span_of(blob->sha256.bytes, DIGEST_SIZE);
    enum gate_turn turn;
    int r = blob_chunks_find(services, blob, out, NULL);

    if (r == 0)
        return 0;
    turn = gate_enter(services->gate, name, WAIT_MS);
    if (turn == GATE_FULL)
        return error_set(err, -EAGAIN, "too many chunk lists are being made");
    r = blob_chunks_open(services, blob, out, why, err);
    if (turn == GATE_MINE)
        gate_leave(services->gate, name);
    return r;
}

int content_open_blob_chunks(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    cleanup(blob_chunks_release) struct blob_chunks chunks = { .object = NULL };
    struct version_fact version;
    struct blob blob;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "no such blob in this version"));
    r = blob_fact_get(services, version.id, sha256, &blob, why, err);
    if (r < 0)
        return r;
    if (!blob_chunks_possible(&blob))
        return refusal_set(why, REFUSAL_NO_CHUNKS,
                           error_set(err, -ENOENT,
                                     "blobs from 64 KiB to 64 GiB have a chunk list"));
    r = open_chunks(services, &blob, &chunks, why, err);
    if (r < 0)
        return r;
    if (chunks.object != NULL)
        return content_new(services, take_pointer(&chunks.object), sha256, "-chunks", out, err);
    return content_new_scratch(services, &chunks.scratch, sha256, "-chunks", out, err);
}
