/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/delta.h"
#include "server/db/blob_bases.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/delta_make.h"
#include "server/service/file_cache.h"
#include "server/service/gate.h"
#include "server/service/memo.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

/* How long somebody may wait for a delta that others are at, or for a turn. */
#define WAIT_MS 10000

/* Base and target, as the name of work and of what came of it. */
#define PAIR_SIZE ((size_t)2 * DIGEST_SIZE)
/* And as a file: with the target's key, since a key never means other bytes. */
#define FILE_NAME_SIZE (2 * DIGEST_HEX_SIZE + BLOB_STORAGE_KEY_SIZE)

struct pair {
    struct services *services;
    struct blob base, target;
    uint8_t name[PAIR_SIZE];
    char file[FILE_NAME_SIZE];
};

static void name_pair(struct pair *pair)
{
    char *at = pair->file;

    memcpy(pair->name, pair->base.sha256.bytes, DIGEST_SIZE);
    memcpy(pair->name + DIGEST_SIZE, pair->target.sha256.bytes, DIGEST_SIZE);
    digest_hex(&pair->base.sha256, at);
    at += DIGEST_HEX_SIZE;
    at[-1] = '-';
    digest_hex(&pair->target.sha256, at);
    at += DIGEST_HEX_SIZE;
    at[-1] = '-';
    memcpy(at, pair->target.key, sizeof(pair->target.key));
}

/* The header of what was kept says what it was kept for: a file that somebody has put into its
 * place is not believed that far either, and its result is verified by who asked. */
static int check_header(const struct pair *pair, int fd, struct error *err)
{
    uint8_t bytes[DELTA_HEADER_SIZE];
    struct delta_header header;
    size_t got;
    int r = file_read_at(fd, 0, bytes, sizeof(bytes), &got, err);

    if (r == 0)
        r = delta_header_parse(span_of(bytes, got), &header, err);
    if (r < 0)
        return r;
    if (!digest_equal(&header.base, &pair->base.sha256) ||
        !digest_equal(&header.target, &pair->target.sha256) ||
        header.base_size != pair->base.size || header.target_size != pair->target.size)
        return error_set(err, -EBADMSG, "the delta of another pair");
    return 0;
}

static int open_kept(const struct pair *pair, int *out_fd, uint64_t *out_size, struct error *err)
{
    struct file_cache *deltas = pair->services->deltas;
    cleanup_fd int fd = -1;
    int r;

    if (deltas == NULL)
        return error_set(err, -ENOENT, "no deltas are kept");
    r = file_cache_open(deltas, pair->file, &fd, out_size, err);
    if (r < 0)
        return r;
    r = check_header(pair, fd, err);
    if (r < 0) {
        file_cache_remove(deltas, pair->file, NULL);
        return r;
    }
    *out_fd = take_fd(&fd);
    return 0;
}

/* Whether it is so for ever: what is known of the pair is remembered. */
static bool is_hopeless(const struct pair *pair)
{
    uint8_t none;

    return memo_get(pair->services->no_deltas, span_of(pair->name, PAIR_SIZE), &none);
}

static int make(const struct pair *pair, int *out_fd, uint64_t *out_size, struct error *err)
{
    static const uint8_t none = 1;
    struct services *services = pair->services;
    int r = delta_make(services, &pair->base, &pair->target, out_fd, out_size, err);

    if (r == 0) {
        memo_put(services->no_deltas, span_of(pair->name, PAIR_SIZE), &none);
        return error_set(err, -ENOENT, "no delta is worth it");
    }
    if (r < 0)
        return r;
    /* Without it the next one waits as long; what cannot be kept is no failure. */
    if (services->deltas != NULL)
        file_cache_put(services->deltas, pair->file, *out_fd, *out_size, NULL);
    return 0;
}

static int open_delta(const struct pair *pair, int *out_fd, uint64_t *out_size, struct error *err)
{
    const struct span name = span_of(pair->name, PAIR_SIZE);
    int r = open_kept(pair, out_fd, out_size, err);

    if (r == 0 || is_hopeless(pair))
        return r;
    switch (gate_enter(pair->services->gate, name, WAIT_MS)) {
    case GATE_MINE:
        /* It may have been made between the look and the turn. */
        r = open_kept(pair, out_fd, out_size, err);
        if (r < 0 && !is_hopeless(pair))
            r = make(pair, out_fd, out_size, err);
        gate_leave(pair->services->gate, name);
        return r;
    case GATE_DONE:
        return open_kept(pair, out_fd, out_size, err);
    case GATE_FULL:
    default:
        return error_set(err, -EAGAIN, "too many deltas are being made");
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

static int answer(const struct pair *pair, struct content **out, struct error *err)
{
    const struct digest named = digest_of(pair->name, PAIR_SIZE);
    uint64_t size = 0;
    int fd = -1;
    int r = open_delta(pair, &fd, &size, err);

    if (r == 0)
        r = content_new_file(pair->services, &fd, size, &named, "-delta", out, err);
    if (r == 0)
        (*out)->whole_only = true;
    return r;
}

int content_open_delta(struct services *services, const struct identity *identity,
                       const char *project, const char *app, const char *reference,
                       const struct digest *sha256, const struct digest *base, struct content **out,
                       struct refusal *why, struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    struct pair pair = { .services = services };
    struct version_fact version;
    struct content *content = NULL;
    int r = content_open_version(services, identity, project, app, reference, &version, &image, why,
                                 err);

    if (r < 0)
        return r;
    if (!content_is_member(&version, image, sha256))
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "no such blob in this version"));
    /* From here on a failure is a delta less: the blob itself tells what is wrong with it. */
    r = find_base(services, identity, base, &pair.base, NULL);
    if (r == 0)
        r = blob_fact_get(services, version.id, sha256, &pair.target, NULL, NULL);
    if (r == 0) {
        name_pair(&pair);
        r = answer(&pair, &content, NULL);
    }
    *out = r == 0 ? content : NULL;
    return 0;
}
