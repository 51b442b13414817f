/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/blob_fetch_private.h"

#define BACKGROUND_STEP (8 * 1024 * 1024)
#define BACKGROUND_LOW (4 * 1024 * 1024)
#define AWAY_TRIES 6

/* Ends of reads ------------------------------------------------------------ */

static void read_unlink(struct blob_read *read)
{
    for (struct blob_read **at = &read->object->reads; *at != NULL; at = &(*at)->next) {
        if (*at == read) {
            *at = read->next;
            return;
        }
    }
}

static void forget_bad(struct blob_object *object)
{
    while (object->bad != NULL) {
        struct bad_piece *next = object->bad->next;

        memory_free(object->bad);
        object->bad = next;
    }
    object->levels_tried = object->tried = 0;
    object->levels_around = false;
    object->away_tries = 0;
}

/* What waited for levels that do not come now is of no use. */
void object_drop_held(struct blob_object *object)
{
    struct piece *piece = object->pieces;

    while (piece != NULL) {
        struct piece *next = piece->next;

        if (piece->state == PIECE_HELD)
            piece_drop(piece);
        piece = next;
    }
}

static void read_end(struct blob_read *read, int result, const struct error *err)
{
    struct blob_object *object = read->object;
    struct blob_fetch *engine = object->engine;
    blob_read_done *done = read->done;
    void *context = read->context;

    read_unlink(read);
    sparse_end(read);
    http_timer_clear(engine->loop, &read->timer);
    if (read->out == NULL && !read->is_cancelled)
        engine->backgrounds--;
    if (object->reads == NULL) {
        forget_bad(object); /* who comes next gets all tries */
        if (object->levels == LEVELS_NONE)
            object_drop_held(object);
    }
    memory_free(read);
    atomic_fetch_sub(&engine->reads, 1);
    done(context, result, result == 0 ? NULL : err);
    blob_object_unref(object);
}

static void read_late(void *context)
{
    struct blob_read *read = context;
    struct blob_object *object = read->object;
    struct error err = { 0 };
    int code = object->away_tries > 0 && object->last_err.code == -EAGAIN ? -EAGAIN : -ETIMEDOUT;

    if (object->last_err.code != 0)
        error_set(&err, code, "deadline passed: %.200s", object->last_err.text);
    else
        error_set(&err, code, "deadline passed");
    object_note_failure(object, &err);
    read_end(read, code, &err);
}

void blob_read_cancel(struct blob_read *read)
{
    struct error err;

    error_set(&err, -ECANCELED, "cancelled");
    if (read->post.function != NULL) {
        /* Not begun: the post is in the loop's list, and its struct has to stay until it runs. */
        blob_read_done *done = read->done;

        if (read->is_cancelled)
            return;
        read->is_cancelled = true;
        done(read->context, -ECANCELED, &err);
        return;
    }
    read_end(read, -ECANCELED, &err);
}

void object_fail(struct blob_object *object, int code, const struct error *err)
{
    /* Callbacks may start reads; those are posted, so the list only shrinks here. */
    while (object->reads != NULL)
        read_end(object->reads, code, err);
}

/* What is asked for --------------------------------------------------------- */

bool object_wants(const struct blob_object *object, uint64_t piece)
{
    uint64_t begin = piece * BLOB_PIECE_SIZE;

    for (const struct blob_read *read = object->reads; read != NULL; read = read->next) {
        uint64_t at = read->offset + read->at, end = read->offset + read->size;

        if (read->out != NULL && at < begin + BLOB_PIECE_SIZE && end > begin)
            return true;
    }
    return false;
}

struct bad_piece *object_bad(const struct blob_object *object, uint64_t piece)
{
    struct bad_piece *bad = object->bad;

    while (bad != NULL && bad->index != piece)
        bad = bad->next;
    return bad;
}

/* The levels are needed before anything of a larger object can be used. */
static void want_levels(struct blob_object *object)
{
    if (object->levels != LEVELS_NONE || object->retry.place != 0)
        return;
    if (blob_entry_has_levels(object->entry)) {
        object->levels = LEVELS_READY;
        return;
    }
    if (transfer_start_levels(object) == 0)
        object->levels = LEVELS_FETCHING;
}

/* Asks for the missing pieces of [first, last], each run of them in one request. `force`: the
 * first one also when the cache says it is there. */
static void plan(struct blob_object *object, uint64_t first, uint64_t last, bool prefetch,
                 bool force)
{
    uint64_t run = first, most = object->engine->options.window_bytes / BLOB_PIECE_SIZE;
    uint64_t piece;

    if (most == 0)
        most = 1;
    for (piece = first; piece <= last; piece++) {
        bool is_bad = object_bad(object, piece) != NULL;
        bool missing = piece_find(object, piece) == NULL &&
                       ((force && piece == first) || !blob_entry_has(object->entry, piece));

        if (!missing || is_bad || piece - run >= most) {
            if (piece > run)
                transfer_start(object, run, piece - run, prefetch);
            run = missing ? piece : piece + 1;
        }
        if (missing && is_bad) {
            transfer_start(object, piece, 1, prefetch);
            run = piece + 1;
        }
    }
    if (piece > run)
        transfer_start(object, run, piece - run, prefetch);
}

static uint64_t window_most(const struct blob_fetch *engine)
{
    struct blob_cache_stats stats;
    uint64_t most = engine->options.window_bytes;

    blob_cache_stats(engine->cache, &stats);
    /* Without a disk everything ahead stays in memory. */
    if (stats.degraded && most > engine->options.memory_bytes / 8)
        most = engine->options.memory_bytes / 8;
    return most;
}

bool object_note_progress(struct blob_object *object, uint64_t offset, uint64_t size)
{
    struct blob_fetch *engine = object->engine;
    uint64_t end = offset + size;
    bool due;

    if (engine->options.window_bytes <= BLOB_PIECE_SIZE)
        return false;
    pthread_mutex_lock(&engine->lock);
    if (offset + BLOB_NEAR < object->next_offset || offset > object->next_offset + BLOB_NEAR) {
        /* somewhere else: no reader that goes forward, so far */
        object->window = 0;
        object->next_offset = end;
        object->ahead_end = end;
        due = false;
    } else {
        if (object->window == 0)
            object->window = BLOB_WINDOW_FIRST;
        if (end > object->next_offset)
            object->next_offset = end;
        if (object->ahead_end < object->next_offset)
            object->ahead_end = object->next_offset;
        due = object->ahead_end < object->key.size &&
              object->next_offset + object->window / 2 > object->ahead_end;
    }
    pthread_mutex_unlock(&engine->lock);
    return due;
}

/* Read-ahead is due: a window more. */
static void go_ahead(struct blob_object *object)
{
    struct blob_fetch *engine = object->engine;
    uint64_t begin, end, most;

    if (engine->is_closing || engine->prefetches >= BLOB_PREFETCHES || object->away_tries > 0 ||
        api_client_is_offline(engine->client))
        return;
    most = window_most(engine);
    pthread_mutex_lock(&engine->lock);
    begin = object->ahead_end;
    end = object->next_offset + object->window;
    if (object->window == 0 || end <= begin || object->next_offset + object->window / 2 <= begin) {
        pthread_mutex_unlock(&engine->lock);
        return;
    }
    if (end > object->key.size)
        end = object->key.size;
    object->ahead_end = end;
    if (object->window < most)
        object->window = object->window * 2 > most ? most : object->window * 2;
    pthread_mutex_unlock(&engine->lock);
    if (end <= begin)
        return;
    if (object->key.size > BLOB_PIECE_SIZE)
        want_levels(object);
    plan(object, begin / BLOB_PIECE_SIZE, (end - 1) / BLOB_PIECE_SIZE, true, false);
}

void object_ahead(void *context)
{
    struct blob_object *object = context;

    pthread_mutex_lock(&object->engine->lock);
    object->ahead_posted = false;
    pthread_mutex_unlock(&object->engine->lock);
    atomic_fetch_sub(&object->engine->aheads, 1);
    go_ahead(object);
    blob_object_unref(object);
}

/* Reads -------------------------------------------------------------------- */

/* One step of a read that fills memory. True when it came further. */
static bool copy_some(struct blob_read *read)
{
    struct blob_object *object = read->object;
    uint64_t offset = read->offset + read->at;
    uint64_t index = offset / BLOB_PIECE_SIZE, in_piece = offset % BLOB_PIECE_SIZE;
    uint64_t left = read->size - read->at;
    struct piece *piece = piece_find(object, index);
    size_t size = (size_t)(blob_piece_size(object->key.size, index) - in_piece);

    if (size > left)
        size = (size_t)left;
    if (piece != NULL) {
        if (piece->state != PIECE_READY)
            return false;
        memcpy(read->out + read->at, piece->buffer + in_piece, size);
        piece_touch(piece, in_piece + size == piece->size);
    } else if (blob_entry_read(object->entry, offset, read->out + read->at, size) < 0) {
        return sparse_copy(read);
    }
    read->at += size;
    return true;
}

/* The same for one that only wants it cached. < 0: the cache does not keep it. */
static int skip_some(struct blob_read *read, bool *out_further)
{
    struct blob_object *object = read->object;
    uint64_t index = read->at / BLOB_PIECE_SIZE;
    struct piece *piece = piece_find(object, index);

    *out_further = false;
    if (piece != NULL) {
        if (piece->is_kept)
            return -ENOSPC;
        return 0;
    }
    if (!blob_entry_has(object->entry, index))
        return 0;
    read->at += blob_piece_size(object->key.size, index);
    *out_further = true;
    return 0;
}

static void plan_background(struct blob_read *read)
{
    struct blob_object *object = read->object;
    uint64_t begin = read->ahead_end > read->at ? read->ahead_end : read->at;
    uint64_t end = read->at + BACKGROUND_STEP;

    if (object->engine->prefetches >= BLOB_PREFETCHES)
        return;
    if (piece_find(object, read->at / BLOB_PIECE_SIZE) == NULL)
        begin = read->at; /* it was lost on the way */
    else if (begin - read->at > BACKGROUND_LOW)
        return;
    if (end > read->size)
        end = read->size;
    if (begin >= end)
        return;
    read->ahead_end = end;
    plan(object, begin / BLOB_PIECE_SIZE, (end - 1) / BLOB_PIECE_SIZE, true, false);
}

static void read_plan(struct blob_read *read)
{
    struct blob_object *object = read->object;
    uint64_t first = (read->offset + read->at) / BLOB_PIECE_SIZE;
    uint64_t last = (read->offset + read->size - 1) / BLOB_PIECE_SIZE;

    if (object->retry.place != 0 || object->engine->is_closing)
        return; /* the timer comes back here */
    if (object->packs > 0 && read->out != NULL)
        return; /* as does the pack's end */
    if (object->key.size > BLOB_PIECE_SIZE) {
        enum levels_state before = object->levels;

        want_levels(object);
        if (before == LEVELS_NONE && object->levels == LEVELS_FETCHING && read->out != NULL &&
            blob_entry_has(object->entry, first))
            return; /* its bytes may be here, and can be used when the levels come */
        if (object->levels != LEVELS_READY && blob_entry_has(object->entry, first))
            return;
    }
    if (read->out == NULL)
        plan_background(read);
    else if (!sparse_plan(read))
        plan(object, first, last, false, true);
}

/* As far as it goes now. False when it ended (and is gone). */
static bool read_advance(struct blob_read *read)
{
    bool further = true;
    struct error err;

    while (read->at < read->size && further) {
        if (read->out != NULL) {
            further = copy_some(read);
        } else if (skip_some(read, &further) < 0) {
            error_set(&err, -ENOSPC, "the cache does not keep it");
            read_end(read, -ENOSPC, &err);
            return false;
        }
    }
    if (read->at == read->size) {
        read_end(read, 0, NULL);
        return false;
    }
    if (api_client_is_offline(read->object->engine->client)) {
        error_set(&err, -ENETDOWN, "offline, and not in the cache");
        object_note_failure(read->object, &err);
        read_end(read, -ENETDOWN, &err);
        return false;
    }
    read_plan(read);
    return true;
}

void object_advance(struct blob_object *object)
{
    struct blob_read *read, *next;

    blob_object_ref(object);
    /* A callback can cancel any read of the object: after one ended, begin anew. */
    for (read = object->reads; read != NULL; read = next) {
        next = read->next;
        if (!read_advance(read))
            next = object->reads;
    }
    blob_object_unref(object);
}

void read_begin(void *context)
{
    struct blob_read *read = context;
    struct blob_object *object = read->object;
    struct blob_fetch *engine = object->engine;
    struct blob_read **at = &object->reads;
    struct error err;

    read->post.function = NULL;
    if (read->is_cancelled) {
        atomic_fetch_sub(&engine->reads, 1);
        memory_free(read);
        blob_object_unref(object);
        return;
    }
    while (*at != NULL)
        at = &(*at)->next;
    *at = read;
    if (read->out == NULL)
        engine->backgrounds++;
    read->timer = (struct http_timer){ .function = read_late, .context = read };
    if (engine->is_closing) {
        error_set(&err, -ECANCELED, "the engine ends");
        read_end(read, -ECANCELED, &err);
        return;
    }
    if (read->deadline_ms != UINT64_MAX &&
        http_timer_set(engine->loop, &read->timer, read->deadline_ms) < 0) {
        error_set(&err, -ENOMEM, "out of memory");
        read_end(read, -ENOMEM, &err);
        return;
    }
    blob_object_ref(object);
    if (read->out != NULL && object->key.size > BLOB_PIECE_SIZE) {
        bool due = object_note_progress(object, read->offset, read->size);

        sparse_begin(read);
        read_advance(read);
        if (due)
            go_ahead(object);
    } else {
        read_advance(read);
    }
    blob_object_unref(object);
}

/* Reads without a deadline end with the tries. */
static void end_patience(struct blob_object *object)
{
    struct blob_read *read = object->reads;

    while (read != NULL) {
        struct blob_read *next = read->next;

        if (read->deadline_ms == UINT64_MAX) {
            struct error err = object->last_err;

            if (err.code == 0)
                error_set(&err, -EAGAIN, "the server is away");
            read_end(read, err.code, &err);
            next = object->reads;
        }
        read = next;
    }
}

void object_retry_now(void *context)
{
    struct blob_object *object = context;

    if (object->away_tries >= AWAY_TRIES * api_client_server_count(object->engine->client))
        end_patience(object);
    object_advance(object);
    blob_object_unref(object);
}

size_t object_server(const struct blob_object *object, uint64_t wrong)
{
    struct servers *servers = api_client_servers(object->engine->client);
    uint64_t both = wrong | object->tried;

    return servers_pick(servers, servers_is_left(servers, both) ? both : wrong,
                        clock_monotonic_ms());
}

void object_retry(struct blob_object *object, size_t server, uint64_t retry_after_ms)
{
    struct blob_fetch *engine = object->engine;
    struct servers *servers = api_client_servers(engine->client);
    uint32_t count = (uint32_t)api_client_server_count(engine->client), random = 0;
    struct retry_policy policy = retry_policy_default();
    uint64_t wait = policy.base_ms;
    bool left;

    object->away_tries++;
    object->tried |= (uint64_t)1 << server;
    left = servers_is_left(servers, object->tried);
    if (!left)
        object->tried = 0;
    if (count > 1)
        retry_after_ms = servers_later_ms(servers, clock_monotonic_ms());
    if (object->reads == NULL || object->retry.place != 0 || engine->is_closing)
        return;
    random_bytes(&random, sizeof(random), NULL);
    policy.tries = UINT32_MAX;
    policy.retry_after_max_ms = UINT32_MAX;
    if (left)
        wait = 0; /* the next server at once */
    else
        retry_wait(&policy, object->away_tries / count + 1, retry_after_ms, random, &wait);
    blob_object_ref(object);
    if (http_timer_set(engine->loop, &object->retry, clock_monotonic_ms() + wait) < 0)
        blob_object_unref(object); /* no memory: the reads end at their deadline */
}
