/* SPDX-License-Identifier: MIT */
#include "server/service/tree_image.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "server/db/blobs.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/object.h"
#include "server/service/refusal.h"

struct tree_image {
    atomic_uint references;
    struct object *object;
    struct tree tree;
    char key[BLOB_STORAGE_KEY_SIZE];
};

struct tree_image *tree_image_ref(struct tree_image *image)
{
    atomic_fetch_add(&image->references, 1);
    return image;
}

struct tree_image *tree_image_unref(struct tree_image *image)
{
    if (image == NULL || atomic_fetch_sub(&image->references, 1) != 1)
        return NULL;
    object_unref(image->object);
    return memory_free(image);
}

void tree_image_unref_at(struct tree_image **at)
{
    *at = tree_image_unref(*at);
}

void tree_image_take(void *value)
{
    struct tree_image *image;

    memcpy(&image, value, sizeof(image));
    tree_image_ref(image);
}

void tree_image_drop(void *value)
{
    struct tree_image *image;

    memcpy(&image, value, sizeof(image));
    tree_image_unref(image);
}

const struct tree *tree_image_tree(const struct tree_image *image)
{
    return &image->tree;
}

struct object *tree_image_object(const struct tree_image *image)
{
    return image->object;
}

const char *tree_image_key(const struct tree_image *image)
{
    return image->key;
}

int tree_image_open_cached(struct services *services, const struct version_fact *version,
                           struct tree_image **out, struct error *err)
{
    if (!memo_get(services->trees, span_of(version->tree.bytes, DIGEST_SIZE), out))
        return error_set(err, -EAGAIN, "tree image not read yet");
    return 0;
}

/* The bytes are believed for what the version says they are, or not at all. */
static int check(struct tree_image *image, const struct version_fact *version, struct error *err)
{
    struct digest verity;
    struct span bytes;
    int r = object_bytes(image->object, &bytes, err);

    if (r == 0)
        r = merkle_verity_of(bytes, &verity, err);
    if (r < 0)
        return r;
    if (!digest_equal(&verity, &version->tree))
        return error_set(err, -EBADMSG, "tree image is damaged");
    return tree_open_unhashed(bytes, &image->tree, err);
}

int tree_image_open(struct services *services, const struct version_fact *version,
                    struct tree_image **out, struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct tree_image *remembered;
    struct blob blob;
    int r;

    if (tree_image_open_cached(services, version, out, NULL) == 0)
        return 0;
    image = memory_new(sizeof(*image));
    if (image == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    atomic_init(&image->references, 1);
    r = blob_get(services->database, version->tree_blob_id, &blob, err);
    if (r < 0)
        return r == -ENOENT
                   ? refusal_set(why, REFUSAL_STORAGE, error_set(err, -EIO, "no tree image"))
                   : r;
    memcpy(image->key, blob.key, sizeof(image->key));
    r = blob_object_open(services, &blob, &image->object, why, err);
    if (r < 0)
        return r;
    r = check(image, version, err);
    if (r < 0)
        return blob_object_failed(services, &blob, r, why, err);
    remembered = tree_image_ref(image);
    memo_put(services->trees, span_of(version->tree.bytes, DIGEST_SIZE), &remembered);
    *out = take_pointer(&image);
    return 0;
}
