/* SPDX-License-Identifier: MIT */
#include "server/service/blob_fact.h"

#include <errno.h>

#include "common/base/error.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/storage/blob_store.h"

static struct span fact_key(const struct digest *sha256)
{
    return span_of(sha256->bytes, DIGEST_SIZE);
}

int blob_fact_cached(struct services *services, const struct digest *sha256, struct blob *out,
                     struct error *err)
{
    if (!memo_get(services->blobs, fact_key(sha256), out))
        return error_set(err, -EAGAIN, "blob not known");
    return 0;
}

void blob_fact_forget(struct services *services, const struct digest *sha256)
{
    memo_forget(services->blobs, fact_key(sha256));
}

int blob_fact_get(struct services *services, int64_t version_id, const struct digest *sha256,
                  struct blob *out, struct refusal *why, struct error *err)
{
    struct blob blob;
    int r;

    if (blob_fact_cached(services, sha256, out, NULL) == 0)
        return 0;
    r = blob_of_version(services->database, version_id, sha256, &blob, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, r, "no such blob in this version"));
    if (r < 0)
        return r;
    if (blob.state == BLOB_LIVE)
        memo_put(services->blobs, fact_key(sha256), &blob);
    *out = blob;
    return 0;
}

int blob_object_open(struct services *services, const struct blob *blob, struct object **out,
                     struct refusal *why, struct error *err)
{
    int r = object_open(services, blob->key, blob->size, out, err);

    if (r < 0)
        return blob_object_failed(services, blob, r, why, err);
    return 0;
}

int blob_object_failed(struct services *services, const struct blob *blob, int failure,
                       struct refusal *why, struct error *err)
{
    enum blob_state state = failure == -ENOENT ? BLOB_MISSING : BLOB_CORRUPT;

    refusal_set(why, REFUSAL_STORAGE, 0);
    if (failure == -EAGAIN || failure == -ENOMEM || failure == -EMFILE || failure == -ENFILE ||
        failure == -ENOSPC)
        return failure;
    blob_fact_forget(services, &blob->sha256);
    memo_forget(services->objects, span_text(blob->key));
    /* A device that fails may come back, and a store that is not mounted has lost nothing: only
     * what is known to be gone or wrong is reported. A report that is lost is made by the next
     * request. */
    if ((failure == -ENOENT || failure == -EBADMSG) && blob_store_check(services->store, NULL) == 0)
        blob_report(services->database, blob->id, blob->key, state, NULL);
    return error_set(err, -EIO, "a stored blob is %s", failure == -ENOENT ? "missing" : "damaged");
}
