/* SPDX-License-Identifier: MIT */
#include "server/service/tombstone_clearing.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/tombstones.h"
#include "server/service/blob_chunks.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/tree_names.h"
#include "server/storage/blob_store.h"

#define BATCH 200

/* While it is open its bytes stay on the disk. */
static int remove_file(struct services *services, const char *key, struct error *err)
{
    int r = blob_store_remove(services->store, key, err);

    if (r == 0)
        memo_forget(services->objects, span_text(key));
    return r;
}

static int remove_object(struct services *services, const char *key, struct error *err)
{
    struct blob blob = { 0 };
    char beside[BLOB_MERKLE_KEY_SIZE];
    int r;

    memcpy(blob.key, key, sizeof(blob.key));
    r = remove_file(services, key, err);
    if (r == 0) {
        blob_merkle_key(&blob, beside);
        r = remove_file(services, beside, err);
    }
    if (r == 0) {
        blob_chunks_key(key, beside);
        r = remove_file(services, beside, err);
    }
    if (r == 0) {
        tree_names_key(key, beside);
        r = remove_file(services, beside, err);
    }
    return r;
}

/* One batch. *out_failed: how many of it stay for later. */
static int clear_batch(struct services *services, size_t *out_got, size_t *out_failed,
                       struct error *err)
{
    cleanup_memory struct tombstone *items = NULL;
    size_t count;
    int r = tombstone_list(services->database, BATCH, &items, &count, err);

    if (r < 0)
        return r;
    *out_failed = 0;
    for (size_t i = 0; i < count; i++) {
        struct error reason = { 0 };

        if (remove_object(services, items[i].key, &reason) < 0) {
            r = tombstone_failed(services->database, items[i].key, reason.text, err);
            (*out_failed)++;
        } else {
            r = tombstone_done(services->database, items[i].key, err);
        }
        if (r < 0)
            return r;
    }
    *out_got = count;
    return 0;
}

int tombstone_clearing_step(struct services *services, size_t *out_count, struct error *err)
{
    size_t total = 0;
    size_t got, failed;
    int r = blob_store_check(services->store, err);

    if (r < 0)
        return r;
    do {
        r = clear_batch(services, &got, &failed, err);
        if (r < 0)
            return r;
        total += got - failed;
    } while (got == BATCH && failed == 0);
    *out_count = total;
    return 0;
}
