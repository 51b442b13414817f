/* SPDX-License-Identifier: MIT */
#include "common/client/tests/sample.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/model/merkle.h"
#include "tests/support/unit.h"

struct sample *sample_new(size_t size, uint32_t seed)
{
    struct sample *sample = calloc(1, sizeof(*sample));
    struct merkle_shape shape;
    uint64_t state = seed * 2654435761u + 1;

    sample->size = size;
    sample->bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sample->bytes[i] = (uint8_t)(state >> 56);
    }
    assert_int_equal(merkle_shape_of(size, &shape, NULL), 0);
    sample->merkle_size = (size_t)shape.object_size;
    sample->merkle = malloc(sample->merkle_size + 1);
    assert_int_equal(merkle_build(span_of(sample->bytes, size), sample->merkle, NULL,
                                  &sample->verity, NULL),
                     0);
    sample->sha256 = digest_of(sample->bytes, size);
    return sample;
}

void sample_free(struct sample *sample)
{
    if (sample == NULL)
        return;
    free(sample->bytes);
    free(sample->merkle);
    free(sample);
}

struct blob_key sample_key(const struct sample *sample)
{
    return (struct blob_key){
        .kind = BLOB_CONTENT, .name = sample->sha256, .verity = sample->verity, .size = sample->size
    };
}

/* The server ---------------------------------------------------------------- */

static bool lie_now(struct server *server)
{
    int left = atomic_load(&server->lies_left);

    while (left > 0 && !atomic_compare_exchange_weak(&server->lies_left, &left, left - 1))
        ;
    return left != 0;
}

static bool reply_with(struct origin_request *request, int status, const char *range,
                       const char *etag, const uint8_t *bytes, size_t size)
{
    char lines[512];

    (void)snprintf(lines, sizeof(lines), "%s%s%sETag: \"%s\"\r\n",
                   range == NULL ? "" : "Content-Range: ", range == NULL ? "" : range,
                   range == NULL ? "" : "\r\n", etag);
    return origin_reply(request, status, lines, bytes, size);
}

static bool reply_lie(struct server *server, struct origin_request *request, int lie,
                      const struct sample *sample)
{
    static const char page[] = "<html><body>Please log in</body></html>";
    size_t first = request->has_range ? (size_t)request->range_first : 0;
    size_t last = request->has_range && request->range_last < sample->size
                      ? (size_t)request->range_last
                      : sample->size - 1;
    size_t size = last - first + 1, more = size + 10;
    uint8_t *bytes = calloc(1, more);
    char range[96], etag[DIGEST_HEX_SIZE];
    int status = request->has_range ? 206 : 200;
    bool stays = true;
    const char *said = request->has_range ? range : NULL;

    digest_hex(&sample->sha256, etag);
    (void)snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", first, last, sample->size);
    memcpy(bytes, sample->bytes + first, size);
    switch (lie) {
    case LIE_FLIP:
        bytes[size / 2] ^= 4;
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    case LIE_FLIP_LATE:
        bytes[size - 1] ^= 128;
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    case LIE_SHORT:
        origin_print(request, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s%s%s\r\n", status, size,
                     said == NULL ? "" : "Content-Range: ", said == NULL ? "" : said,
                     said == NULL ? "" : "\r\n");
        origin_send(request, bytes, size / 2);
        stays = false;
        break;
    case LIE_SHORT_TOLD:
        stays = reply_with(request, status, said, etag, bytes, size - 1);
        break;
    case LIE_LONG:
        stays = reply_with(request, status, said, etag, bytes, more);
        break;
    case LIE_LONG_CHUNKED:
        origin_print(request, "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n%s%s%s\r\n%zx\r\n",
                     status, said == NULL ? "" : "Content-Range: ", said == NULL ? "" : said,
                     said == NULL ? "" : "\r\n", more);
        origin_send(request, bytes, more);
        origin_print(request, "\r\n0\r\n\r\n");
        break;
    case LIE_200:
        if (request->has_range)
            stays = reply_with(request, 200, NULL, etag, sample->bytes, sample->size);
        else
            stays = reply_with(request, 206, range, etag, bytes, size);
        break;
    case LIE_RANGE:
        (void)snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", first + 1, last + 1,
                       sample->size);
        stays = reply_with(request, 206, range, etag, bytes, size);
        break;
    case LIE_NO_RANGE:
        stays = reply_with(request, request->has_range ? 206 : 203, NULL, etag, bytes, size);
        break;
    case LIE_ETAG:
        etag[5] = etag[5] == 'a' ? 'b' : 'a';
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    case LIE_HTML:
        stays = origin_reply(request, 200, "Content-Type: text/html\r\n", page, sizeof(page) - 1);
        break;
    case LIE_HTML_SAME_SIZE:
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)page[i % (sizeof(page) - 1)];
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    case LIE_GZIP:
        origin_print(request,
                     "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nContent-Encoding: gzip\r\n%s%s%s\r\n",
                     status, size, said == NULL ? "" : "Content-Range: ", said == NULL ? "" : said,
                     said == NULL ? "" : "\r\n");
        stays = origin_send(request, bytes, size);
        break;
    case LIE_REDIRECT:
        stays = origin_reply(request, 302, "Location: http://127.0.0.1:1/\r\n", "", 0);
        break;
    case LIE_304:
        stays = origin_print(request, "HTTP/1.1 304 X\r\n\r\n");
        break;
    case LIE_OTHER:
        memset(bytes, 0x5a, size);
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    case LIE_SWAP:
        if (size >= 2 * 4096) {
            memcpy(bytes, sample->bytes + first + 4096, 4096);
            memcpy(bytes + 4096, sample->bytes + first, 4096);
        } else {
            bytes[0] ^= 1;
        }
        stays = reply_with(request, status, said, etag, bytes, size);
        break;
    default:
        stays = false;
        break;
    }
    free(bytes);
    return stays;
}

/* A bit of each of its blocks. */
static void spoil_bottom(uint8_t *merkle, const struct sample *sample)
{
    struct merkle_shape shape;

    merkle_shape_of(sample->size, &shape, NULL);
    for (uint64_t at = shape.bottom_offset; at < shape.object_size; at += MERKLE_BLOCK_SIZE)
        merkle[at] ^= 1;
}

static bool reply_merkle(struct server *server, struct origin_request *request,
                         const struct sample *sample, bool lying)
{
    int lie = lying ? atomic_load(&server->lie) : LIE_NONE;
    uint8_t *copy;
    bool stays;

    if (lie == LIE_MERKLE_404)
        return origin_reply(request, 404, "Content-Type: application/problem+json\r\n",
                            "{\"code\":\"no-merkle\"}", 20);
    if (lie != LIE_MERKLE_FLIP && lie != LIE_MERKLE_SHORT && !atomic_load(&server->bottom_is_wrong))
        return origin_reply_file(request, "m", sample->merkle, sample->merkle_size);
    copy = malloc(sample->merkle_size);
    memcpy(copy, sample->merkle, sample->merkle_size);
    if (lie == LIE_MERKLE_FLIP)
        copy[1] ^= 1;
    else
        spoil_bottom(copy, sample);
    stays = lie != LIE_MERKLE_SHORT
                ? origin_reply_file(request, "m", copy, sample->merkle_size)
                : origin_reply(request, 206, "Content-Range: bytes 0-99/100\r\n", copy, 100);
    free(copy);
    return stays;
}

static void wait_a_while(struct server *server, unsigned ms)
{
    for (unsigned i = 0; i < ms && !atomic_load(&server->stops); i++)
        usleep(1000);
}

/* A right beginning, and then nothing more, or next to nothing, for as long as the fault lasts. */
static bool reply_slowly(struct server *server, struct origin_request *request,
                         const struct sample *sample, size_t from, bool crawls)
{
    size_t first = request->has_range ? (size_t)request->range_first : 0;
    size_t last = request->has_range && request->range_last < sample->size
                      ? (size_t)request->range_last
                      : sample->size - 1;
    size_t size = last - first + 1, at = from < size ? from : size;

    origin_print(request, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n",
                 request->has_range ? 206 : 200, size);
    if (request->has_range)
        origin_print(request, "Content-Range: bytes %zu-%zu/%zu\r\n", first, last, sample->size);
    origin_print(request, "\r\n");
    origin_send(request, sample->bytes + first, at);
    for (; at < size && !atomic_load(&server->stops); at += crawls) {
        wait_a_while(server, 50);
        if (crawls && !origin_send(request, sample->bytes + first + at, 1))
            return false;
    }
    return at == size;
}

static bool answer(void *context, struct origin_request *request)
{
    struct server *server = context;
    size_t index =
        strlen(request->path) > 13 ? strtoul(request->path + 13, NULL, 10) : SERVER_SAMPLES;
    bool merkle = strstr(request->path, "/merkle") != NULL;
    char value[64], etag[DIGEST_HEX_SIZE], lines[128];
    const struct sample *sample;
    bool no_cache, lying;
    int status = atomic_load(&server->status);

    while (atomic_load(&server->hang) != 0)
        usleep(2000);
    if (atomic_load(&server->drop) != 0)
        return false;
    if (strcmp(request->path, "/api/v1/version") == 0) {
        atomic_fetch_add(&server->probes, 1);
        return origin_reply(request, 200, NULL, "{}", 2);
    }
    if (strncmp(request->path, "/api/v1/blob/", 13) != 0 || index >= server->sample_count)
        return origin_reply(request, 404, NULL, "", 0);
    if (status != 0 && atomic_load(&server->status_left) != 0) {
        if (atomic_load(&server->status_left) > 0)
            atomic_fetch_sub(&server->status_left, 1);
        (void)snprintf(lines, sizeof(lines), "%s%s%s%s",
                       server->error_lines != NULL ? server->error_lines : "",
                       server->retry_after != NULL ? "Retry-After: " : "",
                       server->retry_after != NULL ? server->retry_after : "",
                       server->retry_after != NULL ? "\r\n" : "");
        return origin_reply(request, status, lines, "no", 2);
    }
    sample = server->samples[index];
    no_cache = origin_header(request, "Cache-Control", value, sizeof(value)) != NULL;
    if (no_cache)
        atomic_fetch_add(&server->no_cache_requests, 1);
    lying = atomic_load(&server->lie) != LIE_NONE && !(no_cache && atomic_load(&server->heals));
    if (merkle) {
        atomic_fetch_add(&server->merkle_requests, 1);
        return reply_merkle(server, request, sample, lying && lie_now(server));
    }
    atomic_fetch_add(&server->blob_requests, 1);
    if (lying && atomic_load(&server->lie) < LIE_MERKLE_FLIP && lie_now(server))
        return reply_lie(server, request, atomic_load(&server->lie), sample);
    digest_hex(&sample->sha256, etag);
    wait_a_while(server, (unsigned)atomic_load(&server->delay_ms));
    if (atomic_load(&server->stall_at) > 0)
        return reply_slowly(server, request, sample, (size_t)atomic_load(&server->stall_at), false);
    if (atomic_load(&server->crawl_at) > 0)
        return reply_slowly(server, request, sample, (size_t)atomic_load(&server->crawl_at), true);
    return origin_reply_file(request, etag, sample->bytes, sample->size);
}

struct server *server_start(const struct sample *const *samples, size_t count)
{
    struct server *server = calloc(1, sizeof(*server));

    for (size_t i = 0; i < count; i++)
        server->samples[i] = samples[i];
    server->sample_count = count;
    atomic_store(&server->lies_left, -1);
    atomic_store(&server->status_left, -1);
    server->origin = origin_start(answer, server);
    return server;
}

void server_stop(struct server *server)
{
    atomic_store(&server->hang, 0);
    atomic_store(&server->stops, true);
    origin_stop(server->origin);
    free(server);
}

/* The client ---------------------------------------------------------------- */

static struct kit kit_open(struct server *const *servers, size_t count, const char *cache,
                           uint64_t memory_bytes, bool offline)
{
    const char *urls[4];
    struct api_client_options options = { .servers = urls,
                                          .server_count = count,
                                          .offline = offline };

    for (size_t i = 0; i < count; i++)
        urls[i] = origin_url(servers[i]->origin);
    return kit_new_with(&options, cache, memory_bytes);
}

struct kit kit_new_with(struct api_client_options *options, const char *cache,
                        uint64_t memory_bytes)
{
    struct kit kit = { 0 };
    struct blob_fetch_options engine = { .memory_bytes = memory_bytes, .workers = 2 };

    assert_int_equal(http_loop_new(&kit.loop, NULL, NULL), 0);
    options->loop = kit.loop;
    assert_int_equal(api_client_new(&kit.client, options, NULL), 0);
    assert_int_equal(blob_cache_open(cache, NULL, &kit.cache, NULL), 0);
    engine.client = kit.client;
    engine.cache = kit.cache;
    assert_int_equal(blob_fetch_new(&kit.engine, &engine, NULL), 0);
    return kit;
}

struct kit kit_new(struct server *const *servers, size_t count, const char *cache,
                   uint64_t memory_bytes)
{
    return kit_open(servers, count, cache, memory_bytes, false);
}

struct kit kit_new_offline(struct server *const *servers, size_t count, const char *cache)
{
    return kit_open(servers, count, cache, 0, true);
}

void kit_free(struct kit *kit)
{
    kit->engine = blob_fetch_free(kit->engine);
    kit->cache = blob_cache_close(kit->cache);
    kit->client = api_client_free(kit->client);
    kit->loop = http_loop_free(kit->loop);
}

struct blob_object *kit_object(struct kit *kit, const struct sample *sample, size_t index)
{
    char path[32];
    struct blob_source source = { .key = sample_key(sample), .path = path };
    struct blob_object *object = NULL;

    (void)snprintf(path, sizeof(path), "/blob/%zu", index);
    assert_int_equal(blob_fetch_object(kit->engine, &source, &object, NULL), 0);
    return object;
}

void note_outcome(void *context, int result, const struct error *err)
{
    struct outcome *outcome = context;

    assert_false(outcome->done);
    outcome->done = true;
    outcome->result = result;
    if (err != NULL)
        outcome->err = *err;
}

static bool is_done(void *context)
{
    return ((struct outcome *)context)->done;
}

int kit_wait(struct kit *kit, struct outcome *outcome)
{
    int r = http_loop_run_until(kit->loop, is_done, outcome, clock_monotonic_ms() + 60000, NULL);

    assert_int_equal(r, 0);
    return outcome->result;
}

int kit_read(struct kit *kit, struct blob_object *object, uint64_t offset, void *out, size_t size,
             uint64_t timeout_ms)
{
    struct outcome outcome = { 0 };
    uint64_t deadline = clock_monotonic_ms() + timeout_ms;
    int r =
        blob_fetch_read(object, offset, out, size, deadline, note_outcome, &outcome, NULL, NULL);

    return r < 0 ? r : kit_wait(kit, &outcome);
}

/* Folders ------------------------------------------------------------------- */

/* Threads ------------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS_A_DROP 40
#define READ_WITHIN_MS 30000

struct thread {
    struct blob_object *object;
    const struct sample *sample;
    size_t most;
    unsigned rounds;
    uint32_t seed;
    _Atomic int *left;
};

struct thread_wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int result;
};

static void thread_read_done(void *context, int result, const struct error *err)
{
    struct thread_wait *wait = context;

    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    wait->result = result;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->lock);
}

static void read_and_wait(struct blob_object *object, uint64_t offset, void *out, size_t size)
{
    struct thread_wait wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 };

    if (blob_fetch_try_cached(object, offset, out, size) == 0)
        return;
    assert_int_equal(blob_fetch_read(object, offset, out, size,
                                     clock_monotonic_ms() + READ_WITHIN_MS, thread_read_done, &wait,
                                     NULL, NULL),
                     0);
    pthread_mutex_lock(&wait.lock);
    while (!wait.done)
        pthread_cond_wait(&wait.changed, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    assert_int_equal(wait.result, 0);
}

static void *read_at_random(void *context)
{
    struct thread *thread = context;
    uint64_t all = thread->sample->size;
    uint8_t *out = malloc(thread->most);
    uint32_t state = thread->seed;

    for (unsigned i = 0; i < thread->rounds; i++) {
        uint64_t offset;
        size_t size;

        state = state * 1664525 + 1013904223;
        offset = (uint64_t)state * all >> 32;
        size = 1 + (state >> 4) % (thread->most - 1);
        if (size > all - offset)
            size = (size_t)(all - offset);
        read_and_wait(thread->object, offset, out, size);
        assert_memory_equal(out, thread->sample->bytes + offset, size);
        if (i % ROUNDS_A_DROP == ROUNDS_A_DROP - 1)
            blob_entry_drop(blob_object_entry(thread->object));
    }
    free(out);
    atomic_fetch_sub(thread->left, 1);
    return NULL;
}

void kit_read_at_random(struct kit *kit, struct blob_object *object, const struct sample *sample,
                        size_t most, unsigned rounds)
{
    struct thread threads[THREADS];
    pthread_t ids[THREADS];
    _Atomic int left = THREADS;

    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){ object, sample, most, rounds, i * 7919 + 1, &left };
        assert_int_equal(pthread_create(&ids[i], NULL, read_at_random, &threads[i]), 0);
    }
    while (atomic_load(&left) > 0)
        assert_int_equal(http_loop_run_once(kit->loop, 100, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
}

char *temporary_new(void)
{
    char *path = strdup("/tmp/kkartifact-client-XXXXXX");

    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    return remove(path);
}

void temporary_remove(char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

struct blob_entry *sample_entry(struct blob_cache *cache, const struct sample *sample)
{
    struct blob_key key = sample_key(sample);
    struct blob_entry *entry = NULL;

    assert_int_equal(blob_cache_entry(cache, &key, &entry, NULL), 0);
    return entry;
}

void sample_levels(struct blob_entry *entry, const struct sample *sample)
{
    uint64_t size = blob_levels_size(sample->size);

    if (size > 0)
        assert_int_equal(blob_entry_set_levels(entry, sample->merkle, (size_t)size, NULL), 0);
}

int sample_put(struct blob_entry *entry, const struct sample *sample, uint64_t piece)
{
    const uint8_t *bytes = sample->bytes + piece * BLOB_PIECE_SIZE;
    size_t size = (size_t)blob_piece_size(sample->size, piece);

    assert_int_equal(blob_entry_verify(entry, piece, bytes, size, NULL), 0);
    return blob_entry_put(entry, piece, bytes, size);
}

void sample_fill(struct blob_entry *entry, const struct sample *sample)
{
    sample_levels(entry, sample);
    for (uint64_t piece = 0; piece < blob_piece_count(sample->size); piece++)
        assert_int_equal(sample_put(entry, sample, piece), 0);
}
