/* SPDX-License-Identifier: MIT */
#include "server/service/delta_later.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/model/delta.h"
#include "server/service/context.h"
#include "server/service/delta_make.h"
#include "server/service/delta_pair.h"
#include "server/service/delta_proof.h"
#include "server/service/gate.h"

/* A delta of a smaller part of its target is good enough. */
#define SMALL_PART 64

struct waiting {
    struct delta_pair pair;
    bool is_kept;  /* the delta that is kept is to be proven */
    uint64_t size; /* else: of the delta that there is */
};

struct delta_later {
    pthread_mutex_t lock;
    struct waiting list[DELTA_LATER_MAX];
    size_t count;
};

int delta_later_new(struct delta_later **out_later, struct error *err)
{
    struct delta_later *later = memory_new(sizeof(*later));

    if (later == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&later->lock, NULL);
    *out_later = later;
    return 0;
}

struct delta_later *delta_later_free(struct delta_later *later)
{
    if (later == NULL)
        return NULL;
    pthread_mutex_destroy(&later->lock);
    return memory_free(later);
}

static bool is_worth_it(const struct services *services, const struct delta_pair *pair,
                        uint64_t size)
{
    const uint64_t base_size = pair->base.size, target_size = pair->target.size;

    if (services->deltas == NULL || base_size == 0 || base_size > DELTA_PATCH_MAX ||
        target_size == 0 || target_size > DELTA_PATCH_MAX)
        return false;
    if (base_size <= DELTA_MAKE_PATCH_MAX && target_size <= DELTA_MAKE_PATCH_MAX)
        return false; /* it was tried */
    return size == 0 || size > target_size / SMALL_PART;
}

static void add(struct delta_later *later, const struct waiting *waiting)
{
    pthread_mutex_lock(&later->lock);
    if (later->count < DELTA_LATER_MAX)
        later->list[later->count++] = *waiting;
    pthread_mutex_unlock(&later->lock);
}

void delta_later_add(struct services *services, const struct delta_pair *pair, uint64_t size)
{
    if (is_worth_it(services, pair, size))
        add(services->deltas_later, &(struct waiting){ .pair = *pair, .size = size });
}

/* Whether its proof is on the list. */
static bool is_listed(struct delta_later *later, const struct delta_pair *pair)
{
    bool found = false;

    pthread_mutex_lock(&later->lock);
    for (size_t i = 0; i < later->count && !found; i++)
        found = later->list[i].is_kept &&
                memcmp(later->list[i].pair.name, pair->name, sizeof(pair->name)) == 0;
    pthread_mutex_unlock(&later->lock);
    return found;
}

/* Two who come at once may both list it: the second finds it proven. */
void delta_later_prove(struct services *services, const struct delta_pair *pair)
{
    if (!delta_pair_is_proven(services, pair) && !is_listed(services->deltas_later, pair))
        add(services->deltas_later, &(struct waiting){ .pair = *pair, .is_kept = true });
}

static bool take_last(struct delta_later *later, struct waiting *out)
{
    bool found = false;

    pthread_mutex_lock(&later->lock);
    if (later->count > 0) {
        *out = later->list[--later->count];
        found = true;
    }
    pthread_mutex_unlock(&later->lock);
    return found;
}

/* It costs nobody more than bytes; but a store that is damaged shows itself so, and one that is not
 * has met two chunks of one hash. */
static void tell_wrong(struct services *services, const struct delta_pair *pair,
                       const struct error *reason)
{
    char base[DIGEST_HEX_SIZE], target[DIGEST_HEX_SIZE];

    digest_hex(&pair->base.sha256, base);
    digest_hex(&pair->target.sha256, target);
    atomic_fetch_add(&services->wrong_deltas, 1);
    log_warning(
        "the delta from blob %s to blob %s does not make it, unless one of them is damaged; "
        "it is given whole now: %s",
        base, target, reason->text);
}

/* 1: it was wrong, and is gone. What cannot be read now says nothing of it. */
static int prove(struct services *services, const struct delta_pair *pair, struct error *err)
{
    cleanup_fd int fd = -1;
    uint64_t size;
    int r = 0;

    if (!delta_pair_is_proven(services, pair))
        r = delta_pair_open(services, pair, &fd, &size, err);
    if (r < 0 || fd < 0)
        return r;
    r = delta_proof(services, &pair->base, &pair->target, fd, size, err);
    if (r == 0)
        delta_pair_is_right(services, pair);
    if (r != -EBADMSG)
        return r;
    tell_wrong(services, pair, err);
    delta_pair_is_wrong(services, pair);
    return 1;
}

/* 1: a better one is kept now. A pair whose blobs are gone by now is no failure. */
static int improve(struct services *services, const struct waiting *waiting, struct error *err)
{
    const struct delta_pair *pair = &waiting->pair;
    cleanup_fd int fd = -1;
    uint64_t size;
    int r = delta_make_patch(services, &pair->base, &pair->target,
                             waiting->size > 0 ? waiting->size : UINT64_MAX, &fd, &size, err);

    if (r == 1)
        delta_pair_keep(services, pair, fd, size, true);
    return r;
}

int delta_later_step(struct services *services, size_t *out_count, struct error *err)
{
    struct waiting waiting;
    struct error reason = { 0 };
    struct span name;
    int r;

    *out_count = 0;
    if (services_go_on(services, NULL) < 0 || !take_last(services->deltas_later, &waiting))
        return 0;
    name = delta_pair_name(&waiting.pair);
    /* Somebody is at the pair: another time. */
    if (!gate_enter_behind(services->gate, name)) {
        add(services->deltas_later, &waiting);
        return 0;
    }
    r = waiting.is_kept ? prove(services, &waiting.pair, &reason)
                        : improve(services, &waiting, &reason);
    gate_leave(services->gate, name);
    if (r == -ENOMEM || r == -ENOSPC)
        return error_set(err, r, "a delta: %s", reason.text);
    *out_count = r == 1;
    return 0;
}
