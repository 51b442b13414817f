/* SPDX-License-Identifier: MIT */
/*
 * Sparse reads: few bytes here and there of a large object. A piece for each of them would move a
 * hundred times what is read; so the blocks that are read are asked for, and checked against the
 * bottom level of the hash tree. That comes in runs of blocks, which stay in memory for a while.
 *
 * Only a short cut: whatever goes wrong on it, the read goes on with whole pieces, which have every
 * server and every try. What was read so is not in the cache; its pieces are brought behind, when
 * nobody reads for a moment, and a piece that is read again and again comes whole at once.
 */
#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_fetch_private.h"

#define SPARSE_SIZE (64 * 1024) /* of one read, at most */
#define SPARSE_REQUESTS 64      /* at a time; whoever comes then takes a piece */
#define SPARSE_TOUCHES 4        /* of one piece, before it comes whole */
#define SPARSE_TOUCHED 4096     /* pieces to be brought behind */
#define SPARSE_FIRST_READS 4    /* of an object, that take their one bottom block alone */
#define SPARSE_RUN 64           /* bottom blocks of a run: the hashes of 32 MiB */
#define SPARSE_REST_MS 10000    /* without, after the bottom level failed */
#define SPARSE_QUIET_MS 250     /* nobody reads: what was touched may come */
#define SPARSE_STEP_MS 20
#define SPARSE_KEPT_MS 30000
#define TOUCHED_KEY 16

/* Some bottom blocks of an object, one behind the other. */
struct bottoms {
    struct bottoms *next;       /* used longer ago */
    struct blob_object *object; /* a reference */
    uint64_t first, count;
    uint64_t checked; /* a bit for each block */
    uint8_t *bytes;   /* NULL: on its way */
    size_t server;    /* that gave them */
    uint64_t used_ms;
};

/* Bottom levels ------------------------------------------------------------ */

static size_t bottoms_size(const struct bottoms *run)
{
    return (size_t)run->count * MERKLE_BLOCK_SIZE;
}

static void bottoms_drop(struct blob_fetch *engine, struct bottoms **at)
{
    struct bottoms *run = *at;

    *at = run->next;
    engine->bottom_bytes -= bottoms_size(run);
    memory_free(run->bytes);
    blob_object_unref(run->object);
    memory_free(run);
}

/* The run that has the piece's block, moved to the front; NULL: none has. */
static struct bottoms *bottoms_find(struct blob_object *object, uint64_t piece)
{
    struct blob_fetch *engine = object->engine;
    struct bottoms **at = &engine->bottoms;

    while (*at != NULL) {
        struct bottoms *run = *at;
        if (run->object == object && piece >= run->first && piece - run->first < run->count) {
            *at = run->next;
            run->next = engine->bottoms;
            engine->bottoms = run;
            run->used_ms = clock_monotonic_ms();
            return run;
        }
        at = &run->next;
    }
    return NULL;
}

/* Those used longest ago go; what is on its way stays. */
static void bottoms_make_room(struct blob_fetch *engine, size_t size)
{
    uint64_t most = engine->options.memory_bytes / 3;

    while (engine->bottom_bytes + size > most) {
        struct bottoms **last = NULL;
        for (struct bottoms **at = &engine->bottoms; *at != NULL; at = &(*at)->next)
            if ((*at)->bytes != NULL)
                last = at;
        if (last == NULL)
            return;
        bottoms_drop(engine, last);
    }
}

static int bottoms_ask(struct blob_object *object, uint64_t piece)
{
    struct blob_fetch *engine = object->engine;
    uint64_t pieces = blob_piece_count(object->key.size);
    struct bottoms *run = memory_new(sizeof(*run));
    int r;

    if (run == NULL)
        return -ENOMEM;
    run->first = piece;
    run->count = 1;
    if (object->sparse_reads > SPARSE_FIRST_READS) {
        run->first = piece - piece % SPARSE_RUN;
        run->count = pieces - run->first < SPARSE_RUN ? pieces - run->first : SPARSE_RUN;
    }
    run->object = blob_object_ref(object);
    run->used_ms = clock_monotonic_ms();
    bottoms_make_room(engine, bottoms_size(run));
    run->next = engine->bottoms;
    engine->bottoms = run;
    engine->bottom_bytes += bottoms_size(run);
    r = transfer_start_bottoms(object, run->first, run->count);
    if (r < 0)
        bottoms_drop(engine, &engine->bottoms);
    return r;
}

static void bottoms_came(struct blob_object *object, uint64_t first, size_t server,
                         struct buf *bytes)
{
    struct bottoms *run = bottoms_find(object, first);

    if (run == NULL || run->bytes != NULL || bytes->size != bottoms_size(run))
        return;
    run->bytes = (uint8_t *)buf_take(bytes);
    run->server = server;
}

static void bottoms_failed(struct blob_object *object, uint64_t first)
{
    struct bottoms *run = bottoms_find(object, first); /* which has it in front */

    if (run != NULL)
        bottoms_drop(object->engine, &object->engine->bottoms);
    object->sparse_rest_ms = clock_monotonic_ms() + SPARSE_REST_MS;
}

/* The piece's bottom block, checked. -EAGAIN: on its way. */
static int bottom_of(struct blob_object *object, uint64_t piece, struct span *out,
                     size_t *out_server, struct error *err)
{
    struct bottoms *run = bottoms_find(object, piece);
    uint64_t place, bit;
    int r = 0;

    if (run == NULL || run->bytes == NULL)
        return -EAGAIN;
    place = piece - run->first;
    bit = (uint64_t)1 << place;
    *out_server = run->server;
    *out = span_of(run->bytes + place * MERKLE_BLOCK_SIZE, MERKLE_BLOCK_SIZE);
    if ((run->checked & bit) == 0)
        r = blob_entry_verify_bottom(object->entry, piece, *out, err);
    if (r == 0)
        run->checked |= bit;
    return r;
}

/* What was touched ---------------------------------------------------------- */

static struct span touched_key(const struct blob_object *object, uint64_t piece,
                               uint8_t out[TOUCHED_KEY])
{
    bytes_set_u64(out, (uint64_t)(uintptr_t)object);
    bytes_set_u64(out + 8, piece);
    return span_of(out, TOUCHED_KEY);
}

static void set_timer(struct blob_fetch *engine, uint64_t in_ms)
{
    if (engine->sparse_timer.place == 0 && !engine->is_closing)
        http_timer_set(engine->loop, &engine->sparse_timer, clock_monotonic_ms() + in_ms);
}

static void touched_remove(struct blob_object *object, uint64_t piece)
{
    uint8_t key[TOUCHED_KEY];

    if (map_remove(&object->engine->touched, touched_key(object, piece, key)) != NULL)
        blob_object_unref(object);
}

/* How often it was, with this time. */
static uint64_t touch(struct blob_object *object, uint64_t piece)
{
    struct map *touched = &object->engine->touched;
    uint8_t text[TOUCHED_KEY];
    struct span key = touched_key(object, piece, text);
    uint64_t count = (uint64_t)(uintptr_t)map_get(touched, key) + 1;

    if (count == 1 && touched->count >= SPARSE_TOUCHED)
        return count;
    if (map_set(touched, key, (void *)(uintptr_t)count, NULL) == 0 && count == 1)
        blob_object_ref(object);
    return count;
}

/* Some that was touched, or false. */
static bool touched_next(struct blob_fetch *engine, struct blob_object **out_object,
                         uint64_t *out_piece)
{
    struct span key;
    void *value;
    size_t at = 0;

    if (!map_next(&engine->touched, &at, &key, &value))
        return false;
    *out_object = (struct blob_object *)(uintptr_t)bytes_u64(key.bytes);
    *out_piece = bytes_u64(key.bytes + 8);
    return true;
}

static void bring_touched(struct blob_fetch *engine)
{
    struct blob_object *object;
    uint64_t piece;

    while (engine->prefetches < BLOB_PREFETCHES && touched_next(engine, &object, &piece)) {
        if (object->levels == LEVELS_READY && object->retry.place == 0 &&
            piece_find(object, piece) == NULL && !blob_entry_has(object->entry, piece))
            transfer_start(object, piece, 1, true);
        touched_remove(object, piece);
    }
}

void sparse_tick(void *context)
{
    struct blob_fetch *engine = context;
    uint64_t now_ms = clock_monotonic_ms();
    struct bottoms **at = &engine->bottoms;

    while (*at != NULL) {
        if ((*at)->bytes != NULL && now_ms - (*at)->used_ms > SPARSE_KEPT_MS)
            bottoms_drop(engine, at);
        else
            at = &(*at)->next;
    }
    if (engine->touched.count == 0) {
        if (engine->bottoms != NULL)
            set_timer(engine, SPARSE_KEPT_MS);
        return;
    }
    if (now_ms - engine->sparse_ms < SPARSE_QUIET_MS || blob_fetch_is_busy(engine)) {
        set_timer(engine, SPARSE_QUIET_MS);
        return;
    }
    bring_touched(engine);
    set_timer(engine, SPARSE_STEP_MS);
}

void sparse_clear(struct blob_fetch *engine)
{
    struct blob_object *object;
    uint64_t piece;

    http_timer_clear(engine->loop, &engine->sparse_timer);
    while (touched_next(engine, &object, &piece))
        touched_remove(object, piece);
    map_release(&engine->touched);
    engine->touched = map_init();
    while (engine->bottoms != NULL)
        bottoms_drop(engine, &engine->bottoms);
}

/* Reads -------------------------------------------------------------------- */

void sparse_begin(struct blob_read *read)
{
    struct blob_object *object = read->object;
    uint64_t first = read->offset / BLOB_PIECE_SIZE;
    bool goes_forward;

    /* Who begins at the beginning may well go on. */
    if (first == 0 || read->size == 0 || read->size > SPARSE_SIZE ||
        (read->offset + read->size - 1) / BLOB_PIECE_SIZE != first)
        return;
    pthread_mutex_lock(&object->engine->lock);
    goes_forward = object->window != 0;
    pthread_mutex_unlock(&object->engine->lock);
    if (goes_forward || piece_find(object, first) != NULL || blob_entry_has(object->entry, first))
        return;
    object->sparse_reads++;
    object->engine->sparse_ms = clock_monotonic_ms();
    set_timer(object->engine, SPARSE_QUIET_MS);
    if (touch(object, first) < SPARSE_TOUCHES)
        read->is_sparse = true;
    else
        touched_remove(object, first);
}

void sparse_end(struct blob_read *read)
{
    struct transfer *transfer = read->blocks;

    read->is_sparse = false;
    read->blocks = NULL;
    if (transfer != NULL) {
        transfer->reader = NULL;
        transfer_cancel(transfer);
    }
    buf_release(&read->block_bytes);
}

bool sparse_plan(struct blob_read *read)
{
    struct blob_object *object = read->object;
    struct blob_fetch *engine = object->engine;
    uint64_t piece = read->offset / BLOB_PIECE_SIZE;

    bool asked = read->block_bytes.size > 0 || read->blocks != NULL;
    int r = 0;

    if (!read->is_sparse)
        return false;
    if (clock_monotonic_ms() < object->sparse_rest_ms ||
        (!asked && engine->sparse_requests >= SPARSE_REQUESTS))
        r = -EAGAIN;
    if (r == 0 && bottoms_find(object, piece) == NULL)
        r = bottoms_ask(object, piece); /* also when it had to go for others in between */
    if (r == 0 && !asked)
        r = transfer_start_blocks(read);
    if (r < 0)
        sparse_end(read);
    return r == 0;
}

/* The short cut ends here, for this read. */
static void give_up(struct blob_read *read, size_t server, const struct error *err)
{
    engine_note_wrong(read->object->engine, server, err->code, err);
    object_note_failure(read->object, err);
    sparse_end(read);
}

bool sparse_copy(struct blob_read *read)
{
    struct blob_object *object = read->object;
    uint64_t begin = read->offset - read->offset % MERKLE_BLOCK_SIZE;
    struct merkle_shape shape;
    struct error err = { 0 };
    struct span bottom;
    size_t server = 0;
    int r;

    if (read->block_bytes.size == 0 || object->levels != LEVELS_READY)
        return false;
    r = bottom_of(object, read->offset / BLOB_PIECE_SIZE, &bottom, &server, &err);
    if (r == -EAGAIN)
        return false;
    if (r < 0) {
        bottoms_failed(object, read->offset / BLOB_PIECE_SIZE);
        give_up(read, server, &err);
        return false;
    }
    r = merkle_shape_of(object->key.size, &shape, &err);
    if (r == 0)
        r = merkle_check_blocks(&shape, bottom, begin, buf_span(&read->block_bytes), &err);
    if (r < 0) {
        give_up(read, read->block_server, &err);
        return false;
    }
    memcpy(read->out, read->block_bytes.bytes + (read->offset - begin), (size_t)read->size);
    read->at = read->size;
    return true;
}

static void take_bytes(struct blob_read *read, size_t server, struct buf *bytes)
{
    read->block_server = server;
    read->block_bytes = *bytes;
    *bytes = buf_init(1);
}

/* The last leg of a transfer of blocks or of bottom blocks has ended: `code` as in http_result. */
void sparse_came(struct leg *leg, int code, const struct error *err)
{
    struct transfer *transfer = leg->transfer;
    struct blob_object *object = transfer->object;
    struct blob_read *read = transfer->reader;

    if (leg->is_wrong)
        engine_note_wrong(object->engine, leg->server, code, err);
    if (code != 0 && code != -ECANCELED)
        object_note_failure(object, err);
    if (transfer->is_bottoms && code == 0) {
        bottoms_came(object, transfer->piece, leg->server, &transfer->collected);
    } else if (transfer->is_bottoms) {
        bottoms_failed(object, transfer->piece);
    } else if (read != NULL) {
        read->blocks = NULL;
        if (code == 0)
            take_bytes(read, leg->server, &transfer->collected);
        else
            sparse_end(read);
    }
    if (!object->engine->is_closing)
        object_advance(object);
}
