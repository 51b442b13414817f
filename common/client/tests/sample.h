/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/net/http_loop.h"
#include "common/net/tests/origin.h"

/* sample - a blob with all its digests, and a server that gives it, or lies about it. */
struct sample {
    uint8_t *bytes;
    size_t size;
    uint8_t *merkle;
    size_t merkle_size;
    struct digest sha256, verity;
};

struct sample *sample_new(size_t size, uint32_t seed);
void sample_free(struct sample *sample);
struct blob_key sample_key(const struct sample *sample);
/* Its entry; its levels and pieces, put into it. */
struct blob_entry *sample_entry(struct blob_cache *cache, const struct sample *sample);
void sample_levels(struct blob_entry *entry, const struct sample *sample);
int sample_put(struct blob_entry *entry, const struct sample *sample, uint64_t piece);
void sample_fill(struct blob_entry *entry, const struct sample *sample);

/* What the server does to answers about the bytes (or the merkle object, LIE_MERKLE...). */
enum lie {
    LIE_NONE,
    LIE_FLIP,       /* one bit of the bytes */
    LIE_FLIP_LATE,  /* one bit of the last byte */
    LIE_SHORT,      /* ends before its length */
    LIE_SHORT_TOLD, /* a shorter length, and that many bytes */
    LIE_LONG,       /* more than asked for, with that length */
    LIE_LONG_CHUNKED,
    LIE_200,      /* the whole to a Range; a part of it to a whole GET */
    LIE_RANGE,    /* another Content-Range */
    LIE_NO_RANGE, /* 206 without one */
    LIE_ETAG,
    LIE_HTML,           /* a page, 200 */
    LIE_HTML_SAME_SIZE, /* a page of the right size and headers */
    LIE_GZIP,
    LIE_REDIRECT,
    LIE_304,
    LIE_OTHER, /* another blob's bytes */
    LIE_SWAP,  /* pieces exchanged */
    LIE_MERKLE_FLIP,
    LIE_MERKLE_SHORT,
    LIE_MERKLE_404,
    LIE_COUNT
};

#define SERVER_SAMPLES 80
struct server {
    struct origin *origin;
    const struct sample *samples[SERVER_SAMPLES];
    size_t sample_count;
    _Atomic int lie;
    _Atomic int lies_left;        /* < 0: always */
    _Atomic bool heals;           /* tells the truth to "no-cache" */
    _Atomic bool bottom_is_wrong; /* of every merkle object */
    _Atomic int status;           /* instead of any answer, when not 0 */
    _Atomic int status_left;
    _Atomic unsigned blob_requests, merkle_requests, no_cache_requests;
    _Atomic uint64_t sent;
    _Atomic int hang;     /* answers nothing */
    _Atomic int drop;     /* closes connections instead of answering */
    _Atomic int delay_ms; /* of answers about blobs */
    /* Bytes of a body after which it stands still (until stopped), or crawls: a byte now and then.
     * 0: neither */
    _Atomic int stall_at, crawl_at;
    _Atomic unsigned probes; /* requests of /version */
    const char *retry_after;
    const char *error_lines; /* header lines of `status` answers, or NULL */
    _Atomic bool stops;
};

struct server *server_start(const struct sample *const *samples, size_t count);
void server_stop(struct server *server);

/* A whole client: loop, api client to these servers, cache (NULL: none), engine. */
struct kit {
    struct http_loop *loop;
    struct api_client *client;
    struct blob_cache *cache;
    struct blob_fetch *engine;
};
struct kit kit_new(struct server *const *servers, size_t count, const char *cache,
                   uint64_t memory_bytes);
/* One that sends nothing. */
struct kit kit_new_offline(struct server *const *servers, size_t count, const char *cache);
/* The same with servers, policy and on_server of *options. */
struct kit kit_new_with(struct api_client_options *options, const char *cache,
                        uint64_t memory_bytes);
void kit_free(struct kit *kit);
struct blob_object *kit_object(struct kit *kit, const struct sample *sample, size_t index);

struct outcome {
    bool done;
    int result;
    struct error err;
};
void note_outcome(void *context, int result, const struct error *err);
int kit_wait(struct kit *kit, struct outcome *outcome);
/* Reads and waits. */
int kit_read(struct kit *kit, struct blob_object *object, uint64_t offset, void *out, size_t size,
             uint64_t timeout_ms);

/* Four threads read `rounds` times up to `most` bytes anywhere, and hold them against the sample;
 * now and then one drops what the cache has. Runs the loop meanwhile. */
void kit_read_at_random(struct kit *kit, struct blob_object *object, const struct sample *sample,
                        size_t most, unsigned rounds);

char *temporary_new(void);         /* a new directory */
void temporary_remove(char *path); /* with all that is in it, and frees */
