/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/content.h"
#include "server/service/tests/world.h"
#include "server/service/tombstone_clearing.h"

#define THREADS 6

struct runner_state {
    struct world *world;
    struct sample *sample;
    const char *app;
    char version[16];
    pthread_barrier_t *barrier;
    int result;
    enum pushes_outcome outcome;
    struct refusal why;
    struct error err;
};

static void *push_main(void *context)
{
    struct runner_state *self = context;

    pthread_barrier_wait(self->barrier);
    self->result = sample_push(self->world, &self->world->caller, "p", self->app, self->version,
                               self->sample, &self->outcome, NULL, &self->why, &self->err);
    return NULL;
}

static void run_all(struct runner_state *states, size_t count)
{
    pthread_barrier_t barrier;
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        states[i].barrier = &barrier;
        assert_int_equal(pthread_create(&threads[i], NULL, push_main, &states[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* The same bytes under different names: every one is made, one row of each blob stays. */
static void same_bytes(enum world_kind kind)
{
    struct runner_state states[THREADS];
    struct world world;
    struct sample sample;
    size_t first, count;

    world_open(&world, kind);
    sample_make(&sample, 1, 10, 6000);
    memset(states, 0, sizeof(states));
    for (size_t i = 0; i < THREADS; i++) {
        states[i] = (struct runner_state){ .world = &world, .sample = &sample, .app = "a" };
        snprintf(states[i].version, sizeof(states[i].version), "v%zu", i);
    }
    run_all(states, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        if (states[i].result < 0)
            print_error("%zu: %s\n", i, states[i].err.text);
        assert_int_equal(states[i].result, 0);
        assert_int_equal(states[i].outcome, PUSHES_CREATED);
        sample_check(&world, "p", "a", states[i].version, &sample);
    }
    assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
    /* No leak: 10 blobs of at most a piece, listing, times, tree, and a record a version. */
    first = world_object_count(&world);
    assert_int_equal(first, 13 + THREADS);
    sample_release(&sample);
    world_close(&world);
}

static void test_same_bytes(void **state)
{
    same_bytes(WORLD_MEMORY);
    same_bytes(WORLD_FILE);
}

/* One name, one content: one is created, the others find it. */
static void test_same_name_same_content(void **state)
{
    struct runner_state states[THREADS];
    struct world world;
    struct sample sample;
    int created = 0;

    world_open(&world, WORLD_FILE);
    sample_make(&sample, 2, 5, 6000);
    for (size_t i = 0; i < THREADS; i++) {
        states[i] = (struct runner_state){ .world = &world, .sample = &sample, .app = "a" };
        snprintf(states[i].version, sizeof(states[i].version), "v");
    }
    run_all(states, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(states[i].result, 0);
        created += states[i].outcome == PUSHES_CREATED;
    }
    assert_int_equal(created, 1);
    sample_check(&world, "p", "a", "v", &sample);
    sample_release(&sample);
    world_close(&world);
}

/* One name, different contents: one stands, the others are told what it is. */
static void test_same_name_other_content(void **state)
{
    struct runner_state states[THREADS];
    struct sample samples[THREADS];
    struct world world;
    size_t winner = THREADS;

    world_open(&world, WORLD_MEMORY);
    for (size_t i = 0; i < THREADS; i++) {
        sample_make(&samples[i], 10 + (uint32_t)i, 5, 600);
        states[i] = (struct runner_state){ .world = &world, .sample = &samples[i], .app = "a" };
        snprintf(states[i].version, sizeof(states[i].version), "v");
    }
    run_all(states, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        if (states[i].result == 0) {
            assert_int_equal(winner, THREADS);
            winner = i;
        }
    assert_in_range(winner, 0, THREADS - 1);
    for (size_t i = 0; i < THREADS; i++)
        if (i != winner) {
            assert_int_equal(states[i].result, -EEXIST);
            assert_int_equal(states[i].why.code, REFUSAL_VERSION_EXISTS);
            assert_true(digest_equal(&states[i].why.existing_content, &samples[winner].content));
        }
    sample_check(&world, "p", "a", "v", &samples[winner]);
    for (size_t i = 0; i < THREADS; i++)
        sample_release(&samples[i]);
    world_close(&world);
}

struct part_state {
    struct world *world;
    const struct sample_blob *blob;
    const char *push_id;
    pthread_barrier_t *barrier;
    int result;
    struct refusal why;
};

static void *part_main(void *context)
{
    struct part_state *self = context;
    struct blob_upload *upload = NULL;
    uint64_t offset;
    int r;

    pthread_barrier_wait(self->barrier);
    r = blob_upload_begin(self->world->services, &self->world->caller, "p", "a", self->push_id,
                          &self->blob->sha256, 0, self->blob->size, 50000, &upload, &self->why,
                          NULL);
    if (r == 0)
        r = blob_upload_add(upload, span_of(self->blob->bytes, 50000), &self->why, NULL);
    if (r == 0)
        r = blob_upload_end(upload, &offset, &self->why, NULL);
    blob_upload_free(upload);
    self->result = r;
    return NULL;
}

/* The same part several times at once: one gets through, the others are busy or at the wrong
 * offset. */
static void test_same_part(void **state)
{
    struct part_state parts[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct world world;
    struct sample sample;
    struct push_info open;
    struct blob_upload *upload;
    uint64_t offset;
    int through = 0;

    world_open(&world, WORLD_FILE);
    sample_make(&sample, 3, 1, 100000);
    sample_open(&world, &world.caller, "p", "a", "v", &sample, &open);
    sample_describe(&world, &world.caller, "p", "a", open.id, &sample);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        parts[i] = (struct part_state){
            .world = &world, .blob = &sample.blobs[0], .push_id = open.id, .barrier = &barrier
        };
        assert_int_equal(pthread_create(&threads[i], NULL, part_main, &parts[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        through += parts[i].result == 0;
        if (parts[i].result != 0) {
            assert_int_equal(parts[i].result, -EBUSY);
            assert_true(parts[i].why.code == REFUSAL_PUSH_BUSY ||
                        (parts[i].why.code == REFUSAL_OFFSET_MISMATCH &&
                         parts[i].why.expected_offset == 50000));
        }
    }
    pthread_barrier_destroy(&barrier);
    assert_int_equal(through, 1);
    assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "a", open.id,
                                       &sample.blobs[0].sha256, 50000, 100000, 50000, &upload, NULL,
                                       NULL),
                     0);
    assert_int_equal(blob_upload_add(upload, span_of(sample.blobs[0].bytes + 50000, 50000), NULL,
                                     NULL),
                     0);
    assert_int_equal(blob_upload_end(upload, &offset, NULL, NULL), 0);
    blob_upload_free(upload);
    assert_int_equal(pushes_commit(world.services, &world.caller, "p", "a", open.id, NULL, &outcome,
                                   &info, NULL, NULL),
                     0);
    version_info_release(&info);
    sample_check(&world, "p", "a", "v", &sample);
    sample_release(&sample);
    world_close(&world);
}

struct read_state {
    struct world *world;
    struct sample *sample;
    atomic_bool *stop;
    int failures;
};

static void *read_main(void *context)
{
    struct read_state *self = context;
    uint8_t *bytes = memory_new(20000);

    for (size_t n = 0; !atomic_load(self->stop); n++) {
        const struct sample_blob *blob = &self->sample->blobs[n % self->sample->count];
        struct content *content = NULL;
        int r = content_open_blob_cached(self->world->services, &self->world->caller.identity, "p",
                                         "a", "base", &blob->sha256, &content, NULL, NULL);

        if (r == -EAGAIN)
            r = content_open_blob(self->world->services, &self->world->caller.identity, "p", "a",
                                  "base", &blob->sha256, &content, NULL, NULL);
        if (r < 0 || content_size(content) != blob->size ||
            content_read(content, 0, bytes, blob->size, NULL) < 0 ||
            memcmp(bytes, blob->bytes, blob->size) != 0)
            self->failures++;
        content_close(content);
    }
    memory_free(bytes);
    return NULL;
}

/* Readers with few places in memory, while others push: everything that is handed out is whole. */
static void test_readers_meet_pushers(void **state)
{
    struct services_settings settings = { .facts_max = 4, .open_max = 2 };
    struct read_state readers[2];
    pthread_t threads[2];
    atomic_bool stop = false;
    struct services *mine;
    struct world world;
    struct sample base, next;
    enum pushes_outcome outcome;

    world_open(&world, WORLD_FILE);
    settings.database = world.database;
    settings.store = world.store;
    mine = world.services;
    assert_int_equal(services_new(&settings, &world.services, NULL), 0);
    sample_make(&base, 20, 8, 10000);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "base", &base, &outcome, NULL,
                                 NULL, NULL),
                     0);
    for (size_t i = 0; i < 2; i++) {
        readers[i] = (struct read_state){ .world = &world, .sample = &base, .stop = &stop };
        assert_int_equal(pthread_create(&threads[i], NULL, read_main, &readers[i]), 0);
    }
    for (uint32_t n = 0; n < 5; n++) {
        char version[16];

        sample_make(&next, 30 + n, 4, 5000);
        snprintf(version, sizeof(version), "n%u", n);
        assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, &next, &outcome,
                                     NULL, NULL, NULL),
                         0);
        sample_check(&world, "p", "a", version, &next);
        sample_release(&next);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].failures, 0);
    }
    services_free(world.services);
    world.services = mine;
    sample_release(&base);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_same_name_same_content),
        cmocka_unit_test(test_same_name_other_content),
        cmocka_unit_test(test_same_part),
        cmocka_unit_test(test_readers_meet_pushers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
