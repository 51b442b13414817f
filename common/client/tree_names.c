/* SPDX-License-Identifier: MIT */
#include "common/client/tree_names.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_fetch_private.h"
#include "common/codec/zstd.h"
#include "common/model/merkle.h"
#include "common/model/tree.h"

#define WHOLE_MERKLE_MAX (512 * 1024) /* larger merkle objects: the levels, and one block later */

struct tree_names {
    struct blob_fetch *engine;
    struct blob_object *image;
    struct buf *out;
    uint64_t deadline_ms;
    blob_read_done *done;
    void *context;
    struct merkle_shape shape;
    struct tree_header header;

    struct api_call *names_call, *merkle_call;
    uint64_t asked; /* servers that gave some of it */
    struct zstd_reader *unpacker;
    bool names_failed;
    struct buf merkle; /* from the object's start */
    struct buf bottom; /* of the last, unfinished piece */
    struct http_timer timer;
    bool has_failed, falls_back, timed_out;
    int failure; /* the first one that was no integrity failure */
    struct error err;

    struct http_post checked;
    int check_result;
};

struct tree_names *tree_names_free(struct tree_names *fetch)
{
    if (fetch == NULL)
        return NULL;
    http_timer_clear(fetch->engine->loop, &fetch->timer);
    zstd_reader_free(fetch->unpacker);
    buf_release(&fetch->merkle);
    buf_release(&fetch->bottom);
    return memory_free(fetch);
}

static void end(struct tree_names *fetch, int code, const struct error *err)
{
    http_timer_clear(fetch->engine->loop, &fetch->timer);
    fetch->done(fetch->context, code, code == 0 ? NULL : err);
}

/* Through the engine -------------------------------------------------------- */

static void fallen_names_here(void *context, int result, const struct error *err)
{
    struct tree_names *fetch = context;

    if (result == 0)
        buf_added(fetch->out, (size_t)fetch->header.names_part_size);
    end(fetch, result, err);
}

static void fallen_header_here(void *context, int result, const struct error *err)
{
    struct tree_names *fetch = context;
    struct error own = { 0 };
    uint8_t *room;

    if (result == 0) {
        result =
            tree_check_header(span_of(fetch->out->bytes, TREE_HEADER_SIZE), &fetch->header, &own);
        err = &own;
    }
    if (result == 0 && fetch->header.names_part_size > fetch->shape.data_size)
        result = error_set(&own, -EBADMSG, "a names part larger than its image");
    room = result == 0 ? buf_reserve(fetch->out, (size_t)fetch->header.names_part_size) : NULL;
    if (result == 0 && room == NULL)
        result = error_set(&own, -ENOMEM, "out of memory");
    if (result == 0)
        result = blob_fetch_read(fetch->image, 0, room, (size_t)fetch->header.names_part_size,
                                 fetch->deadline_ms, fallen_names_here, fetch, NULL, &own);
    if (result < 0)
        end(fetch, result, err);
}

static void fall_back(struct tree_names *fetch)
{
    struct error err = { 0 };
    uint8_t *room;
    int r;

    buf_clear(fetch->out);
    room = buf_reserve(fetch->out, TREE_HEADER_SIZE);
    r = room == NULL ? error_set(&err, -ENOMEM, "out of memory")
                     : blob_fetch_read(fetch->image, 0, room, TREE_HEADER_SIZE, fetch->deadline_ms,
                                       fallen_header_here, fetch, NULL, &err);
    if (r < 0)
        end(fetch, r, &err);
}

/* Checking ------------------------------------------------------------------ */

static struct span upper_of(const struct tree_names *fetch)
{
    return span_slice(buf_span(&fetch->merkle), 0, (size_t)merkle_upper_range(&fetch->shape).size);
}

/* The part of a piece at the end: the gap behind it is zeros, up to a block. */
static int check_tail(struct tree_names *fetch, uint64_t piece, struct error *err)
{
    const struct digest *verity = &fetch->image->key.verity;
    uint64_t offset = piece * BLOB_PIECE_SIZE;
    size_t size = fetch->out->size - (size_t)offset;
    size_t padded = (size + MERKLE_BLOCK_SIZE - 1) / MERKLE_BLOCK_SIZE * MERKLE_BLOCK_SIZE;
    cleanup_memory uint8_t *tail = memory_new(padded);
    struct span bottom = buf_span(&fetch->bottom);
    int r;

    if (tail == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(tail, fetch->out->bytes + offset, size);
    r = merkle_check_bottom(&fetch->shape, verity, upper_of(fetch), piece, bottom, err);
    return r < 0 ? r
                 : merkle_check_blocks(&fetch->shape, bottom, offset, span_of(tail, padded), err);
}

static int check_all(struct tree_names *fetch, struct error *err)
{
    struct blob_entry *entry = fetch->image->entry;
    uint64_t whole = fetch->out->size / BLOB_PIECE_SIZE;
    int r;

    r = blob_entry_set_levels(entry, fetch->merkle.bytes, upper_of(fetch).size, err);
    for (uint64_t piece = 0; piece < whole && r == 0; piece++)
        r = blob_entry_verify(entry, piece, fetch->out->bytes + piece * BLOB_PIECE_SIZE,
                              BLOB_PIECE_SIZE, err);
    if (r == 0 && fetch->out->size % BLOB_PIECE_SIZE != 0)
        r = check_tail(fetch, whole, err);
    for (uint64_t piece = 0; piece < whole && r == 0; piece++)
        blob_entry_put(entry, piece, fetch->out->bytes + piece * BLOB_PIECE_SIZE, BLOB_PIECE_SIZE);
    return r;
}

static void check(void *context)
{
    struct tree_names *fetch = context;

    fetch->check_result = check_all(fetch, &fetch->err);
    http_loop_post_at(fetch->engine->loop, &fetch->checked);
}

/* Whose fault it was is known when one server gave it all. */
static void note_wrong(struct tree_names *fetch, const struct error *err)
{
    struct blob_fetch *engine = fetch->engine;

    object_note_failure(fetch->image, err);
    for (size_t i = 0; i < api_client_server_count(engine->client); i++) {
        if (fetch->asked == (uint64_t)1 << i) {
            engine_note_wrong(engine, i, -EBADMSG, err);
            return;
        }
    }
    engine_count_wrong(engine, -EBADMSG);
}

static void checked(void *context)
{
    struct tree_names *fetch = context;

    fetch->engine->jobs--;
    if (fetch->check_result == 0) {
        end(fetch, 0, NULL);
        return;
    }
    note_wrong(fetch, &fetch->err);
    fall_back(fetch);
}

static void queue_check(struct tree_names *fetch)
{
    fetch->checked = (struct http_post){ .function = checked, .context = fetch };
    fetch->engine->jobs++;
    workers_submit(fetch->engine->pool, check, fetch);
}

/* Over the wire -------------------------------------------------------------- */

static int ask_merkle(struct tree_names *fetch, uint64_t first, uint64_t size, api_call_done *done);

/* The bottom block of the unfinished piece, which was not fetched with the levels. */
static void bottom_here(void *context, const struct api_answer *answer)
{
    struct tree_names *fetch = context;

    fetch->merkle_call = NULL;
    fetch->asked |= (uint64_t)1 << answer->server;
    buf_clear(&fetch->bottom);
    buf_add_span(&fetch->bottom, answer->body);
    if (answer->code != 0 || answer->status != 206 || fetch->bottom.size != MERKLE_BLOCK_SIZE) {
        if (fetch->timed_out)
            end(fetch, -ETIMEDOUT, &fetch->err);
        else
            fall_back(fetch);
        return;
    }
    queue_check(fetch);
}

/* Both are here. */
static void both_here(struct tree_names *fetch)
{
    uint64_t piece, at;

    if (fetch->timed_out) {
        end(fetch, -ETIMEDOUT, &fetch->err);
        return;
    }
    if (fetch->failure != 0) {
        end(fetch, fetch->failure, &fetch->err);
        return;
    }
    if (fetch->out->size < TREE_HEADER_SIZE ||
        tree_check_header(span_slice(buf_span(fetch->out), 0, TREE_HEADER_SIZE), &fetch->header,
                          &fetch->err) < 0 ||
        fetch->header.names_part_size != fetch->out->size ||
        fetch->merkle.size < upper_of(fetch).size || upper_of(fetch).size == 0)
        fetch->falls_back = true;
    if (fetch->falls_back) {
        if (fetch->err.code == 0)
            error_set(&fetch->err, -EBADMSG, "a names part or merkle levels of the wrong size");
        note_wrong(fetch, &fetch->err);
        fall_back(fetch);
        return;
    }
    piece = fetch->out->size / BLOB_PIECE_SIZE;
    at = fetch->shape.bottom_offset + piece * MERKLE_BLOCK_SIZE;
    if (fetch->out->size % BLOB_PIECE_SIZE != 0) {
        if (fetch->merkle.size >= at + MERKLE_BLOCK_SIZE)
            buf_add(&fetch->bottom, fetch->merkle.bytes + at, MERKLE_BLOCK_SIZE);
        else if (ask_merkle(fetch, at, MERKLE_BLOCK_SIZE, bottom_here) == 0)
            return;
        else
            fetch->falls_back = true;
    }
    if (fetch->falls_back || buf_check(&fetch->bottom, NULL) < 0)
        fall_back(fetch);
    else
        queue_check(fetch);
}

/* One of the two ended. Wrong bytes are a reason to ask the engine; the rest is what it is. */
static void note_answer(struct tree_names *fetch, const struct api_answer *answer)
{
    atomic_fetch_add(&fetch->engine->fetched_bytes, answer->received);
    fetch->asked |= (uint64_t)1 << answer->server;
    if (answer->code == 0)
        return;
    if (answer->code == -EBADMSG || answer->code == -EIO || answer->code == -EFBIG)
        fetch->falls_back = true;
    else if (fetch->failure == 0)
        fetch->failure = answer->code;
    if (fetch->err.code == 0)
        fetch->err = answer->err;
}

static void merkle_here(void *context, const struct api_answer *answer)
{
    struct tree_names *fetch = context;

    fetch->merkle_call = NULL;
    note_answer(fetch, answer);
    if (answer->code == 0)
        buf_add_span(&fetch->merkle, answer->body);
    if (fetch->names_call == NULL)
        both_here(fetch);
}

static int unpacked(void *context, struct span bytes, struct error *err)
{
    struct tree_names *fetch = context;

    buf_add_span(fetch->out, bytes);
    return buf_check(fetch->out, err);
}

static int packed_here(void *context, struct span bytes, struct error *err)
{
    struct tree_names *fetch = context;

    return zstd_reader_add(fetch->unpacker, bytes, err);
}

static int new_unpacker(struct tree_names *fetch, struct error *err)
{
    fetch->unpacker = zstd_reader_free(fetch->unpacker);
    buf_clear(fetch->out);
    return zstd_reader_new(&fetch->unpacker, fetch->shape.data_size, unpacked, fetch, err);
}

static void packed_again(void *context)
{
    struct tree_names *fetch = context;

    if (new_unpacker(fetch, &fetch->err) < 0)
        fetch->failure = -ENOMEM;
}

static void names_here(void *context, const struct api_answer *answer)
{
    struct tree_names *fetch = context;
    struct error err = { 0 };

    fetch->names_call = NULL;
    note_answer(fetch, answer);
    if (answer->code == 0 && zstd_reader_end(fetch->unpacker, &err) < 0) {
        fetch->falls_back = true;
        if (fetch->err.code == 0)
            fetch->err = err;
    }
    if (fetch->merkle_call == NULL)
        both_here(fetch);
}

static void time_out(void *context)
{
    struct tree_names *fetch = context;
    struct api_call *names = fetch->names_call, *merkle = fetch->merkle_call;

    fetch->timed_out = true;
    error_set(&fetch->err, -ETIMEDOUT, "deadline passed");
    /* The last one to end calls `done`, and the fetch may be gone then. */
    if (names != NULL)
        api_call_cancel(names);
    if (merkle != NULL)
        api_call_cancel(merkle);
}

static int object_path(struct tree_names *fetch, bool merkle, const char *query, struct buf *out)
{
    pthread_mutex_lock(&fetch->engine->lock);
    buf_add_text(out, merkle ? fetch->image->merkle_path : fetch->image->path);
    pthread_mutex_unlock(&fetch->engine->lock);
    buf_add_text(out, query);
    return buf_check(out, NULL);
}

static int ask_merkle(struct tree_names *fetch, uint64_t first, uint64_t size, api_call_done *done)
{
    cleanup(buf_release) struct buf path = buf_init(16 * 1024);
    char range[64];
    const struct http_header header = { "Range", range };
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .headers = &header,
                                  .header_count = 1,
                                  .body_maximum = size,
                                  .done = done,
                                  .context = fetch };

    if (object_path(fetch, true, "", &path) < 0)
        return -ENOMEM;
    (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)first,
                   (unsigned long long)(first + size - 1));
    spec.path = buf_text(&path);
    atomic_fetch_add(&fetch->engine->requests, 1);
    return api_call_start(fetch->engine->client, &spec, &fetch->merkle_call, &fetch->err);
}

static int ask_names(struct tree_names *fetch)
{
    cleanup(buf_release) struct buf path = buf_init(16 * 1024);
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .on_body = packed_here,
                                  .on_restart = packed_again,
                                  .done = names_here,
                                  .context = fetch };

    if (object_path(fetch, false, "?part=names", &path) < 0)
        return -ENOMEM;
    spec.path = buf_text(&path);
    atomic_fetch_add(&fetch->engine->requests, 1);
    return api_call_start(fetch->engine->client, &spec, &fetch->names_call, &fetch->err);
}

int tree_names_start(struct tree_names **out_fetch, struct blob_fetch *engine,
                     struct blob_object *image, struct buf *out, uint64_t deadline_ms,
                     blob_read_done *done, void *context, struct error *err)
{
    struct tree_names *fetch = memory_new(sizeof(*fetch));
    uint64_t size;
    int r;

    if (fetch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fetch->engine = engine;
    fetch->image = image;
    fetch->out = out;
    fetch->deadline_ms = deadline_ms;
    fetch->done = done;
    fetch->context = context;
    fetch->bottom = buf_init(MERKLE_BLOCK_SIZE);
    fetch->timer = (struct http_timer){ .function = time_out, .context = fetch };
    r = merkle_shape_of(image->key.size, &fetch->shape, err);
    if (r == 0)
        r = new_unpacker(fetch, err);
    if (r == 0 && deadline_ms != UINT64_MAX &&
        http_timer_set(engine->loop, &fetch->timer, deadline_ms) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    size = fetch->shape.object_size <= WHOLE_MERKLE_MAX ? fetch->shape.object_size
                                                        : merkle_upper_range(&fetch->shape).size;
    fetch->merkle = buf_init((size_t)size);
    if (r == 0)
        r = ask_names(fetch);
    if (r == 0 && ask_merkle(fetch, 0, size, merkle_here) < 0) {
        /* `done` must not come from inside: the names' end will see to it. */
        fetch->failure = -ENOMEM;
        fetch->merkle_call = NULL;
    }
    if (r < 0) {
        if (err != NULL && fetch->err.code != 0)
            *err = fetch->err;
        tree_names_free(fetch);
        return r;
    }
    *out_fetch = fetch;
    return 0;
}
