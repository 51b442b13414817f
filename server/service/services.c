/* SPDX-License-Identifier: MIT */
#include "server/service/act_budget.h"
#include "server/service/services.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/base/workers.h"
#include "common/codec/hex.h"
#include "common/model/listing.h"
#include "server/db/blobs.h"
#include "server/db/database.h"
#include "server/security/token_verifier.h"
#include "server/service/busy.h"
#include "server/service/context.h"
#include "server/service/delta_later.h"
#include "server/service/event_hub.h"
#include "server/service/file_cache.h"
#include "server/service/gate.h"
#include "server/service/memo.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/service/side_task.h"
#include "server/service/token_fact.h"
#include "server/service/tree_image.h"
#include "server/service/upload_merkle.h"
#include "server/service/version_fact.h"
#include "server/storage/blob_store.h"

#define FACTS_DEFAULT 65536
#define OPEN_DEFAULT 256
#define TOKENS_MAX 4096
#define WORKERS_DEFAULT 16
/* Of each kind at a time, for what they take of memory. */
#define MAKING_MAX 2

CLEANUP_DEFINE(services, services_free);

static int make_memos(struct services *services, const struct services_settings *settings,
                      struct error *err)
{
    size_t facts = settings->facts_max > 0 ? settings->facts_max : FACTS_DEFAULT;
    size_t open = settings->open_max > 0 ? settings->open_max : OPEN_DEFAULT;
    size_t tokens = facts < TOKENS_MAX ? facts : TOKENS_MAX;
    int r;

    r = memo_new(&services->tokens, sizeof(struct token_fact), tokens, NULL, NULL, err);
    if (r == 0)
        r = memo_new(&services->versions, sizeof(struct version_fact), facts, NULL, NULL, err);
    if (r == 0)
        r = memo_new(&services->leases, sizeof(struct lease_fact), tokens, NULL, NULL, err);
    if (r == 0)
        r = memo_new(&services->blobs, sizeof(struct blob), facts, NULL, NULL, err);
    if (r == 0)
        r = memo_new(&services->trees, sizeof(struct tree_image *), open, tree_image_take,
                     tree_image_drop, err);
    if (r == 0)
        r = memo_new(&services->objects, sizeof(struct object *), open, object_take, object_drop,
                     err);
    if (r == 0)
        r = memo_new(&services->delta_facts, sizeof(uint8_t), tokens, NULL, NULL, err);
    return r;
}

/* For so many threads: half of them work, up to MAKING_MAX, the others wait. */
static int make_gate(unsigned threads, struct gate **out, struct error *err)
{
    const unsigned half = (threads + 1) / 2;
    const unsigned making = half < MAKING_MAX ? half : MAKING_MAX;

    return gate_new(out, making, threads - making, err);
}

static unsigned workers_of(const struct services_settings *settings)
{
    return settings->workers > 0 ? settings->workers : WORKERS_DEFAULT;
}

/* Half of the workers, in two parts, so that those who pull and those who push do not hold up each
 * other; the larger one for those who pull, of whom many may wait for the same. Of so few workers
 * that half is one, both have that one. */
static int make_gates(struct services *services, unsigned workers, struct error *err)
{
    const unsigned half = workers / 2;
    const unsigned pushing = half < 4 ? 1 : half * 3 / 8;
    int r;

    if (half >= 2) {
        r = make_gate(half - pushing, &services->gate, err);
        return r < 0 ? r : make_gate(pushing, &services->upload_gate, err);
    }
    r = make_gate(1, &services->gate, err);
    services->upload_gate = services->gate;
    return r;
}

static int make_delta_parts(struct services *services, const struct services_settings *settings,
                            struct error *err)
{
    int r = make_gates(services, workers_of(settings), err);

    if (r == 0)
        r = delta_later_new(&services->deltas_later, err);
    if (r == 0 && settings->delta_path != NULL && settings->delta_cache_size > 0)
        r = file_cache_new(settings->delta_path, settings->delta_cache_size, &services->deltas,
                           err);
    return r;
}

static int make_identity(struct services *services, struct error *err)
{
    uint8_t random[(sizeof(services->holder) - 1) / 2];
    struct store store;
    int r = store_get(services->database, &store, err);

    if (r < 0)
        return r;
    memcpy(services->store_id, store.id, sizeof(services->store_id));
    r = random_bytes(random, sizeof(random), err);
    if (r < 0)
        return r;
    hex_encode(random, sizeof(random), services->holder);
    return 0;
}

static int make_events(struct services *services, const struct services_settings *settings,
                       struct error *err)
{
    const struct event_hub_settings wanted = {
        .listeners_max = settings->event_listeners_max,
        .listeners_per_token_max = settings->event_listeners_per_token_max,
        .beat_ms = settings->event_beat_ms,
    };

    return event_hub_new(&wanted, &services->events, err);
}

int services_new(const struct services_settings *settings, struct services **out_services,
                 struct error *err)
{
    cleanup(cleanup_services) struct services *services = memory_new(sizeof(*services));
    int r;

    if (services == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&services->lock, NULL);
    pthread_mutex_init(&services->event_lock, NULL);
    services->merkles = map_init();
    services->used_tokens = map_init();
    services->database = settings->database;
    services->store = settings->store;
    services->cache = settings->cache;
    services->part_size =
        settings->part_size > 0 ? settings->part_size : SERVICES_PART_SIZE_DEFAULT;
    if (services->part_size > SERVICES_PART_SIZE_MAX)
        return error_set(err, -EINVAL, "part_size is at most %u", SERVICES_PART_SIZE_MAX);
    services->listing_max = settings->listing_max > 0 ? settings->listing_max : LISTING_MAX_SIZE;
    if (settings->scratch_path != NULL) {
        services->scratch_path = memory_text(settings->scratch_path);
        if (services->scratch_path == NULL)
            return error_set(err, -ENOMEM, "out of memory");
    }
    r = make_identity(services, err);
    if (r == 0)
        r = make_events(services, settings, err);
    if (r == 0)
        r = act_budget_new(&services->acts, err);
    if (r == 0)
        r = make_memos(services, settings, err);
    if (r == 0)
        r = make_delta_parts(services, settings, err);
    if (r == 0)
        r = side_task_workers_new(&services->side_workers, err);
    if (r == 0)
        r = busy_new(workers_of(settings) / 4, BUSY_WAIT_MS, &services->busy, err);
    if (r == 0)
        r = token_verifier_new(TOKENS_MAX,
                               settings->password_checks > 0 ? settings->password_checks : 2,
                               &services->verifier, err);
    if (r < 0)
        return r;
    *out_services = take_pointer(&services);
    return 0;
}

struct services *services_free(struct services *services)
{
    if (services == NULL)
        return NULL;
    event_hub_free(services->events);
    act_budget_free(services->acts);
    memo_free(services->trees);
    memo_free(services->objects);
    memo_free(services->blobs);
    memo_free(services->versions);
    memo_free(services->leases);
    memo_free(services->tokens);
    memo_free(services->delta_facts);
    file_cache_free(services->deltas);
    delta_later_free(services->deltas_later);
    if (services->upload_gate != services->gate)
        gate_free(services->upload_gate);
    gate_free(services->gate);
    workers_free(services->side_workers);
    token_verifier_free(services->verifier);
    upload_merkles_release(services);
    busy_free(services->busy);
    map_release(&services->used_tokens);
    memory_free(services->scratch_path);
    pthread_mutex_destroy(&services->event_lock);
    pthread_mutex_destroy(&services->lock);
    return memory_free(services);
}

void services_stop(struct services *services)
{
    atomic_store(&services->stopping, true);
    busy_stop(services->busy);
}

int services_go_on(const struct services *services, struct error *err)
{
    return atomic_load(&services->stopping) ? error_set(err, -EAGAIN, "the server is stopping") : 0;
}

const char *services_store_id(const struct services *services)
{
    return services->store_id;
}

uint32_t services_part_size(const struct services *services)
{
    return services->part_size;
}

int64_t services_now(const struct services *services)
{
    return database_now_s(services->database);
}

uint64_t services_wrong_deltas(const struct services *services)
{
    return atomic_load(&services->wrong_deltas);
}

int services_ready(struct services *services, struct error *err)
{
    int r = database_check(services->database, err);

    if (r < 0)
        return error_prefix(err, r, "database");
    r = blob_store_check(services->store, err);
    if (r < 0)
        return error_prefix(err, r, "store");
    return 0;
}

void services_on_event(struct services *services, void (*function)(void *context), void *context)
{
    pthread_mutex_lock(&services->event_lock);
    services->event_function = function;
    services->event_context = context;
    pthread_mutex_unlock(&services->event_lock);
}

void event_written(struct services *services)
{
    pthread_mutex_lock(&services->event_lock);
    if (services->event_function != NULL)
        services->event_function(services->event_context);
    pthread_mutex_unlock(&services->event_lock);
}

static int busy_result(int r, struct refusal *why)
{
    return r == -EBUSY ? refusal_set(why, REFUSAL_PUSH_BUSY, r) : r;
}

int busy_enter(struct services *services, struct span name, struct refusal *why, struct error *err)
{
    return busy_result(busy_take(services->busy, name, err), why);
}

int busy_enter_part(struct services *services, struct span name, uint64_t from, uint64_t to,
                    struct refusal *why, struct error *err)
{
    return busy_result(busy_take_part(services->busy, name, from, to, err), why);
}

void busy_leave(struct services *services, struct span name)
{
    busy_give(services->busy, name);
}
