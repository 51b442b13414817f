/* SPDX-License-Identifier: MIT */
#include "server/service/push_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/entry.h"
#include "common/model/merkle.h"
#include "common/model/tree_builder.h"
#include "server/db/push_blobs.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/service/scratch.h"

/* The verity digests of what the push holds, ascending by SHA-256. */
struct known_verity {
    struct digest sha256, verity;
    bool is_used; /* by a file */
};

struct verity_table {
    struct known_verity *items;
    size_t count, limit;
};

static int note_verity(void *context, const struct blob *blob, struct error *err)
{
    struct verity_table *table = context;

    if (table->count == table->limit)
        return error_set(err, -EAGAIN, "the push is changing");
    table->items[table->count++] =
        (struct known_verity){ .sha256 = blob->sha256, .verity = blob->verity };
    return 0;
}

static int compare_known(const void *a, const void *b)
{
    const struct known_verity *left = a, *right = b;

    return digest_compare(&left->sha256, &right->sha256);
}

/* tree_verity_function */
static int find_verity(void *context, uint64_t file_index, const struct entry *entry,
                       struct digest *out_verity, struct error *err)
{
    struct verity_table *table = context;
    const struct known_verity key = { .sha256 = entry->sha256 };
    struct known_verity *found =
        bsearch(&key, table->items, table->count, sizeof(key), compare_known);

    if (found == NULL)
        return error_set(err, -EBUSY, "a blob is not there");
    found->is_used = true;
    *out_verity = found->verity;
    return 0;
}

/* A version has no edges but those of its listing. What else the push holds, and is none of its
 * documents, came as new-N, or by a listing that a server died over; it is let go. */
static int drop_strays(struct services *services, const struct push *push,
                       const struct verity_table *table, const struct digest *image,
                       struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < table->count && r == 0; i++) {
        const struct known_verity *held = &table->items[i];

        if (!held->is_used && !digest_equal(&held->sha256, &push->content) &&
            !digest_equal(&held->sha256, &push->times) && !digest_equal(&held->sha256, image))
            r = push_blob_drop(services->database, push->number, &held->sha256, err);
    }
    return r;
}

static int load_verities(struct services *services, const struct push *push, uint64_t present,
                         struct scratch *scratch, struct verity_table *out, struct error *err)
{
    int r =
        scratch_map(services->scratch_path, present * sizeof(struct known_verity), scratch, err);

    if (r < 0)
        return r;
    out->items = (struct known_verity *)(void *)scratch->bytes;
    out->limit = (size_t)present;
    out->count = 0;
    return push_present_walk(services->database, push->number, note_verity, out, err);
}

static int store_image(struct services *services, const struct identity *identity,
                       const struct push *push, struct span image, const struct digest *sha256,
                       struct digest *out_verity, struct error *err)
{
    const struct blob_scope scope = push_scope(identity);
    int r = merkle_verity_of(image, out_verity, err);

    if (r == 0)
        r = deposit_bytes(services, push->number, &scope, sha256, image, err);
    if (r == 0)
        r = push_part_set(services->database, push->number, PUSH_PART_TREE, sha256, err);
    return r;
}

/* Listing and times do not make a tree: the builder's words, as the pusher's fault. */
static int refuse(struct refusal *why, struct error *err)
{
    if (err != NULL)
        err->code = -EINVAL;
    return refusal_at(why, "", -EINVAL);
}

int push_tree_make(struct services *services, const struct identity *identity,
                   const struct push *push, struct span listing, struct span times,
                   uint64_t present, struct push_tree *out, struct refusal *why, struct error *err)
{
    cleanup(scratch_release) struct scratch known = { 0 };
    cleanup(scratch_release) struct scratch image = { 0 };
    struct verity_table table;
    struct tree_plan plan;
    struct digest sha256, tree;
    int r = tree_plan_make(listing, times, &plan, err);

    if (r == -EBADMSG || r == -EINVAL)
        return refuse(why, err);
    if (r == 0)
        r = load_verities(services, push, present, &known, &table, err);
    if (r == 0)
        r = scratch_map(services->scratch_path, plan.image_size, &image, err);
    if (r < 0)
        return push_result_of(r, why, err);
    r = tree_plan_write(&plan, listing, times, find_verity, &table, image.bytes, err);
    if (r == -EBUSY)
        return refusal_set(why, REFUSAL_MISSING_BLOBS, r);
    if (r == -EBADMSG || r == -EINVAL)
        return refuse(why, err);
    if (r == 0) {
        sha256 = digest_of(image.bytes, image.size);
        r = drop_strays(services, push, &table, &sha256, err);
    }
    scratch_release(&known);
    if (r == 0)
        r = store_image(services, identity, push, span_of(image.bytes, image.size), &sha256, &tree,
                        err);
    if (r < 0)
        return push_result_of(r, why, err);
    *out = (struct push_tree){
        .content = plan.content,
        .times = plan.times_sha256,
        .tree = tree,
        .tree_size = plan.image_size,
        .file_count = plan.file_count,
        .bytes = plan.bytes,
    };
    return 0;
}
