/* SPDX-License-Identifier: MIT */
#include "server/service/push_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/bitmap.h"
#include "common/model/entry.h"
#include "common/model/listing.h"
#include "server/db/push_blobs.h"
#include "server/db/push_new_blobs.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/service/scratch.h"

static int compare_wants(const void *a, const void *b)
{
    const struct blob_want *left = a, *right = b;

    return digest_compare(&left->sha256, &right->sha256);
}

/* Digest and size of each of the `limit` files, in the order of the listing. */
static int collect(struct span listing, struct blob_want *wants, uint64_t limit, struct error *err)
{
    cleanup_memory struct listing_cursor *cursor = memory_new(sizeof(*cursor));
    struct entry entry;
    size_t count = 0;
    int r;

    if (cursor == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = listing_cursor_init(cursor, listing, err);
    while (r == 0 && (r = listing_cursor_next(cursor, &entry, err)) > 0) {
        r = 0;
        if (entry.kind == ENTRY_FILE && count == limit)
            return error_set(err, -EBADMSG, "the listing has more files than were counted");
        if (entry.kind == ENTRY_FILE)
            wants[count++] = (struct blob_want){ .sha256 = entry.sha256, .size = entry.size };
    }
    return r;
}

/* Sorted wants without repetitions; the count of them. */
static int unite(struct blob_want *wants, size_t count, size_t *out_count, struct error *err)
{
    size_t kept = 0;

    qsort(wants, count, sizeof(*wants), compare_wants);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && digest_equal(&wants[kept - 1].sha256, &wants[i].sha256)) {
            if (wants[kept - 1].size != wants[i].size)
                return error_set(err, -EINVAL, "the listing gives one sha256 two sizes");
            continue;
        }
        wants[kept++] = wants[i];
    }
    *out_count = kept;
    return 0;
}

static int want_all(struct services *services, int64_t number, const struct blob_scope *scope,
                    const struct blob_want *wants, size_t count, struct refusal *why,
                    struct error *err)
{
    cleanup_memory bool *missing = memory_array(PUSH_WANT_MAX, sizeof(*missing));
    int r;

    if (missing == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t at = 0; at < count; at += PUSH_WANT_MAX) {
        size_t batch = count - at < PUSH_WANT_MAX ? count - at : PUSH_WANT_MAX;

        r = push_blobs_want(services->database, number, scope, wants + at, batch, missing, err);
        if (r == -EINVAL)
            return refusal_at(why, "",
                              error_set(err, r,
                                        "the listing gives a blob another size than it has"));
        if (r < 0)
            return push_result_of(r, why, err);
    }
    return 0;
}

/* Of the blobs that came without a digest, those that no file and no document is. */
struct surplus {
    const struct blob_want *wants; /* ascending */
    size_t count;
    const struct digest *content;
    struct buf digests;
};

static int note_surplus(void *context, const struct digest *sha256, struct error *err)
{
    struct surplus *surplus = context;
    const struct blob_want key = { .sha256 = *sha256 };

    if (!digest_equal(sha256, surplus->content) &&
        (surplus->count == 0 ||
         bsearch(&key, surplus->wants, surplus->count, sizeof(key), compare_wants) == NULL))
        buf_add(&surplus->digests, sha256, sizeof(*sha256));
    return buf_check(&surplus->digests, err);
}

/* A version has no edges but those of its listing. */
static int drop_surplus(struct services *services, int64_t number, const struct blob_want *wants,
                        size_t count, const struct digest *content, struct error *err)
{
    struct surplus surplus = {
        .wants = wants, .count = count, .content = content, .digests = buf_init(BUF_UNLIMITED)
    };
    int r = push_new_blob_walk(services->database, number, note_surplus, &surplus, err);

    for (size_t at = 0; at < surplus.digests.size && r == 0; at += DIGEST_SIZE) {
        struct digest sha256;

        memcpy(&sha256, surplus.digests.bytes + at, sizeof(sha256));
        r = push_blob_drop(services->database, number, &sha256, err);
    }
    buf_release(&surplus.digests);
    return r;
}

int push_files_want(struct services *services, const struct identity *identity,
                    const struct push *push, const struct digest *content, struct span listing,
                    uint64_t file_count, struct refusal *why, struct error *err)
{
    cleanup(scratch_release) struct scratch scratch = { 0 };
    const struct blob_scope scope = push_scope(identity);
    size_t count = 0;
    int r =
        scratch_map(services->scratch_path, file_count * sizeof(struct blob_want), &scratch, err);

    if (r == 0 && file_count > 0) {
        struct blob_want *wants = (struct blob_want *)(void *)scratch.bytes;

        r = collect(listing, wants, file_count, err);
        if (r == 0)
            r = unite(wants, (size_t)file_count, &count, err);
        if (r == -EINVAL)
            return refusal_at(why, "", r);
        if (r == 0)
            r = want_all(services, push->number, &scope, wants, count, why, err);
        if (r == 0 && bsearch(&(struct blob_want){ .sha256 = entry_empty_sha256 }, wants, count,
                              sizeof(*wants), compare_wants) != NULL)
            /* No bytes are no secret: nobody has to send them. */
            r = deposit_bytes(services, push->number, &scope, &entry_empty_sha256, span_of("", 0),
                              err);
    }
    if (r < 0)
        return push_result_of(r, why, err);
    r = push_part_set(services->database, push->number, PUSH_PART_LISTING, content, err);
    if (r == 0) /* from here on nothing is named that the listing does not name */
        r = drop_surplus(services, push->number, (const struct blob_want *)(void *)scratch.bytes,
                         count, content, err);
    return push_result_of(r, why, err);
}

struct missing {
    struct digest *digests; /* ascending */
    bool *seen;             /* its first file has its bit */
    size_t count, limit;
};

static int note_missing(void *context, const struct digest *sha256, uint64_t size,
                        struct error *err)
{
    struct missing *missing = context;

    if (missing->count == missing->limit)
        return error_set(err, -EAGAIN, "the push is changing");
    missing->digests[missing->count++] = *sha256;
    return 0;
}

static int compare_digests(const void *a, const void *b)
{
    return digest_compare(a, b);
}

static int mark(struct missing *missing, struct span listing, uint8_t *bitmap, uint64_t limit,
                uint64_t *out_files, struct error *err)
{
    cleanup_memory struct listing_cursor *cursor = memory_new(sizeof(*cursor));
    const struct digest *found;
    struct entry entry;
    uint64_t index = 0;
    int r;

    if (cursor == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = listing_cursor_init(cursor, listing, err);
    while (r == 0 && (r = listing_cursor_next(cursor, &entry, err)) > 0) {
        r = 0;
        if (entry.kind != ENTRY_FILE)
            continue;
        if (index == limit)
            return error_set(err, -EBADMSG, "the listing has more files than it has room for");
        found = missing->count == 0 ? NULL
                                    : bsearch(&entry.sha256, missing->digests, missing->count,
                                              sizeof(entry.sha256), compare_digests);
        if (found != NULL && !missing->seen[found - missing->digests]) {
            missing->seen[found - missing->digests] = true;
            bitmap_set(bitmap, index);
        }
        index++;
    }
    *out_files = index;
    return r;
}

int push_files_missing(struct services *services, const struct push *push, struct span listing,
                       struct buf *out_bitmap, struct error *err)
{
    cleanup(scratch_release) struct scratch digests = { 0 };
    cleanup(scratch_release) struct scratch seen = { 0 };
    struct missing missing = { 0 };
    uint64_t limit = listing.size / LISTING_FILE_MIN_SIZE;
    uint64_t present, absent, files = 0;
    uint8_t *bitmap;
    int r;

    if (limit > ENTRY_MAX_COUNT) /* a listing of long paths has room for more than there may be */
        limit = ENTRY_MAX_COUNT;
    r = push_blob_count(services->database, push->number, &present, &absent, err);
    if (r == 0)
        r = scratch_map(services->scratch_path, absent * DIGEST_SIZE, &digests, err);
    if (r == 0)
        r = scratch_map(services->scratch_path, absent, &seen, err);
    if (r < 0)
        return r;
    missing.digests = (struct digest *)(void *)digests.bytes;
    missing.seen = (bool *)seen.bytes;
    missing.limit = (size_t)absent;
    r = push_missing_walk(services->database, push->number, note_missing, &missing, err);
    if (r < 0)
        return r;
    if (limit == 0)
        return 0;
    bitmap = buf_reserve(out_bitmap, bitmap_size(limit));
    if (bitmap == NULL)
        return buf_check(out_bitmap, err);
    memset(bitmap, 0, bitmap_size(limit));
    r = mark(&missing, listing, bitmap, limit, &files, err);
    if (r < 0)
        return r;
    buf_added(out_bitmap, bitmap_size(files));
    return 0;
}
