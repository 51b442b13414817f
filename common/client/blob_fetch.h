/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/client/blob_cache.h"

struct api_client;
struct blob_fetch;
struct blob_object;
struct blob_read;

/*
 * blob_fetch - the engine: (object, offset, length) -> verified bytes, from the cache or by HTTP.
 *
 * Every byte is checked against the object's verity digest before anyone sees it. Pieces of 512 KiB
 * are what is asked for, verified, and cached; all who want a piece share one request. A reader
 * that goes forward gets a window ahead of it that doubles from 1 to 16 MiB, so that a large file
 * comes in few large Range requests. Few bytes here and there of a large object come alone, checked
 * against the bottom of the hash tree, and their pieces behind (blob_sparse.c). What is in memory
 * at a time is bounded by `memory_bytes`, and a third of it for hashes of sparse reads: when it is
 * used up, transfers pause. Hashing and writing run on the engine's workers, not on the loop.
 *
 * An answer that is wrong in any way (200 to a Range, another Content-Range, ETag or length, a page
 * of HTML, bytes that do not verify) counts as an integrity failure of that server; the next server
 * is tried, then once more around caches ("no-cache"); at last -EBADMSG when bytes were wrong, -EIO
 * when only the protocol was. Nothing wrong is ever cached or shown. A server that is away: retried
 * until the read's deadline, then -ETIMEDOUT, or -EAGAIN when nothing could be reached. A client
 * that is offline: what is not in the cache fails at once, with -ENETDOWN.
 *
 * Threads: the calls marked "any thread" may be made from anywhere; callbacks come on the loop's
 * thread, never from inside the call that asked. Everything else belongs to the loop's thread.
 */
struct blob_fetch_options {
    struct api_client *client; /* outlives the engine, as does the cache */
    struct blob_cache *cache;
    uint64_t memory_bytes; /* 0: 32 MiB; at least 8 MiB */
    uint64_t window_bytes; /* the largest read-ahead. 0: 16 MiB; 512 KiB: none */
    size_t workers;        /* 0: as many as processors, at most 4 */
};

int blob_fetch_new(struct blob_fetch **out_engine, const struct blob_fetch_options *options,
                   struct error *err);
/* Loop thread. Reads in progress end with -ECANCELED, and so do the api client's calls (trees that
 * are being opened are made of them). Objects must have been unref'd, or be so by those callbacks.
 * NULL is fine; returns NULL. */
struct blob_fetch *blob_fetch_free(struct blob_fetch *engine);

/* An object and where its bytes come from. */
struct blob_source {
    struct blob_key key;
    const char *path;        /* of the bytes, below /api/v1, encoded; copied */
    const char *merkle_path; /* of the merkle object; NULL: path + "/merkle" */
};

/* The object, held until blob_object_unref. Equal keys give the same one; a newer path replaces the
 * older (the version that named it may be gone). Cheap: a table look-up. Any thread. */
int blob_fetch_object(struct blob_fetch *engine, const struct blob_source *source,
                      struct blob_object **out_object, struct error *err);
struct blob_object *blob_object_ref(struct blob_object *object);
struct blob_object *blob_object_unref(struct blob_object *object); /* any thread; returns NULL */
const struct blob_key *blob_object_key(const struct blob_object *object);
struct blob_entry *blob_object_entry(const struct blob_object *object);

/* The whole range from the cache, now, or -EAGAIN. Any thread. May read the disk; a piece's first
 * use hashes it. [offset, offset + size) must be within the object (-EINVAL). */
int blob_fetch_try_cached(struct blob_object *object, uint64_t offset, void *out, size_t size);

/*
 * Reads [offset, offset + size) into `out`, which is the caller's and must stay until the callback.
 * Never a part of it: result is 0 and all bytes are there, or a negative errno and they are
 * undefined:
 *   -EBADMSG  bytes that do not verify came from every server
 *   -ENOENT, -ESTALE, -EPERM, -EACCES   the servers say so
 *   -ETIMEDOUT, -EAGAIN, -EIO, -ENETDOWN   as above
 *   -ECANCELED                          blob_read_cancel, or the engine was freed
 * deadline_ms: clock_monotonic_ms at which it fails; UINT64_MAX: never. Any thread.
 * *out_read may be NULL; it is valid until the callback begins.
 */
typedef void blob_read_done(void *context, int result, const struct error *err);
int blob_fetch_read(struct blob_object *object, uint64_t offset, void *out, size_t size,
                    uint64_t deadline_ms, blob_read_done *done, void *context,
                    struct blob_read **out_read, struct error *err);
/* Its callback is called with -ECANCELED before this returns; the transfer goes on for others. Loop
 * thread. */
void blob_read_cancel(struct blob_read *read);

/* Has the whole object brought into the cache. `out` is not needed: the callback comes when
 * every piece is there (-ENOSPC: the cache does not keep it). Yields to reads. Any thread. */
int blob_fetch_complete(struct blob_object *object, uint64_t deadline_ms, blob_read_done *done,
                        void *context, struct error *err);
/* The same of the pieces that [offset, offset + size) touches. */
int blob_fetch_bring(struct blob_object *object, uint64_t offset, uint64_t size,
                     uint64_t deadline_ms, blob_read_done *done, void *context, struct error *err);

/*
 * Many small objects (of at most BLOB_PIECE_SIZE, none twice) by one request, into the cache. Each
 * is verified like any other; what does not come, or comes wrong, is left for reads and
 * blob_fetch_complete, which have every server and every try. Loop thread.
 *
 * `awaited`: somebody reads one of them: reads of all of them wait for the pack instead of asking
 * for themselves, and it is tried once, for a short time. Else it comes behind, and reads of its
 * objects take their own way.
 *
 * -ENOSPC: the cache keeps nothing at the moment. done: 0 when the answer came to its end, whatever
 * was in it.
 */
struct blob_pack {
    const char *project, *app, *version; /* whose objects they are */
    struct blob_object **objects;        /* copied; referenced until done */
    size_t count;                        /* 1 .. BLOB_PACK_MAX */
    bool awaited;
    blob_read_done *done; /* or NULL */
    void *context;
};
#define BLOB_PACK_MAX 1024
int blob_fetch_pack(struct blob_fetch *engine, const struct blob_pack *pack, struct error *err);

/* True while somebody waits for bytes: what is fetched ahead had better wait. Loop thread. */
bool blob_fetch_is_busy(const struct blob_fetch *engine);

/* Streams the object from its start: pieces in order, each verified, each given once, from cache
 * or network. The bytes are valid inside on_bytes; its non-zero return ends the stream with that
 * code. At most `ahead` pieces wait in memory. For whoever writes whole files (pull). Loop
 * thread. */
typedef int blob_stream_bytes(void *context, uint64_t offset, struct span bytes, struct error *err);
int blob_fetch_stream(struct blob_object *object, uint64_t deadline_ms, blob_stream_bytes *on_bytes,
                      blob_read_done *done, void *context, struct error *err);

struct blob_fetch_stats {
    uint64_t requests;           /* HTTP requests made */
    uint64_t fetched_bytes;      /* body bytes received */
    uint64_t hit_bytes;          /* given from the cache */
    uint64_t integrity_failures; /* answers that were wrong */
    uint64_t protocol_failures;  /* ... of those, wrong before their bytes could be */
    uint64_t memory_bytes;       /* piece buffers now */
    uint64_t memory_peak_bytes;
    uint64_t reads; /* in progress */
    char last_error[256];
};
void blob_fetch_stats(struct blob_fetch *engine, struct blob_fetch_stats *out); /* any thread */
