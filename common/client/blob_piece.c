/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_fetch_private.h"

struct piece *piece_find(const struct blob_object *object, uint64_t index)
{
    struct piece *piece = object->pieces;

    while (piece != NULL && piece->index != index)
        piece = piece->next;
    return piece;
}

static void piece_checked(void *context);
static void piece_stored(void *context);

struct piece *piece_new(struct blob_object *object, uint64_t index)
{
    struct piece *piece = memory_new(sizeof(*piece));

    if (piece == NULL)
        return NULL;
    piece->object = blob_object_ref(object);
    piece->index = index;
    piece->size = (size_t)blob_piece_size(object->key.size, index);
    piece->checked = (struct http_post){ .function = piece_checked, .context = piece };
    piece->stored = (struct http_post){ .function = piece_stored, .context = piece };
    piece->next = object->pieces;
    object->pieces = piece;
    return piece;
}

/* Memory ------------------------------------------------------------------- */

static void kept_remove(struct blob_fetch *engine, struct piece *piece)
{
    if (!piece->is_kept)
        return;
    if (piece->newer != NULL)
        piece->newer->older = piece->older;
    else
        engine->kept_newest = piece->older;
    if (piece->older != NULL)
        piece->older->newer = piece->newer;
    else
        engine->kept_oldest = piece->newer;
    piece->newer = piece->older = NULL;
    piece->is_kept = false;
}

static void kept_add(struct blob_fetch *engine, struct piece *piece)
{
    piece->older = engine->kept_newest;
    if (piece->older != NULL)
        piece->older->newer = piece;
    else
        engine->kept_oldest = piece;
    engine->kept_newest = piece;
    piece->is_kept = true;
    piece->kept_ms = clock_monotonic_ms();
}

static void give_buffer(struct blob_fetch *engine, struct piece *piece)
{
    if (piece->buffer == NULL)
        return;
    engine->buffer_bytes -= piece->size;
    atomic_store(&engine->memory, engine->buffer_bytes);
    if (piece->size == BLOB_PIECE_SIZE && engine->spare_count < BLOB_SPARE_BUFFERS &&
        !engine->is_closing)
        engine->spare[engine->spare_count++] = piece->buffer;
    else
        memory_free(piece->buffer);
    piece->buffer = NULL;
}

void piece_drop(struct piece *piece)
{
    struct blob_object *object = piece->object;
    struct piece **at = &object->pieces;

    while (*at != piece)
        at = &(*at)->next;
    *at = piece->next;
    kept_remove(object->engine, piece);
    give_buffer(object->engine, piece);
    memory_free(piece);
    blob_object_unref(object);
}

/* Drops what was kept, the oldest first: for somebody who waits whatever nobody waits for, else
 * only what was read already. */
static bool make_room(struct blob_fetch *engine, size_t size, bool wanted)
{
    uint64_t most = engine->options.memory_bytes;
    struct piece *piece = engine->kept_oldest;

    while (piece != NULL && engine->buffer_bytes + size > most) {
        struct piece *newer = piece->newer;

        if ((wanted || piece->was_read) && !object_wants(piece->object, piece->index))
            piece_drop(piece);
        piece = newer;
    }
    return engine->buffer_bytes + size <= most;
}

bool piece_get_buffer(struct piece *piece)
{
    struct blob_fetch *engine = piece->object->engine;
    bool wanted;

    if (engine->buffer_bytes + piece->size > engine->options.memory_bytes) {
        wanted = object_wants(piece->object, piece->index);
        /* When somebody waits for it and no worker is about to give memory back, it is taken
         * beyond the limit: at most one piece a connection. */
        if (!make_room(engine, piece->size, wanted) && (!wanted || engine->jobs > 0))
            return false;
    }
    if (piece->size == BLOB_PIECE_SIZE && engine->spare_count > 0)
        piece->buffer = engine->spare[--engine->spare_count];
    else
        piece->buffer = memory_resize(NULL, piece->size, 1);
    if (piece->buffer == NULL)
        return false;
    engine->buffer_bytes += piece->size;
    atomic_store(&engine->memory, engine->buffer_bytes);
    if (engine->buffer_bytes > atomic_load(&engine->memory_peak))
        atomic_store(&engine->memory_peak, engine->buffer_bytes);
    return true;
}

void piece_touch(struct piece *piece, bool read_to_end)
{
    struct blob_fetch *engine = piece->object->engine;

    if (read_to_end)
        piece->was_read = true;
    if (!piece->is_kept)
        return;
    kept_remove(engine, piece);
    kept_add(engine, piece);
}

static void check_and_store(void *context);

/* To a worker: its bytes are checked, and offered to the cache. */
static void hand_over(struct piece *piece)
{
    struct blob_fetch *engine = piece->object->engine;

    kept_remove(engine, piece);
    piece->at_worker = true;
    piece->stored_ms = clock_monotonic_ms();
    engine->jobs++;
    workers_submit(engine->pool, check_and_store, piece);
}

static bool cache_may_take(struct blob_fetch *engine)
{
    struct blob_cache_stats stats;

    blob_cache_stats(engine->cache, &stats);
    return !stats.degraded;
}

/* What is read again and again would else stay in memory for ever, with the disk long in order. */
void pieces_age(struct blob_fetch *engine)
{
    uint64_t now = clock_monotonic_ms();
    struct piece *piece = engine->kept_oldest;
    bool any = false, offers = piece != NULL && cache_may_take(engine);

    while (piece != NULL) {
        struct piece *newer = piece->newer;

        if (offers && !piece->at_worker && now - piece->stored_ms > BLOB_STORE_MS)
            hand_over(piece);
        else if (now - piece->kept_ms > BLOB_KEPT_MS && !piece->at_worker &&
                 !object_wants(piece->object, piece->index)) {
            piece_drop(piece);
            any = true;
        }
        piece = newer;
    }
    if (any)
        transfers_resume(engine);
}

/* Checking and storing ------------------------------------------------------ */

/* On a worker: who waits gets the bytes before they are written. */
static void check_and_store(void *context)
{
    struct piece *piece = context;
    struct blob_object *object = piece->object;
    struct http_loop *loop = object->engine->loop;
    int r;

    r = blob_entry_verify(object->entry, piece->index, piece->buffer, piece->size, &piece->err);
    piece->result = r;
    http_loop_post_at(loop, &piece->checked);
    if (r == 0)
        r = blob_entry_put(object->entry, piece->index, piece->buffer, piece->size);
    atomic_store(&piece->put_result, r);
    http_loop_post_at(loop, &piece->stored);
}

void piece_check(struct piece *piece)
{
    piece->state = PIECE_CHECKING;
    hand_over(piece);
}

void piece_is_whole(struct piece *piece)
{
    struct blob_object *object = piece->object;

    if (object->key.size > BLOB_PIECE_SIZE && object->levels != LEVELS_READY)
        piece->state = PIECE_HELD;
    else
        piece_check(piece);
}

static void piece_checked(void *context)
{
    struct piece *piece = context;
    struct blob_object *object = blob_object_ref(piece->object);

    if (piece->result == 0) {
        struct bad_piece **at = &object->bad;

        while (*at != NULL && (*at)->index != piece->index)
            at = &(*at)->next;
        if (*at != NULL) {
            struct bad_piece *bad = *at;

            *at = bad->next;
            memory_free(bad);
        }
        object->away_tries = 0;
        object->tried = 0;
        piece->state = PIECE_READY;
        object_advance(object);
    }
    blob_object_unref(object);
}

static void piece_stored(void *context)
{
    struct piece *piece = context;
    struct blob_object *object = blob_object_ref(piece->object);
    struct blob_fetch *engine = object->engine;
    uint64_t index = piece->index;

    engine->jobs--;
    piece->at_worker = false;
    if (piece->result < 0) {
        struct error err = piece->err;
        int code = piece->result;
        size_t server = piece->server;

        piece_drop(piece);
        piece_came_wrong(object, index, server, code, &err);
    } else if (atomic_load(&piece->put_result) == 0 ||
               (piece->was_read && !object_wants(object, index))) {
        piece_drop(piece);
        if (object->reads != NULL)
            object_advance(object);
    } else {
        kept_add(engine, piece);
        if (engine->tick.place == 0 && !engine->is_closing)
            http_timer_set(engine->loop, &engine->tick, clock_monotonic_ms() + BLOB_TICK_MS);
        if (object->reads != NULL)
            object_advance(object);
    }
    engine_go_on(engine);
    blob_object_unref(object);
}

void engine_count_wrong(struct blob_fetch *engine, int code)
{
    atomic_fetch_add(&engine->integrity, 1);
    if (code != -EBADMSG)
        atomic_fetch_add(&engine->protocol, 1);
}

void engine_note_wrong(struct blob_fetch *engine, size_t server, int code, const struct error *err)
{
    char why[SERVER_CAUSE_SIZE];

    engine_count_wrong(engine, code);
    (void)snprintf(why, sizeof(why), "%.150s", err->text);
    api_client_note(engine->client, server, SERVER_WRONG, why);
}

void piece_came_wrong(struct blob_object *object, uint64_t index, size_t server, int code,
                      const struct error *err)
{
    struct blob_fetch *engine = object->engine;
    struct bad_piece *bad = object_bad(object, index);
    bool left;

    engine_note_wrong(engine, server, code, err);
    object_note_failure(object, err);
    if (object->reads == NULL)
        return;
    if (bad == NULL) {
        bad = memory_new(sizeof(*bad));
        if (bad == NULL) {
            object_fail(object, -ENOMEM, err);
            return;
        }
        *bad = (struct bad_piece){ .next = object->bad, .index = index, .code = code };
        object->bad = bad;
    }
    bad->tried |= (uint64_t)1 << server;
    if (code == -EBADMSG)
        bad->code = code;
    left = servers_is_left(api_client_servers(engine->client), bad->tried);
    if (!left && bad->around) {
        object_fail(object, bad->code, err);
        return;
    }
    bad->around = !left; /* each server, then one once more around caches */
    object_advance(object);
}
