/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/zstd.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/tree_names.h"
#include "server/service/version_fact.h"

static int open_version(struct services *services, const struct identity *identity,
                        const char *project, const char *app, const char *reference,
                        struct version_fact *out, struct refusal *why, struct error *err)
{
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = version_fact_get(services, identity, project, app, reference, out, why, err);
    return r;
}

int content_open_tree(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      struct content **out, struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct version_fact version;
    int r = open_version(services, identity, project, app, reference, &version, why, err);

    if (r == 0)
        r = tree_image_open(services, &version, &image, why, err);
    if (r < 0)
        return r;
    return content_new(services, object_ref(tree_image_object(image)), &version.tree, "", out, err);
}

int content_open_tree_merkle(struct services *services, const struct identity *identity,
                             const char *project, const char *app, const char *reference,
                             struct content **out, struct refusal *why, struct error *err)
{
    struct version_fact version;
    struct blob blob;
    int r = open_version(services, identity, project, app, reference, &version, why, err);

    if (r == 0)
        r = blob_get(services->database, version.tree_blob_id, &blob, err);
    if (r < 0)
        return r;
    return content_of_merkle(services, &blob, out, why, err);
}

int content_open_tree_names(struct services *services, const struct identity *identity,
                            const char *project, const char *app, const char *reference,
                            struct content **out, struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    struct version_fact version;
    struct object *object = NULL;
    int r = open_version(services, identity, project, app, reference, &version, why, err);

    if (r == 0)
        r = tree_image_open(services, &version, &image, why, err);
    if (r == 0)
        r = tree_names_open(services, image, &object, &frame, err);
    if (r < 0)
        return r;
    if (object == NULL)
        return content_new_frame(services, &frame, &version.tree, "-names", out, err);
    return content_new(services, object, &version.tree, "-names", out, err);
}
