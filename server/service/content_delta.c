/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/blob_bases.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/delta_later.h"
#include "server/service/delta_make.h"
#include "server/service/delta_pair.h"
#include "server/service/gate.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

/* How long somebody may wait for a delta that others are at, or for a turn. */
#define WAIT_MS 10000

static int make(struct services *services, const struct delta_pair *pair, int *out_fd,
                uint64_t *out_size, struct error *err)
{
    int r = delta_make(services, &pair->base, &pair->target, out_fd, out_size, err);

    if (r < 0)
        return r;
    if (r == 0)
        delta_pair_give_up(services, pair);
    else
        delta_pair_keep(services, pair, *out_fd, *out_size,
                        delta_make_proves(&pair->base, &pair->target));
    delta_later_add(services, pair, r == 0 ? 0 : *out_size);
    return r == 0 ? error_set(err, -ENOENT, "no delta is worth it") : 0;
}

/* One that is asked for again is worth its proof. A wrong one may be there still, when it could not
 * be removed. */
static int open_kept(struct services *services, const struct delta_pair *pair, int *out_fd,
                     uint64_t *out_size, struct error *err)
{
    int r;

    if (delta_pair_is_hopeless(services, pair))
        return error_set(err, -ENOENT, "no delta is worth it");
    r = delta_pair_open(services, pair, out_fd, out_size, err);
    if (r == 0)
        delta_later_prove(services, pair);
    return r;
}

static int open_delta(struct services *services, const struct delta_pair *pair, int *out_fd,
                      uint64_t *out_size, struct error *err)
{
    const struct span name = delta_pair_name(pair);
    int r = open_kept(services, pair, out_fd, out_size, err);

    if (r == 0 || delta_pair_is_hopeless(services, pair))
        return r;
    switch (gate_enter(services->gate, name, WAIT_MS)) {
    case GATE_MINE:
        /* It may have been made between the look and the turn. */
        r = open_kept(services, pair, out_fd, out_size, err);
        if (r < 0 && !delta_pair_is_hopeless(services, pair))
            r = make(services, pair, out_fd, out_size, err);
        gate_leave(services->gate, name);
        return r;
    case GATE_DONE:
        return open_kept(services, pair, out_fd, out_size, err);
    case GATE_FULL:
    default:
        return error_set(err, -EBUSY, "too many deltas are being made");
    }
}

/* What the identity may pull, by its scope; the permission was asked for by the route. */
static int find_base(struct services *services, const struct identity *identity,
                     const struct digest *sha256, struct blob *out, struct error *err)
{
    const char *project = identity->project[0] != '\0' ? identity->project : NULL;
    const char *app = identity->app[0] != '\0' ? identity->app : NULL;

    return blob_base_find(services->database, project, app, sha256, out, err);
}

static int answer(struct services *services, const struct delta_pair *pair, struct content **out,
                  struct error *err)
{
    uint64_t size = 0;
    int fd = -1;
    int r = open_delta(services, pair, &fd, &size, err);

    return r < 0 ? r : content_new_file(services, &fd, size, out, err);
}

int content_open_delta(struct services *services, const struct identity *identity,
                       const char *project, const char *app, const char *reference,
                       const struct digest *sha256, const struct digest *base, struct content **out,
                       struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct content *content = NULL;
    struct version_fact version;
    struct blob from, to;
    struct delta_pair pair;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "no such blob in this version"));
    /* From here on a failure is a delta less: the blob itself tells what is wrong with it. */
    r = find_base(services, identity, base, &from, NULL);
    if (r == 0)
        r = blob_fact_get(services, version.id, sha256, &to, NULL, NULL);
    if (r == 0) {
        delta_pair_init(&pair, &from, &to);
        r = answer(services, &pair, &content, NULL);
    }
    *out = r == 0 ? content : NULL;
    return r == -EBUSY ? CONTENT_DELTA_LATER : 0;
}
