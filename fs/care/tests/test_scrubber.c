/* SPDX-License-Identifier: MIT */
#include "fs/care/scrubber.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

#define OBJECTS 20
#define SIZE 100000
#define PATIENCE_MS 20000

struct world {
    char *folder;
    struct blob_cache *cache;
    struct sample *samples[OBJECTS];
    _Atomic unsigned found;
    struct digest last;
    _Atomic bool busy;
};

static void *sleeper(void)
{
    struct timespec wait = { 0, 10 * 1000000 };

    nanosleep(&wait, NULL);
    return NULL;
}

static void path_of(const struct world *world, size_t i, char out[512])
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&world->samples[i]->sha256, hex);
    (void)snprintf(out, 512, "%s/obj/%.2s/%s", world->folder, hex, hex);
}

static void damage(const struct world *world, size_t i)
{
    char path[512];
    FILE *file;

    path_of(world, i, path);
    assert_int_equal(chmod(path, 0600), 0);
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fputc(world->samples[i]->bytes[0] ^ 1, file), world->samples[i]->bytes[0] ^ 1);
    fclose(file);
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));

    world->folder = temporary_new();
    assert_int_equal(blob_cache_open(world->folder, NULL, &world->cache, NULL), 0);
    for (size_t i = 0; i < OBJECTS; i++) {
        struct blob_entry *entry;

        world->samples[i] = sample_new(SIZE, (uint32_t)i + 1);
        entry = sample_entry(world->cache, world->samples[i]);
        sample_fill(entry, world->samples[i]);
        blob_entry_unref(entry);
    }
    return world;
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < OBJECTS; i++)
        sample_free(world->samples[i]);
    blob_cache_close(world->cache);
    temporary_remove(world->folder);
    free(world);
}

static bool is_busy(void *context)
{
    return atomic_load(&((struct world *)context)->busy);
}

static void found(void *context, enum blob_kind kind, const struct digest *name, const char *text)
{
    struct world *world = context;

    world->last = *name;
    atomic_fetch_add(&world->found, 1);
}

static struct scrubber *start(struct world *world, uint64_t rate, uint64_t every_ms)
{
    struct scrubber_options options = { .cache = world->cache,
                                        .directory = world->folder,
                                        .bytes_per_s = rate,
                                        .every_ms = every_ms,
                                        .is_busy = is_busy,
                                        .found = found,
                                        .context = world };
    struct scrubber *scrubber = NULL;

    assert_int_equal(scrubber_start(&scrubber, &options, NULL), 0);
    return scrubber;
}

static struct scrub_progress progress_of(struct scrubber *scrubber)
{
    struct scrub_progress progress;

    scrubber_progress(scrubber, &progress);
    return progress;
}

/* Until so many passes have ended, or objects of the pass are done. */
static struct scrub_progress await(struct scrubber *scrubber, uint64_t passes, uint64_t objects)
{
    uint64_t until = clock_monotonic_ms() + PATIENCE_MS;
    struct scrub_progress progress = progress_of(scrubber);

    while (progress.passes < passes || progress.objects < objects) {
        assert_true(clock_monotonic_ms() < until);
        sleeper();
        progress = progress_of(scrubber);
    }
    return progress;
}

static void a_pass_goes_over_all(void **state)
{
    struct world *world = world_new();
    struct scrubber *scrubber = start(world, UINT64_C(1) << 40, 1000);
    struct scrub_progress progress = await(scrubber, 1, OBJECTS);

    assert_int_equal(progress.objects, OBJECTS);
    assert_int_equal(progress.bytes, OBJECTS * SIZE);
    assert_int_equal(progress.wrong, 0);
    damage(world, 3);
    progress = await(scrubber, progress.passes + 2, 0);
    assert_int_equal(atomic_load(&world->found), 1);
    assert_true(digest_equal(&world->last, &world->samples[3]->sha256));
    scrubber_stop(scrubber);
    world_free(world);
}

/* Stopped in the middle it goes on there; the place of a whole pass is remembered, too. */
static void it_goes_on_where_it_was(void **state)
{
    struct world *world = world_new();
    struct scrubber *scrubber = start(world, 4 * SIZE, 3600000);
    struct scrub_progress before = await(scrubber, 0, 3), after;

    scrubber_stop(scrubber);
    scrubber = start(world, UINT64_C(1) << 40, 3600000);
    after = await(scrubber, 1, OBJECTS);
    assert_int_equal(after.objects, OBJECTS);
    assert_int_equal(after.started_at_s, before.started_at_s);
    scrubber_stop(scrubber);
    scrubber = start(world, UINT64_C(1) << 40, 3600000);
    after = await(scrubber, 1, OBJECTS);
    assert_int_equal(after.state, SCRUB_WAITS);
    assert_int_equal(after.passes, 1);
    scrubber_stop(scrubber);
    world_free(world);
}

static void it_keeps_to_its_rate(void **state)
{
    struct world *world = world_new();
    uint64_t began, ms;
    struct scrubber *scrubber = start(world, 8 * SIZE, 1000);
    struct scrub_progress first = await(scrubber, 0, 1), last;

    began = clock_monotonic_ms();
    last = await(scrubber, 0, first.objects + 8);
    ms = clock_monotonic_ms() - began;
    assert_true(last.bytes - first.bytes <= 8 * SIZE * (ms + 400) / 1000);
    scrubber_stop(scrubber);
    world_free(world);
}

static void readers_come_first(void **state)
{
    struct world *world = world_new();
    struct scrubber *scrubber;
    uint64_t began = clock_monotonic_ms();

    atomic_store(&world->busy, true);
    scrubber = start(world, UINT64_C(1) << 40, 1000);
    await(scrubber, 0, 1);
    assert_true(clock_monotonic_ms() - began >= SCRUB_YIELD_MS);
    atomic_store(&world->busy, false);
    await(scrubber, 1, OBJECTS);
    scrubber_stop(scrubber);
    world_free(world);
}

static void one_of_two_does_it(void **state)
{
    struct world *world = world_new();
    struct scrubber *one = start(world, UINT64_C(1) << 40, 1000), *other;
    uint64_t until = clock_monotonic_ms() + PATIENCE_MS;

    await(one, 1, 0);
    other = start(world, UINT64_C(1) << 40, 1000);
    while (progress_of(other).state != SCRUB_ELSEWHERE) {
        assert_true(clock_monotonic_ms() < until);
        sleeper();
    }
    assert_int_equal(progress_of(other).passes, 0);
    scrubber_stop(one);
    await(other, 2, 0);
    scrubber_stop(other);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_goes_over_all), cmocka_unit_test(it_goes_on_where_it_was),
        cmocka_unit_test(it_keeps_to_its_rate), cmocka_unit_test(readers_come_first),
        cmocka_unit_test(one_of_two_does_it),
    };

    return cmocka_run_group_tests_name("scrubber", tests, NULL, NULL);
}
