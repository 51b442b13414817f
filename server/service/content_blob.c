/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

static int refuse(struct refusal *why, struct error *err, const char *text)
{
    return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "%s", text));
}

int content_open_version(struct services *services, const struct identity *identity,
                         const char *project, const char *app, const char *reference,
                         struct version_fact *out_version, struct tree_image **out_image,
                         struct refusal *why, struct error *err)
{
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = version_fact_get(services, identity, project, app, reference, out_version, why, err);
    if (r == 0)
        r = tree_image_open(services, out_version, out_image, why, err);
    return r;
}

static int open_version_cached(struct services *services, const struct identity *identity,
                               const char *project, const char *app, const char *reference,
                               struct version_fact *out_version, struct tree_image **out_image,
                               struct refusal *why, struct error *err)
{
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = version_fact_cached(services, identity, project, app, reference, out_version, err);
    if (r == 0)
        r = tree_image_open_cached(services, out_version, out_image, err);
    return r;
}

bool content_is_member(const struct version_fact *version, const struct tree_image *image,
                       const struct digest *sha256)
{
    uint32_t index;

    return tree_find_sha256(tree_image_tree(image), sha256, &index) == 0 ||
           digest_equal(sha256, &version->content) || digest_equal(sha256, &version->times);
}

/* A blob that was healed has another key than the fact that is remembered: asked again, once. */
int content_open_member(struct services *services, const struct version_fact *version,
                        const struct digest *sha256, struct content **out, struct refusal *why,
                        struct error *err)
{
    struct object *object = NULL;
    struct blob blob;
    bool cached = blob_fact_cached(services, sha256, &blob, NULL) == 0;
    int r = cached ? 0 : blob_fact_get(services, version->id, sha256, &blob, why, err);

    if (r == 0)
        r = blob_object_open(services, &blob, &object, why, err);
    if (r < 0 && cached) {
        blob_fact_forget(services, sha256);
        r = blob_fact_get(services, version->id, sha256, &blob, why, err);
        if (r == 0)
            r = blob_object_open(services, &blob, &object, why, err);
    }
    if (r == 0)
        r = content_new(services, object, sha256, "", out, err);
    if (r < 0)
        return r;
    refusal_set(why, REFUSAL_NONE, 0);
    (*out)->has_blob = true;
    (*out)->blob = blob;
    return 0;
}

static int open_member_cached(struct services *services, const struct digest *sha256,
                              struct content **out, struct error *err)
{
    struct object *object;
    struct blob blob;
    int r = blob_fact_cached(services, sha256, &blob, err);

    if (r == 0)
        r = object_open_cached(services, blob.key, &object, err);
    if (r == 0)
        r = content_new(services, object, sha256, "", out, err);
    if (r < 0)
        return r;
    (*out)->has_blob = true;
    (*out)->blob = blob;
    return 0;
}

int content_open_blob(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      const struct digest *sha256, struct content **out, struct refusal *why,
                      struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refuse(why, err, "no such blob in this version");
    return content_open_member(services, &version, sha256, out, why, err);
}

int content_open_blob_cached(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    int r = open_version_cached(services, identity, project, app, reference, &version, &image, why,
                                err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refuse(why, err, "no such blob in this version");
    return open_member_cached(services, sha256, out, err);
}

/* The digest of the file at a path. */
static int find_file(const struct tree_image *image, struct span path, struct digest *out,
                     struct refusal *why, struct error *err)
{
    const struct tree *tree = tree_image_tree(image);
    struct tree_record record;
    uint32_t index;

    if (tree_find_path(tree, path, &index) < 0)
        return refuse(why, err, "no such file in this version");
    record = tree_record(tree, index);
    if (record.kind != ENTRY_FILE)
        return refuse(why, err, "this is no file");
    *out = tree_sha256(tree, record.digest_index);
    return 0;
}

int content_open_file(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference, struct span path,
                      struct content **out, struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    struct digest sha256;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r == 0)
        r = find_file(image, path, &sha256, why, err);
    if (r == 0)
        r = content_open_member(services, &version, &sha256, out, why, err);
    return r;
}

int content_open_file_cached(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             struct span path, struct content **out, struct refusal *why,
                             struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    struct digest sha256;
    int r = open_version_cached(services, identity, project, app, reference, &version, &image, why,
                                err);

    if (r == 0)
        r = find_file(image, path, &sha256, why, err);
    if (r == 0)
        r = open_member_cached(services, &sha256, out, err);
    return r;
}

/* Of one piece: from its bytes, which have to be those that were stored. */
static int make_merkle(struct services *services, const struct blob *blob, size_t merkle_size,
                       struct buf *out, struct refusal *why, struct error *err)
{
    cleanup_memory uint8_t *bytes = memory_resize(NULL, (size_t)blob->size, 1);
    cleanup(object_unref_at) struct object *object = NULL;
    uint8_t *merkle = buf_reserve(out, merkle_size);
    struct digest verity;
    int r = bytes == NULL || merkle == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    if (r == 0)
        r = blob_object_open(services, blob, &object, why, err);
    if (r == 0)
        r = object_read(object, 0, bytes, (size_t)blob->size, err);
    if (r == 0)
        r = merkle_build(span_of(bytes, (size_t)blob->size), merkle, NULL, &verity, err);
    if (r < 0)
        return r;
    if (!digest_equal(&verity, &blob->verity)) {
        refusal_set(why, REFUSAL_STORAGE, 0);
        return error_set(err, -EIO, "a stored blob is damaged");
    }
    buf_added(out, merkle_size);
    return 0;
}

int content_of_merkle(struct services *services, const struct blob *blob, struct content **out,
                      struct refusal *why, struct error *err)
{
    char key[BLOB_MERKLE_KEY_SIZE];
    struct merkle_shape shape;
    struct object *object = NULL;
    int r = merkle_shape_of(blob->size, &shape, err);

    if (r < 0)
        return r;
    if (shape.object_size == 0)
        return refusal_set(why, REFUSAL_NO_MERKLE,
                           error_set(err, -ENOENT,
                                     "blobs of up to 4096 bytes have no merkle object"));
    if (blob->size <= MERKLE_PIECE_SIZE) {
        cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);

        r = make_merkle(services, blob, (size_t)shape.object_size, &frame, why, err);
        return r < 0 ? r : content_new_frame(services, &frame, &blob->verity, "-merkle", out, err);
    }
    blob_merkle_key(blob, key);
    r = object_open(services, key, shape.object_size, &object, err);
    if (r == -ENOENT) {
        r = deposit_merkle(services, blob, NULL, err);
        if (r == 0)
            r = object_open(services, key, shape.object_size, &object, err);
    }
    if (r < 0) {
        refusal_set(why, REFUSAL_STORAGE, 0);
        return r == -EAGAIN || r == -ENOMEM
                   ? r
                   : error_set(err, -EIO, "a stored merkle object is missing or damaged");
    }
    return content_new(services, object, &blob->verity, "-merkle", out, err);
}

int content_open_blob_merkle(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             const struct digest *sha256, struct content **out, struct refusal *why,
                             struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    struct blob blob;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refuse(why, err, "no such blob in this version");
    r = blob_fact_get(services, version.id, sha256, &blob, why, err);
    if (r < 0)
        return r;
    return content_of_merkle(services, &blob, out, why, err);
}
