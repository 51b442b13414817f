/* SPDX-License-Identifier: MIT */
#include "common/client/blob_fetch.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/api_client.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

struct world {
    struct sample *samples[4]; /* small, larger than a piece, two levels of size, another small */
    struct server *servers[2];
    char *folder;
    struct kit kit;
    uint8_t *out;
};

#define LARGE_SIZE (5 * MIB + 12345)
#define HUGE_SIZE (70 * MIB + 1)

static struct sample *shared[4];

static int shared_new(void **state)
{
    static const size_t sizes[] = { 100000, LARGE_SIZE, HUGE_SIZE, 4096 };

    for (size_t i = 0; i < 4; i++)
        shared[i] = sample_new(sizes[i], (uint32_t)i + 1);
    return 0;
}

static int shared_free(void **state)
{
    for (size_t i = 0; i < 4; i++)
        sample_free(shared[i]);
    return 0;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    for (size_t i = 0; i < 4; i++)
        world->samples[i] = shared[i];
    for (size_t i = 0; i < 2; i++)
        world->servers[i] = server_start((const struct sample *const *)world->samples, 4);
    world->folder = temporary_new();
    world->out = malloc(HUGE_SIZE);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    if (world->kit.engine != NULL)
        kit_free(&world->kit);
    for (size_t i = 0; i < 2; i++)
        server_stop(world->servers[i]);
    temporary_remove(world->folder);
    free(world->out);
    free(world);
    return 0;
}

static struct blob_object *object_of(struct world *world, size_t index)
{
    return kit_object(&world->kit, world->samples[index], index);
}

static void expect(struct world *world, size_t index, uint64_t offset, size_t size)
{
    assert_memory_equal(world->out, world->samples[index]->bytes + offset, size);
}

static void a_small_file_comes_in_one_request(void **state)
{
    struct world *world = *state;
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 0);
    assert_int_equal(blob_fetch_try_cached(object, 0, world->out, 10), -EAGAIN);
    assert_int_equal(kit_read(&world->kit, object, 5000, world->out, 4096, 10000), 0);
    expect(world, 0, 5000, 4096);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 100000, 10000), 0);
    expect(world, 0, 0, 100000);
    assert_int_equal(origin_requests(world->servers[0]->origin), 1);
    /* the callback comes before the bytes are written */
    for (int i = 0; i < 1000 && !blob_entry_is_complete(blob_object_entry(object)); i++)
        assert_int_equal(http_loop_run_once(world->kit.loop, 10, NULL), 0);
    assert_int_equal(blob_fetch_try_cached(object, 99999, world->out, 1), 0);
    expect(world, 0, 99999, 1);
    assert_int_equal(blob_fetch_try_cached(object, 99999, world->out, 2), -EINVAL);
    assert_int_equal(kit_read(&world->kit, object, 100000, world->out, 0, 10000), 0);
    blob_object_unref(object);
}

/* What is in the cache is given; the rest fails now, not at the deadline, and nobody is asked. */
static void offline_only_the_cache_answers(void **state)
{
    struct world *world = *state;
    struct blob_object *object;
    struct error err = { 0 };

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 1);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 100, 10000), 0);
    blob_object_unref(object);
    blob_cache_flush(world->kit.cache);
    kit_free(&world->kit);
    size_t asked = origin_requests(world->servers[0]->origin);

    world->kit = kit_new_offline(world->servers, 1, world->folder);
    object = object_of(world, 1);
    assert_int_equal(kit_read(&world->kit, object, 5, world->out, 100, 3600000), 0);
    expect(world, 1, 5, 100);
    assert_int_equal(kit_read(&world->kit, object, 4 * MIB, world->out, 100, 3600000), -ENETDOWN);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, LARGE_SIZE, 3600000), -ENETDOWN);
    blob_object_unref(object);
    object = object_of(world, 0);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1, 3600000), -ENETDOWN);
    blob_object_unref(object);
    assert_int_equal(api_call_start(world->kit.client,
                                    &(struct api_call_spec){ .method = HTTP_GET, .path = "/x" },
                                    NULL, &err),
                     -ENETDOWN);
    assert_non_null(strstr(err.text, "offline"));
    assert_false(api_client_online(world->kit.client));
    assert_int_equal(origin_requests(world->servers[0]->origin), asked);
}

static void a_large_file_comes_by_pieces(void **state)
{
    struct world *world = *state;
    struct blob_object *object;
    static const struct {
        uint64_t offset;
        size_t size;
    } reads[] = { { 3 * MIB + 77, 100 },
                  { 524287, 2 },
                  { LARGE_SIZE - 1, 1 },
                  { 0, LARGE_SIZE },
                  { 1000, 2 * MIB } };

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 1);
    for (size_t i = 0; i < 5; i++) {
        memset(world->out, 0, LARGE_SIZE);
        assert_int_equal(kit_read(&world->kit, object, reads[i].offset, world->out, reads[i].size,
                                  10000),
                         0);
        expect(world, 1, reads[i].offset, reads[i].size);
    }
    /* the upper levels, and the bottom blocks of the two reads of few bytes */
    assert_int_equal(atomic_load(&world->servers[0]->merkle_requests), 3);
    blob_object_unref(object);
    kit_free(&world->kit);
    /* and again from the disk, with no request at all */
    unsigned before = origin_requests(world->servers[0]->origin);
    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 1);
    memset(world->out, 0, LARGE_SIZE);
    assert_int_equal(blob_fetch_try_cached(object, 0, world->out, LARGE_SIZE), 0);
    expect(world, 1, 0, LARGE_SIZE);
    assert_true(blob_entry_is_complete(blob_object_entry(object)));
    assert_int_equal(origin_requests(world->servers[0]->origin), before);
    blob_object_unref(object);
}

static void a_reader_that_goes_forward_needs_few_requests(void **state)
{
    struct world *world = *state;
    struct blob_fetch_stats stats;
    struct blob_object *object;
    const size_t step = 128 * 1024;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 2);
    for (uint64_t at = 0; at < HUGE_SIZE; at += step) {
        size_t size = HUGE_SIZE - at < step ? (size_t)(HUGE_SIZE - at) : step;

        if (blob_fetch_try_cached(object, at, world->out, size) < 0)
            assert_int_equal(kit_read(&world->kit, object, at, world->out, size, 10000), 0);
        expect(world, 2, at, size);
    }
    blob_fetch_stats(world->kit.engine, &stats);
    assert_in_range(stats.requests, 3, 24);
    assert_true(stats.fetched_bytes >= HUGE_SIZE);
    assert_true(stats.fetched_bytes < HUGE_SIZE + 64 * 1024);
    assert_true(stats.memory_peak_bytes <= 32 * MIB);
    assert_int_equal(stats.integrity_failures, 0);
    blob_object_unref(object);
}

static void equal_requests_merge(void **state)
{
    struct world *world = *state;
    struct blob_object *object;
    struct outcome outcomes[50] = { 0 };
    uint8_t out[50][64];

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 0);
    for (size_t i = 0; i < 50; i++) /* no turn of the loop between them */
        assert_int_equal(blob_fetch_read(object, i * 100, out[i], 64, clock_monotonic_ms() + 10000,
                                         note_outcome, &outcomes[i], NULL, NULL),
                         0);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(kit_wait(&world->kit, &outcomes[i]), 0);
        assert_memory_equal(out[i], world->samples[0]->bytes + i * 100, 64);
    }
    assert_int_equal(origin_requests(world->servers[0]->origin), 1);
    blob_object_unref(object);
}

/* Every lie, for a small object and a large one, without and with a cache: never a wrong byte; the
 * error says what it was. */
static void no_lie_is_believed(void **state)
{
    struct world *world = *state;

    for (int lie = LIE_FLIP; lie < LIE_COUNT; lie++) {
        for (size_t index = 0; index < 2; index++) {
            struct blob_fetch_stats stats;
            struct blob_object *object;
            char *folder = temporary_new();
            int r;

            if (index == 0 && lie >= LIE_MERKLE_FLIP) {
                temporary_remove(folder);
                continue;
            }
            world->kit = kit_new(world->servers, 1, folder, 0);
            object = object_of(world, index);
            atomic_store(&world->servers[0]->lie, lie);
            r = kit_read(&world->kit, object, 8192, world->out, 50000,
                         lie == LIE_SHORT ? 700 : 10000);
            /* looks like a connection that breaks: tried until the deadline */
            if (lie == LIE_SHORT)
                assert_int_equal(r, -ETIMEDOUT);
            else if (lie == LIE_MERKLE_404)
                assert_int_equal(r, -ENOENT);
            else if (lie == LIE_LONG_CHUNKED && r == 0) /* right bytes, and then more */
                expect(world, index, 8192, 50000);
            else if (r != -EBADMSG && r != -EIO)
                fail_msg("lie %d gave %d", lie, r);
            blob_fetch_stats(world->kit.engine, &stats);
            if (lie != LIE_SHORT && lie != LIE_MERKLE_404 && lie != LIE_LONG_CHUNKED)
                /* again around caches */
                assert_in_range(stats.integrity_failures, 2, index == 0 ? 2 : 4);
            if (lie == LIE_FLIP || lie == LIE_OTHER || lie == LIE_SWAP ||
                lie == LIE_HTML_SAME_SIZE) {
                assert_int_equal(r, -EBADMSG);
                assert_int_equal(stats.protocol_failures, 0);
            }
            if (lie != LIE_LONG_CHUNKED)
                assert_int_equal(blob_fetch_try_cached(object, 8192, world->out, 50000), -EAGAIN);
            /* told the truth, the same object works */
            atomic_store(&world->servers[0]->lie, LIE_NONE);
            assert_int_equal(kit_read(&world->kit, object, 8192, world->out, 50000, 10000), 0);
            expect(world, index, 8192, 50000);
            blob_object_unref(object);
            kit_free(&world->kit);
            temporary_remove(folder);
        }
    }
}

static void the_next_server_is_tried(void **state)
{
    struct world *world = *state;

    for (int lie = LIE_FLIP; lie < LIE_MERKLE_404; lie++) {
        struct blob_object *object;
        char *folder = temporary_new();

        world->kit = kit_new(world->servers, 2, folder, 0);
        atomic_store(&world->servers[0]->lie, lie);
        object = object_of(world, 1);
        if (kit_read(&world->kit, object, 0, world->out, LARGE_SIZE, 10000) != 0)
            fail_msg("lie %d of one of two servers", lie);
        expect(world, 1, 0, LARGE_SIZE);
        blob_object_unref(object);
        kit_free(&world->kit);
        temporary_remove(folder);
    }
}

static void around_a_broken_proxy(void **state)
{
    struct world *world = *state;
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    atomic_store(&world->servers[0]->lie, LIE_FLIP);
    atomic_store(&world->servers[0]->heals, true);
    object = object_of(world, 1);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 10000), 0);
    expect(world, 1, 0, 1000);
    assert_true(atomic_load(&world->servers[0]->no_cache_requests) >= 1);
    blob_object_unref(object);
}

static void a_server_that_comes_back(void **state)
{
    struct world *world = *state;
    struct blob_object *object;
    static const int statuses[] = { 500, 502, 503, 429 };

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    for (size_t i = 0; i < 4; i++) {
        object = object_of(world, 0);
        blob_entry_drop(blob_object_entry(object));
        atomic_store(&world->servers[0]->status, statuses[i]);
        atomic_store(&world->servers[0]->status_left, 2);
        assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 10000), 0);
        expect(world, 0, 0, 1000);
        blob_object_unref(object);
    }
}

static void answers_that_are_final(void **state)
{
    struct world *world = *state;
    static const struct {
        int status, code;
    } cases[] = { { 404, -ENOENT }, { 403, -EACCES }, { 401, -EPERM }, { 410, -ESTALE } };

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    for (size_t i = 0; i < 4; i++) {
        struct blob_object *object = object_of(world, i); /* each its own: no late answers */
        unsigned before = origin_requests(world->servers[0]->origin);

        atomic_store(&world->servers[0]->status, cases[i].status);
        assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 10000), cases[i].code);
        assert_true(origin_requests(world->servers[0]->origin) <= before + 5);
        blob_object_unref(object);
    }
}

static void every_wait_has_a_deadline(void **state)
{
    struct world *world = *state;
    uint64_t start = clock_monotonic_ms();
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 1);
    atomic_store(&world->servers[0]->hang, 1);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 200), -ETIMEDOUT);
    assert_true(clock_monotonic_ms() - start < 5000);
    atomic_store(&world->servers[0]->hang, 0);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 20000), 0);
    blob_object_unref(object);
}

static void nobody_there(void **state)
{
    struct world *world = *state;
    struct blob_object *object;
    struct outcome outcome = { 0 };

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 0);
    origin_stop(world->servers[0]->origin);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 1000, 500), -EAGAIN);
    /* without a deadline the tries end it */
    assert_int_equal(blob_fetch_read(object, 0, world->out, 10, UINT64_MAX, note_outcome, &outcome,
                                     NULL, NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &outcome), -EAGAIN);
    blob_object_unref(object);
    kit_free(&world->kit);
    world->servers[0]->origin = NULL;
}

static void reads_can_be_cancelled(void **state)
{
    struct world *world = *state;
    struct outcome outcome = { 0 }, other = { 0 };
    struct blob_object *object;
    struct blob_read *read = NULL;
    uint8_t bytes[100];

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 1);
    atomic_store(&world->servers[0]->hang, 1);
    /* before it began */
    assert_int_equal(blob_fetch_read(object, 0, bytes, 100, UINT64_MAX, note_outcome, &outcome,
                                     &read, NULL),
                     0);
    blob_read_cancel(read);
    assert_true(outcome.done);
    assert_int_equal(outcome.result, -ECANCELED);
    /* on its way, with another one that stays */
    memset(&outcome, 0, sizeof(outcome));
    assert_int_equal(blob_fetch_read(object, 0, bytes, 100, UINT64_MAX, note_outcome, &outcome,
                                     &read, NULL),
                     0);
    assert_int_equal(blob_fetch_read(object, 10, world->out, 100, UINT64_MAX, note_outcome, &other,
                                     NULL, NULL),
                     0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(http_loop_run_once(world->kit.loop, 10, NULL), 0);
    assert_false(outcome.done);
    blob_read_cancel(read);
    assert_int_equal(outcome.result, -ECANCELED);
    atomic_store(&world->servers[0]->hang, 0);
    assert_int_equal(kit_wait(&world->kit, &other), 0);
    expect(world, 1, 10, 100);
    /* by the engine's end */
    memset(&outcome, 0, sizeof(outcome));
    atomic_store(&world->servers[0]->hang, 1);
    assert_int_equal(blob_fetch_read(object, 4 * MIB, bytes, 100, UINT64_MAX, note_outcome,
                                     &outcome, NULL, NULL),
                     0);
    assert_int_equal(http_loop_run_once(world->kit.loop, 10, NULL), 0);
    blob_object_unref(object);
    kit_free(&world->kit);
    assert_int_equal(outcome.result, -ECANCELED);
}

struct streamed {
    const struct sample *sample;
    struct outcome outcome;
    uint64_t at;
    int stop_after;
};

static int take_stream(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct streamed *streamed = context;

    assert_int_equal(offset, streamed->at);
    assert_memory_equal(bytes.bytes, streamed->sample->bytes + offset, bytes.size);
    streamed->at += bytes.size;
    if (streamed->stop_after > 0 && --streamed->stop_after == 0)
        return error_set(err, -EXDEV, "enough");
    return 0;
}

static void stream_done(void *context, int result, const struct error *err)
{
    struct streamed *streamed = context;

    note_outcome(&streamed->outcome, result, err);
}

static void streams_give_all_in_order(void **state)
{
    struct world *world = *state;

    for (int with_cache = 0; with_cache < 2; with_cache++) {
        struct streamed streamed[4] = { 0 };
        struct blob_fetch_stats stats;

        world->kit = kit_new(world->servers, 1, with_cache ? world->folder : NULL, 8 * MIB);
        for (size_t i = 0; i < 4; i++) {
            struct blob_object *object = object_of(world, i);

            streamed[i].sample = shared[i];
            assert_int_equal(blob_fetch_stream(object, UINT64_MAX, take_stream, stream_done,
                                               &streamed[i], NULL),
                             0);
            blob_object_unref(object);
        }
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(kit_wait(&world->kit, &streamed[i].outcome), 0);
            assert_int_equal(streamed[i].at, shared[i]->size);
        }
        blob_fetch_stats(world->kit.engine, &stats);
        assert_true(stats.memory_peak_bytes <= 13 * MIB);
        assert_in_range(stats.fetched_bytes, HUGE_SIZE + LARGE_SIZE, HUGE_SIZE + LARGE_SIZE + MIB);
        kit_free(&world->kit);
    }
}

static void a_stream_can_be_stopped(void **state)
{
    struct world *world = *state;
    struct streamed streamed = { .sample = shared[1], .stop_after = 3 };
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, NULL, 0);
    object = object_of(world, 1);
    assert_int_equal(blob_fetch_stream(object, UINT64_MAX, take_stream, stream_done, &streamed,
                                       NULL),
                     0);
    blob_object_unref(object);
    assert_int_equal(kit_wait(&world->kit, &streamed.outcome), -EXDEV);
    assert_string_equal(streamed.outcome.err.text, "enough");
    assert_int_equal(streamed.at, 3 * BLOB_PIECE_SIZE);
}

static void an_empty_file_needs_nothing(void **state)
{
    struct world *world = *state;
    struct sample *empty = sample_new(0, 1);
    struct streamed streamed = { .sample = empty };
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = kit_object(&world->kit, empty, 0);
    assert_int_equal(kit_read(&world->kit, object, 0, world->out, 0, 1000), 0);
    assert_int_equal(blob_fetch_stream(object, UINT64_MAX, take_stream, stream_done, &streamed,
                                       NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &streamed.outcome), 0);
    assert_int_equal(origin_requests(world->servers[0]->origin), 0);
    blob_object_unref(object);
    sample_free(empty);
}

static void an_object_is_completed_behind(void **state)
{
    struct world *world = *state;
    struct outcome outcome = { 0 }, none = { 0 };
    struct blob_object *object;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 2);
    assert_int_equal(kit_read(&world->kit, object, 30 * MIB, world->out, 10, 10000), 0);
    assert_int_equal(blob_fetch_complete(object, UINT64_MAX, note_outcome, &outcome, NULL), 0);
    assert_int_equal(kit_wait(&world->kit, &outcome), 0);
    assert_true(blob_entry_is_complete(blob_object_entry(object)));
    assert_int_equal(blob_fetch_try_cached(object, 0, world->out, HUGE_SIZE), 0);
    expect(world, 2, 0, HUGE_SIZE);
    blob_object_unref(object);
    kit_free(&world->kit);
    world->kit = kit_new(world->servers, 1, NULL, 0);
    object = object_of(world, 2);
    assert_int_equal(blob_fetch_complete(object, UINT64_MAX, note_outcome, &none, NULL), 0);
    assert_int_equal(kit_wait(&world->kit, &none), -ENOSPC);
    blob_object_unref(object);
}

static void a_part_is_brought_behind(void **state)
{
    struct world *world = *state;
    struct outcome outcome = { 0 }, again = { 0 }, none = { 0 };
    struct blob_object *object;
    struct blob_entry *entry;
    unsigned requests;

    world->kit = kit_new(world->servers, 1, world->folder, 0);
    object = object_of(world, 2);
    entry = blob_object_entry(object);
    /* from the middle of the fourth piece into the seventh */
    assert_int_equal(blob_fetch_bring(object, 3 * BLOB_PIECE_SIZE + 7, 3 * BLOB_PIECE_SIZE,
                                      UINT64_MAX, note_outcome, &outcome, NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &outcome), 0);
    for (uint64_t piece = 0; piece < blob_piece_count(HUGE_SIZE); piece++)
        assert_int_equal(blob_entry_has(entry, piece), piece >= 3 && piece <= 6);
    requests = origin_requests(world->servers[0]->origin);
    assert_int_equal(blob_fetch_bring(object, 4 * BLOB_PIECE_SIZE, 1, UINT64_MAX, note_outcome,
                                      &again, NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &again), 0);
    assert_int_equal(origin_requests(world->servers[0]->origin), requests);
    assert_int_equal(blob_fetch_bring(object, HUGE_SIZE, 1, UINT64_MAX, note_outcome, &none, NULL),
                     -EINVAL);
    assert_int_equal(blob_fetch_bring(object, HUGE_SIZE - 1, 1, UINT64_MAX, note_outcome, &none,
                                      NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &none), 0);
    assert_true(blob_entry_has(entry, blob_piece_count(HUGE_SIZE) - 1));
    blob_object_unref(object);
}

static void threads_read_at_random(void **state)
{
    struct world *world = *state;

    for (int with_cache = 0; with_cache < 2; with_cache++) {
        struct blob_object *object;

        world->kit = kit_new(world->servers, 1, with_cache ? world->folder : NULL, 8 * MIB);
        object = object_of(world, 1);
        kit_read_at_random(&world->kit, object, shared[1], MIB, 150);
        blob_object_unref(object);
        kit_free(&world->kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(a_small_file_comes_in_one_request),
        CASE(offline_only_the_cache_answers),
        CASE(a_large_file_comes_by_pieces),
        CASE(a_reader_that_goes_forward_needs_few_requests),
        CASE(equal_requests_merge),
        CASE(no_lie_is_believed),
        CASE(the_next_server_is_tried),
        CASE(around_a_broken_proxy),
        CASE(a_server_that_comes_back),
        CASE(answers_that_are_final),
        CASE(every_wait_has_a_deadline),
        CASE(nobody_there),
        CASE(reads_can_be_cancelled),
        CASE(streams_give_all_in_order),
        CASE(a_stream_can_be_stopped),
        CASE(an_empty_file_needs_nothing),
        CASE(an_object_is_completed_behind),
        CASE(a_part_is_brought_behind),
        CASE(threads_read_at_random),
    };

    return cmocka_run_group_tests(tests, shared_new, shared_free);
}
