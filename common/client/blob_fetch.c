/* SPDX-License-Identifier: MIT */
#include "common/client/blob_fetch.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/base/workers.h"
#include "common/client/blob_fetch_private.h"

#define KEY_TEXT_SIZE (1 + DIGEST_SIZE + DIGEST_SIZE + 8)
#define CLOSING_TURN_MS 100
#define POOL_QUEUE 4096
#define WORKERS_MAX 4
#define MEMORY_DEFAULT (32 * 1024 * 1024)
#define MEMORY_LEAST (8 * 1024 * 1024)
#define WINDOW_DEFAULT (16 * 1024 * 1024)

static void tick(void *context)
{
    struct blob_fetch *engine = context;

    pieces_age(engine);
    transfers_age(engine);
    if (engine->kept_oldest != NULL || engine->transfers != NULL)
        http_timer_set(engine->loop, &engine->tick, clock_monotonic_ms() + BLOB_TICK_MS);
}

int blob_fetch_new(struct blob_fetch **out_engine, const struct blob_fetch_options *options,
                   struct error *err)
{
    struct blob_fetch *engine = memory_new(sizeof(*engine));
    size_t workers = options->workers;
    int r;

    if (engine == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    engine->options = *options;
    engine->client = options->client;
    engine->cache = options->cache;
    engine->loop = api_client_loop(options->client);
    engine->objects = map_init();
    engine->tick = (struct http_timer){ .function = tick, .context = engine };
    engine->touched = map_init();
    engine->sparse_timer = (struct http_timer){ .function = sparse_tick, .context = engine };
    if (engine->options.memory_bytes == 0)
        engine->options.memory_bytes = MEMORY_DEFAULT;
    if (engine->options.memory_bytes < MEMORY_LEAST)
        engine->options.memory_bytes = MEMORY_LEAST;
    if (engine->options.window_bytes == 0)
        engine->options.window_bytes = WINDOW_DEFAULT;
    if (workers == 0)
        workers = platform_cpu_count();
    r = workers_new(&engine->pool, workers > WORKERS_MAX ? WORKERS_MAX : workers, POOL_QUEUE, err);
    if (r < 0) {
        memory_free(engine);
        return r;
    }
    pthread_mutex_init(&engine->lock, NULL);
    *out_engine = engine;
    return 0;
}

/* One object that has reads, pieces or a timer, referenced; NULL when there is none. */
static struct blob_object *busy_object(struct blob_fetch *engine)
{
    struct blob_object *found = NULL;
    struct span key;
    void *value;
    size_t at = 0;

    pthread_mutex_lock(&engine->lock);
    while (found == NULL && map_next(&engine->objects, &at, &key, &value)) {
        struct blob_object *object = value;

        if (object->reads != NULL || object->pieces != NULL || object->retry.place != 0) {
            object->refs++;
            found = object;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return found;
}

/* Ends what can be ended now. Callbacks may ask for more, which comes back here. */
static void end_all(struct blob_fetch *engine)
{
    struct blob_object *object;
    struct error err;

    error_set(&err, -ECANCELED, "the engine ends");
    api_client_cancel(engine->client); /* trees that are being opened */
    transfer_cancel_all(engine);
    sparse_clear(engine);
    if (engine->jobs > 0)
        return; /* their pieces and objects are in use */
    while ((object = busy_object(engine)) != NULL) {
        object_fail(object, -ECANCELED, &err);
        while (object->pieces != NULL)
            piece_drop(object->pieces);
        if (object->retry.place != 0) {
            http_timer_clear(engine->loop, &object->retry);
            blob_object_unref(object);
        }
        blob_object_unref(object);
    }
}

struct blob_fetch *blob_fetch_free(struct blob_fetch *engine)
{
    if (engine == NULL)
        return NULL;
    engine->is_closing = true;
    http_timer_clear(engine->loop, &engine->tick);
    do {
        http_loop_run_once(engine->loop, engine->jobs + engine->packs > 0 ? CLOSING_TURN_MS : 0,
                           NULL);
        end_all(engine);
    } while (engine->jobs > 0 || engine->packs > 0 || atomic_load(&engine->reads) > 0 ||
             atomic_load(&engine->aheads) > 0);
    http_timer_clear(engine->loop, &engine->tick);
    while (engine->spare_count > 0)
        memory_free(engine->spare[--engine->spare_count]);
    engine->pool = workers_free(engine->pool);
    map_release(&engine->objects);
    pthread_mutex_destroy(&engine->lock);
    return memory_free(engine);
}

/* Objects ----------------------------------------------------------------- */

static void key_text(const struct blob_key *key, uint8_t out[KEY_TEXT_SIZE])
{
    out[0] = (uint8_t)key->kind;
    memcpy(out + 1, key->name.bytes, DIGEST_SIZE);
    memcpy(out + 1 + DIGEST_SIZE, key->verity.bytes, DIGEST_SIZE);
    bytes_set_u64(out + 1 + 2 * DIGEST_SIZE, key->size);
}

static void object_destroy(struct blob_object *object)
{
    while (object->bad != NULL) {
        struct bad_piece *next = object->bad->next;

        memory_free(object->bad);
        object->bad = next;
    }
    blob_entry_unref(object->entry);
    memory_free(object->path);
    memory_free(object->merkle_path);
    memory_free(object);
}

static int set_path(struct blob_object *object, const struct blob_source *source)
{
    char *path, *merkle;
    size_t size = strlen(source->path);

    if (object->path != NULL && strcmp(object->path, source->path) == 0)
        return 0;
    path = memory_text(source->path);
    if (source->merkle_path != NULL) {
        merkle = memory_text(source->merkle_path);
    } else {
        merkle = memory_new(size + sizeof("/merkle"));
        if (merkle != NULL) {
            memcpy(merkle, source->path, size);
            memcpy(merkle + size, "/merkle", sizeof("/merkle"));
        }
    }
    if (path == NULL || merkle == NULL) {
        memory_free(path);
        memory_free(merkle);
        return -ENOMEM;
    }
    memory_free(object->path);
    memory_free(object->merkle_path);
    object->path = path;
    object->merkle_path = merkle;
    object->path_number++;
    return 0;
}

/* A new one in the table (engine locked). */
static struct blob_object *object_new(struct blob_fetch *engine, const struct blob_source *source,
                                      const uint8_t *key)
{
    struct blob_object *object = memory_new(sizeof(*object));

    if (object == NULL)
        return NULL;
    object->engine = engine;
    object->key = source->key;
    object->retry = (struct http_timer){ .function = object_retry_now, .context = object };
    object->ahead_post = (struct http_post){ .function = object_ahead, .context = object };
    if (blob_cache_entry(engine->cache, &source->key, &object->entry, NULL) < 0 ||
        set_path(object, source) < 0 ||
        map_set(&engine->objects, span_of(key, KEY_TEXT_SIZE), object, NULL) < 0) {
        object_destroy(object);
        return NULL;
    }
    return object;
}

int blob_fetch_object(struct blob_fetch *engine, const struct blob_source *source,
                      struct blob_object **out_object, struct error *err)
{
    uint8_t key[KEY_TEXT_SIZE];
    struct blob_object *object;
    int r = 0;

    if (source->key.size > MERKLE_MAX_DATA)
        return error_set(err, -EFBIG, "an object larger than 2^53 - 1 bytes");
    key_text(&source->key, key);
    pthread_mutex_lock(&engine->lock);
    object = map_get(&engine->objects, span_of(key, sizeof(key)));
    if (object == NULL)
        object = object_new(engine, source, key);
    else
        r = set_path(object, source);
    if (object != NULL && r == 0)
        object->refs++;
    pthread_mutex_unlock(&engine->lock);
    if (object == NULL || r < 0)
        return error_set(err, -ENOMEM, "out of memory");
    *out_object = object;
    return 0;
}

struct blob_object *blob_object_ref(struct blob_object *object)
{
    pthread_mutex_lock(&object->engine->lock);
    object->refs++;
    pthread_mutex_unlock(&object->engine->lock);
    return object;
}

struct blob_object *blob_object_unref(struct blob_object *object)
{
    struct blob_fetch *engine;
    bool last;

    if (object == NULL)
        return NULL;
    engine = object->engine;
    pthread_mutex_lock(&engine->lock);
    last = --object->refs == 0;
    if (last) {
        uint8_t key[KEY_TEXT_SIZE];

        key_text(&object->key, key);
        map_remove(&engine->objects, span_of(key, sizeof(key)));
    }
    pthread_mutex_unlock(&engine->lock);
    if (last)
        object_destroy(object);
    return NULL;
}

const struct blob_key *blob_object_key(const struct blob_object *object)
{
    return &object->key;
}

struct blob_entry *blob_object_entry(const struct blob_object *object)
{
    return object->entry;
}

void object_note_failure(struct blob_object *object, const struct error *err)
{
    struct blob_fetch *engine = object->engine;

    pthread_mutex_lock(&engine->lock);
    memcpy(engine->last_error, err->text, sizeof(engine->last_error));
    pthread_mutex_unlock(&engine->lock);
}

void engine_go_on(struct blob_fetch *engine)
{
    struct span key;
    void *value;
    size_t at = 0;

    transfers_resume(engine);
    if (engine->backgrounds == 0 || engine->is_closing || engine->prefetches >= BLOB_PREFETCHES)
        return;
    for (;;) {
        struct blob_object *object = NULL;

        pthread_mutex_lock(&engine->lock);
        while (object == NULL && map_next(&engine->objects, &at, &key, &value)) {
            object = value;
            if (object->reads == NULL)
                object = NULL;
            else
                object->refs++;
        }
        pthread_mutex_unlock(&engine->lock);
        if (object == NULL)
            return;
        object_advance(object);
        blob_object_unref(object);
    }
}

/* Public reads ------------------------------------------------------------ */

static bool is_within(const struct blob_object *object, uint64_t offset, uint64_t size)
{
    return offset <= object->key.size && size <= object->key.size - offset;
}

static void ask_ahead(struct blob_object *object)
{
    bool post;

    pthread_mutex_lock(&object->engine->lock);
    post = !object->ahead_posted;
    if (post) {
        object->ahead_posted = true;
        object->refs++;
    }
    pthread_mutex_unlock(&object->engine->lock);
    if (post) {
        atomic_fetch_add(&object->engine->aheads, 1);
        http_loop_post_at(object->engine->loop, &object->ahead_post);
    }
}

int blob_fetch_try_cached(struct blob_object *object, uint64_t offset, void *out, size_t size)
{
    int r;

    if (!is_within(object, offset, size))
        return -EINVAL;
    r = blob_entry_read(object->entry, offset, out, size);
    if (r < 0)
        return r;
    atomic_fetch_add(&object->engine->hits, size);
    if (object->key.size > BLOB_PIECE_SIZE && object_note_progress(object, offset, size))
        ask_ahead(object);
    return 0;
}

static int start_read(struct blob_object *object, uint64_t offset, void *out, uint64_t size,
                      uint64_t deadline_ms, blob_read_done *done, void *context,
                      struct blob_read **out_read, struct error *err)
{
    struct blob_read *read;

    if (!is_within(object, offset, size))
        return error_set(err, -EINVAL, "a read beyond the end");
    read = memory_new(sizeof(*read));
    if (read == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    read->object = blob_object_ref(object);
    if (out != NULL) {
        read->offset = offset;
        read->size = size;
    } else { /* piece by piece, from the beginning of the first to the end of the last */
        read->at = offset / BLOB_PIECE_SIZE * BLOB_PIECE_SIZE;
        read->size = (offset + size + BLOB_PIECE_SIZE - 1) / BLOB_PIECE_SIZE * BLOB_PIECE_SIZE;
        if (read->size > object->key.size)
            read->size = object->key.size;
    }
    read->out = out;
    read->deadline_ms = deadline_ms;
    read->done = done;
    read->context = context;
    read->post = (struct http_post){ .function = read_begin, .context = read };
    read->block_bytes = buf_init(1);
    atomic_fetch_add(&object->engine->reads, 1);
    if (out_read != NULL)
        *out_read = read;
    http_loop_post_at(object->engine->loop, &read->post);
    return 0;
}

int blob_fetch_read(struct blob_object *object, uint64_t offset, void *out, size_t size,
                    uint64_t deadline_ms, blob_read_done *done, void *context,
                    struct blob_read **out_read, struct error *err)
{
    return start_read(object, offset, out, size, deadline_ms, done, context, out_read, err);
}

int blob_fetch_bring(struct blob_object *object, uint64_t offset, uint64_t size,
                     uint64_t deadline_ms, blob_read_done *done, void *context, struct error *err)
{
    return start_read(object, offset, NULL, size, deadline_ms, done, context, NULL, err);
}

int blob_fetch_complete(struct blob_object *object, uint64_t deadline_ms, blob_read_done *done,
                        void *context, struct error *err)
{
    return blob_fetch_bring(object, 0, object->key.size, deadline_ms, done, context, err);
}

/* Streams: one piece after the other through the same reads; the window makes them come ahead. */
struct stream {
    struct blob_object *object;
    uint8_t *buffer;
    uint64_t at;
    size_t size;
    uint64_t deadline_ms;
    blob_stream_bytes *on_bytes;
    blob_read_done *done;
    void *context;
};

static void stream_step(struct stream *stream);

static void stream_end(struct stream *stream, int result, const struct error *err)
{
    blob_read_done *done = stream->done;
    void *context = stream->context;

    blob_object_unref(stream->object);
    memory_free(stream->buffer);
    memory_free(stream);
    done(context, result, err);
}

static void stream_got(void *context, int result, const struct error *err)
{
    struct stream *stream = context;
    struct error own = { 0 };

    if (result == 0) {
        result = stream->on_bytes(stream->context, stream->at,
                                  span_of(stream->buffer, stream->size), &own);
        err = &own;
    }
    if (result != 0) {
        stream_end(stream, result, err);
        return;
    }
    stream->at += stream->size;
    stream_step(stream);
}

static void stream_step(struct stream *stream)
{
    uint64_t left = stream->object->key.size - stream->at;
    struct error err = { 0 };
    int r;

    if (left == 0 && stream->size > 0) {
        stream_end(stream, 0, NULL);
        return;
    }
    stream->size = left < BLOB_PIECE_SIZE ? (size_t)left : BLOB_PIECE_SIZE;
    r = blob_fetch_read(stream->object, stream->at, stream->buffer, stream->size,
                        stream->deadline_ms, stream_got, stream, NULL, &err);
    if (r < 0)
        stream_end(stream, r, &err);
}

/* An object without bytes: nothing to give. */
static void stream_empty(void *context, int result, const struct error *err)
{
    stream_end(context, result, err);
}

int blob_fetch_stream(struct blob_object *object, uint64_t deadline_ms, blob_stream_bytes *on_bytes,
                      blob_read_done *done, void *context, struct error *err)
{
    struct stream *stream = memory_new(sizeof(*stream));
    size_t size = object->key.size < BLOB_PIECE_SIZE ? (size_t)object->key.size : BLOB_PIECE_SIZE;
    int r;

    if (stream == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    stream->buffer = memory_resize(NULL, size, 1);
    if (stream->buffer == NULL) {
        memory_free(stream);
        return error_set(err, -ENOMEM, "out of memory");
    }
    stream->object = blob_object_ref(object);
    stream->size = size;
    stream->deadline_ms = deadline_ms;
    stream->on_bytes = on_bytes;
    stream->done = done;
    stream->context = context;
    r = blob_fetch_read(object, 0, stream->buffer, size, deadline_ms,
                        size == 0 ? stream_empty : stream_got, stream, NULL, err);
    if (r < 0) {
        blob_object_unref(object);
        memory_free(stream->buffer);
        memory_free(stream);
    }
    return r;
}

void blob_fetch_stats(struct blob_fetch *engine, struct blob_fetch_stats *out)
{
    *out = (struct blob_fetch_stats){
        .requests = atomic_load(&engine->requests),
        .fetched_bytes = atomic_load(&engine->fetched_bytes),
        .hit_bytes = atomic_load(&engine->hits),
        .integrity_failures = atomic_load(&engine->integrity),
        .protocol_failures = atomic_load(&engine->protocol),
        .memory_bytes = atomic_load(&engine->memory),
        .memory_peak_bytes = atomic_load(&engine->memory_peak),
        .reads = atomic_load(&engine->reads),
    };
    pthread_mutex_lock(&engine->lock);
    memcpy(out->last_error, engine->last_error, sizeof(out->last_error));
    pthread_mutex_unlock(&engine->lock);
}
