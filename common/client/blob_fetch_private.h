/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/client/api_client.h"
#include "common/client/blob_fetch.h"
#include "common/model/merkle.h"
#include "common/net/http_loop.h"

struct workers;

/*
 * blob_fetch_private - what blob_fetch.c (objects, the public calls), blob_read.c (reads, what to
 * ask for next), blob_sparse.c (reads of few bytes), blob_piece.c (buffers, workers),
 * blob_transfer.c (what is asked for together), blob_leg.c (its requests) and blob_answer.c (what
 * their answers may say) share.
 *
 * A piece lives from the moment it is asked for until its bytes are in the cache, or, when the
 * cache does not take them, until memory is needed or it grows old. All of it belongs to the loop's
 * thread; the engine's lock guards the table of objects and what a reader on another thread
 * touches.
 */
#define BLOB_WINDOW_FIRST (1024 * 1024)
#define BLOB_PREFETCHES 4 /* transfers at a time that nobody waits for */
#define BLOB_TICK_MS 1000
#define BLOB_KEPT_MS 10000  /* a piece that the cache did not take */
#define BLOB_STORE_MS 6000  /* ... until it is asked again */
#define BLOB_PAUSED_MS 5000 /* a transfer that nobody waits for */
#define BLOB_SPARE_BUFFERS 16
#define BLOB_NEAR (2 * 1024 * 1024) /* a reader that goes forward, with its requests out of order */

enum piece_state {
    PIECE_FETCHING, /* asked for, or arriving */
    PIECE_HELD,     /* whole, waits for the merkle levels */
    PIECE_CHECKING, /* at a worker */
    PIECE_READY,    /* verified, in memory */
};

struct piece {
    struct blob_object *object;  /* a reference */
    struct piece *next;          /* of the object */
    struct piece *newer, *older; /* among those kept in memory */
    uint64_t index;
    size_t size, filled;
    uint8_t *buffer;
    enum piece_state state;
    bool is_kept;   /* in the list of those that the cache did not take */
    bool at_worker; /* being checked or written */
    bool was_read;
    size_t server; /* that was asked for it */
    uint64_t kept_ms;
    uint64_t stored_ms; /* when the cache was asked to take it */
    int result;         /* of the check */
    _Atomic int put_result;
    struct error err;
    struct http_post checked, stored;
};

/* A piece that came wrong. */
struct bad_piece {
    struct bad_piece *next;
    uint64_t index;
    uint64_t tried; /* servers that were wrong */
    bool around;    /* all were: once more around caches */
    int code;
};

enum levels_state { LEVELS_NONE, LEVELS_FETCHING, LEVELS_READY };

struct blob_object {
    struct blob_fetch *engine;
    struct blob_key key;
    struct blob_entry *entry;
    size_t refs; /* engine lock, as the next ones */
    char *path, *merkle_path;
    uint64_t path_number; /* counts the changes */
    uint64_t next_offset; /* where a reader that goes forward comes next */
    uint64_t ahead_end;   /* up to here it was asked for */
    uint64_t window;      /* 0: no such reader */
    bool ahead_posted;
    struct http_post ahead_post;

    struct piece *pieces; /* loop thread, as all below */
    uint32_t packs;       /* that bring it, and that reads wait for */
    struct blob_read *reads;
    uint64_t sparse_reads;   /* how many there were */
    uint64_t sparse_rest_ms; /* until then there are none */
    struct bad_piece *bad;
    enum levels_state levels;
    uint64_t levels_tried; /* servers whose levels came wrong */
    bool levels_around;
    uint64_t tried;      /* servers that failed since something came */
    uint32_t away_tries; /* in a row */
    struct http_timer retry;
    struct error last_err; /* why it is retried */
};

struct blob_read {
    struct blob_object *object; /* a reference */
    struct blob_read *next;
    uint64_t offset;
    uint8_t *out; /* NULL: have it in the cache only; then offset is 0 */
    uint64_t size, at;
    uint64_t ahead_end; /* of one without `out` */
    uint64_t deadline_ms;
    blob_read_done *done;
    void *context;
    struct http_timer timer;
    struct http_post post;
    bool is_cancelled;
    bool is_sparse;          /* its blocks alone are asked for (blob_sparse.c) */
    struct transfer *blocks; /* ... and on their way */
    struct buf block_bytes;  /* ... or here, not checked yet, */
    size_t block_server;     /* ... from there */
};

/* One request of a transfer. */
struct leg {
    struct transfer *transfer;
    struct http_request *request; /* NULL: not begun, or over */
    size_t server;
    uint64_t begin, at; /* what was asked for from, and what has come up to; as the transfer's */
    uint64_t started_ms;
    uint64_t retry_after_ms;
    int status;
    bool is_begun, is_dropped; /* dropped: the other one goes on */
    bool is_ours;              /* an answer in the API's words */
    bool is_wrong;             /* the answer breaks the protocol */
    bool is_strange;           /* of another store */
};

/*
 * A run of pieces, or the levels, or what sparse reads need, that is asked for together. Its bytes
 * are those of the leading leg. When that one does not begin, or does not go on, while somebody
 * waits, another server is asked as well, from the border of the piece at hand: whose answer begins
 * then leads, and the piece begins anew, so that every piece is one server's.
 */
struct transfer {
    struct blob_fetch *engine;
    struct blob_object *object; /* a reference */
    struct transfer *next, *previous;
    struct leg legs[2];
    struct leg *lead;
    uint64_t begin, at, end; /* in the object; for levels in the merkle object */
    bool is_levels, is_prefetch, is_paused;
    bool is_around;             /* asked for around caches */
    bool is_bottoms, is_blocks; /* for sparse reads */
    struct blob_read *reader;   /* of blocks; NULL: it has gone */
    uint64_t piece;             /* of blocks; the first of bottoms */
    uint64_t path_number;
    uint64_t paused_ms;
    struct http_timer watch; /* over the lead */
    uint64_t watched_at;     /* the lead's place when it was looked at last, and when that was */
    uint64_t watched_ms;
    struct buf collected; /* what goes to no piece */
    struct http_post levels_post;
    int levels_result;
    struct error err;
};

struct blob_fetch {
    struct api_client *client;
    struct blob_cache *cache;
    struct http_loop *loop;
    struct blob_fetch_options options;
    struct workers *pool;
    pthread_mutex_t lock;
    struct map objects;

    struct transfer *transfers;
    size_t prefetches;
    struct piece *kept_oldest, *kept_newest;
    uint8_t *spare[BLOB_SPARE_BUFFERS];
    size_t spare_count;
    uint64_t buffer_bytes;
    size_t jobs;              /* at workers */
    size_t backgrounds;       /* reads without `out` */
    size_t packs;             /* in progress */
    size_t legs[SERVERS_MAX]; /* in flight, of each server */
    struct http_timer tick;
    bool is_closing;

    struct bottoms *bottoms; /* of sparse reads, those used last first */
    uint64_t bottom_bytes;
    size_t sparse_requests; /* in progress */
    uint64_t sparse_ms;     /* when the last such read came */
    struct map touched;     /* (object, piece) -> how often: to be brought behind */
    struct http_timer sparse_timer;

    _Atomic uint64_t aheads; /* posted wishes for read-ahead */
    _Atomic uint64_t requests, fetched_bytes, integrity, protocol, memory, memory_peak, reads, hits;
    char last_error[ERROR_TEXT_SIZE]; /* engine lock */
};

/* Objects: a reference more, by the loop's own structs. */
void object_note_failure(struct blob_object *object, const struct error *err);
/* Any object with something to do, once more (a transfer ended, memory came free). */
void engine_go_on(struct blob_fetch *engine);

/* blob_sparse.c: whether a read that begins is sparse; what it still has to ask for (false: it
 * takes whole pieces); its bytes, when all is here (false: not yet); its end. */
void sparse_begin(struct blob_read *read);
bool sparse_plan(struct blob_read *read);
bool sparse_copy(struct blob_read *read);
void sparse_end(struct blob_read *read);
void sparse_came(struct leg *leg, int code, const struct error *err);
void sparse_tick(void *engine);
void sparse_clear(struct blob_fetch *engine); /* before the engine goes */

/* blob_read.c */
void read_begin(void *read);
void object_advance(struct blob_object *object); /* all its reads */
void object_fail(struct blob_object *object, int code, const struct error *err);
void object_ahead(void *object); /* the posted wish for read-ahead */
void object_drop_held(struct blob_object *object);
void object_retry_now(void *object);
/* `server` did not bring it: the next one is asked at once, or all again after a pause. */
void object_retry(struct blob_object *object, size_t server, uint64_t retry_after_ms);
/* The server to ask, of those that are not in `wrong`, and of these one that has not failed. */
size_t object_server(const struct blob_object *object, uint64_t wrong);
bool object_wants(const struct blob_object *object, uint64_t piece);
/* A reader went over [offset, offset + size): moves the window. True when read-ahead is due. */
bool object_note_progress(struct blob_object *object, uint64_t offset, uint64_t size);
struct bad_piece *object_bad(const struct blob_object *object, uint64_t piece);

/* blob_piece.c */
struct piece *piece_find(const struct blob_object *object, uint64_t index);
struct piece *piece_new(struct blob_object *object, uint64_t index);
void piece_drop(struct piece *piece);
/* A buffer for it; false: the transfer has to wait. */
bool piece_get_buffer(struct piece *piece);
void piece_is_whole(struct piece *piece); /* all bytes are in */
void piece_check(struct piece *piece);
void piece_touch(struct piece *piece, bool read_to_end);
/* It came wrong from `server`: counts, and has it asked for again or fails the reads. */
void piece_came_wrong(struct blob_object *object, uint64_t index, size_t server, int code,
                      const struct error *err);
void engine_count_wrong(struct blob_fetch *engine, int code); /* any thread */
/* The same, and `server` is to be passed over. */
void engine_note_wrong(struct blob_fetch *engine, size_t server, int code, const struct error *err);
void pieces_age(struct blob_fetch *engine);

/* blob_answer.c */
int leg_wrong(struct leg *leg, struct error *err, const char *what, const char *value);
/* Whether what the leg asked for is all of it: by a GET without a Range. */
bool leg_is_whole(const struct leg *leg);
int leg_check_answer(struct leg *leg, int status, const struct http_headers *headers,
                     struct error *err);

/* blob_leg.c */
int leg_start(struct leg *leg, struct transfer *transfer, size_t server, uint64_t begin,
              struct error *err);
/* Ends it without a word; the transfer goes on with its other leg. */
void leg_drop(struct leg *leg);
struct leg *leg_other(struct leg *leg);
/* Has the lead looked at, when it should have brought something. */
void transfer_watch(struct transfer *transfer);

/* blob_transfer.c */
/* Its bytes are of the object's hash tree; they go to no piece. */
bool transfer_is_of_merkle(const struct transfer *transfer);
bool transfer_is_collected(const struct transfer *transfer);
void transfer_cancel(struct transfer *transfer); /* it is gone then */
/* The last leg ended. */
void transfer_ended(struct leg *leg, int code, struct error *err);
int transfer_start(struct blob_object *object, uint64_t first, uint64_t count, bool prefetch);
int transfer_start_levels(struct blob_object *object);
int transfer_start_bottoms(struct blob_object *object, uint64_t first, uint64_t count);
int transfer_start_blocks(struct blob_read *read);
void transfers_resume(struct blob_fetch *engine);
void transfers_age(struct blob_fetch *engine);
void transfer_cancel_all(struct blob_fetch *engine);
