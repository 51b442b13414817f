/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/client/blob_check.h"
#include "common/client/tests/cache_files.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

static void a_full_disk_is_no_error(void **state)
{
    char *folder = temporary_new();
    char path[256];
    struct blob_cache_stats stats;
    struct blob_cache *cache;
    struct blob_entry *entry;
    uint8_t byte;

    if (mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=0700") != 0) {
        temporary_remove(folder);
        skip();
    }
    (void)snprintf(path, sizeof(path), "%s/cache", folder);
    cache = cache_open(path, 0);
    entry = sample_entry(cache, large);
    sample_levels(entry, large);
    for (uint64_t piece = 0; piece < blob_piece_count(large->size); piece++)
        sample_put(entry, large, piece);
    blob_cache_stats(cache, &stats);
    assert_true(stats.refused > 0);
    assert_true(stats.degraded);
    assert_true(strlen(stats.last_error) > 0);
    if (blob_entry_read(entry, 0, &byte, 1) == 0)
        assert_int_equal(byte, large->bytes[0]);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    /* read-only: what is there is read, nothing else fails */
    assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    cache = cache_open(path, 0);
    entry = sample_entry(cache, small);
    assert_int_equal(sample_put(entry, small, 0), -ENOSPC);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    assert_int_equal(umount2(folder, MNT_DETACH), 0);
    temporary_remove(folder);
}

static void the_quota_holds(void **state)
{
    char *folder = temporary_new();
    const size_t count = 40, size = 60000;
    struct sample *samples[40];
    struct blob_cache *cache = cache_open(folder, 20 * size);
    struct blob_entry *held;
    struct blob_cache_stats stats;
    uint8_t byte;

    for (size_t i = 0; i < count; i++)
        samples[i] = sample_new(size, (uint32_t)i + 100);
    held = sample_entry(cache, samples[0]);
    for (size_t i = 0; i < count; i++) {
        struct blob_entry *entry = sample_entry(cache, samples[i]);

        assert_int_equal(sample_put(entry, samples[i], 0), 0);
        blob_entry_unref(entry);
        blob_cache_stats(cache, &stats);
        assert_true(stats.bytes <= 20 * size);
    }
    assert_true(stats.evicted >= 20);
    assert_true(stats.objects >= 17);
    assert_whole(held, samples[0]); /* in use: stays */
    blob_entry_unref(held);
    blob_cache_close(cache);
    /* what is there is counted when it is opened again, and an evicted one is absent, not wrong */
    cache = cache_open(folder, 20 * size);
    blob_cache_stats(cache, &stats);
    assert_in_range(stats.bytes, 17 * size, 20 * size);
    unsigned present = 0;
    for (size_t i = 0; i < count; i++) {
        struct blob_entry *entry = sample_entry(cache, samples[i]);

        if (blob_entry_read(entry, 0, &byte, 1) == 0) {
            assert_int_equal(byte, samples[i]->bytes[0]);
            present++;
        }
        blob_entry_unref(entry);
        sample_free(samples[i]);
    }
    assert_int_equal(present, stats.objects);
    blob_cache_close(cache);
    temporary_remove(folder);
}

struct kept {
    const struct sample *sample;
    unsigned looks;
};

static void look(void *context)
{
    ((struct kept *)context)->looks++;
}

static bool keeps(void *context, const struct digest *name)
{
    return digest_equal(&((struct kept *)context)->sample->sha256, name);
}

static void what_is_kept_on_purpose_stays(void **state)
{
    char *folder = temporary_new();
    struct kept kept = { small, 0 };
    struct blob_cache_keeper keeper = { &kept, look, keeps };
    struct blob_cache_options options = { .quota_bytes = 200000, .keeper = &keeper };
    struct blob_cache *cache = NULL;
    struct blob_entry *entry;
    uint8_t byte;

    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    entry = sample_entry(cache, small);
    sample_fill(entry, small);
    blob_entry_unref(entry);
    assert_int_equal(kept.looks, 0);
    for (unsigned i = 0; i < 50; i++) {
        struct sample *sample = sample_new(50000, i + 200);

        entry = sample_entry(cache, sample);
        sample_fill(entry, sample);
        blob_entry_unref(entry);
        sample_free(sample);
        assert_true(cache_stats(cache).bytes <= 200000);
    }
    assert_true(kept.looks > 0);
    assert_true(cache_stats(cache).evicted > 40);
    entry = sample_entry(cache, small);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* What was read in several rounds outlives a flood of what is put and never read. */
static void what_is_read_often_outlives_a_flood(void **state)
{
    char *folder = temporary_new();
    struct blob_cache_options options = { .quota_bytes = 500000 };
    struct blob_cache *cache = NULL;
    struct blob_entry *entry;
    uint8_t byte;

    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    entry = sample_entry(cache, small);
    sample_fill(entry, small);
    blob_entry_unref(entry);
    for (unsigned i = 0; i < 60; i++) {
        struct sample *sample = sample_new(50000, i + 300);

        entry = sample_entry(cache, sample);
        sample_fill(entry, sample);
        blob_entry_unref(entry);
        sample_free(sample);
        if (i % 6 == 5) {
            entry = sample_entry(cache, small);
            assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
            blob_entry_unref(entry);
        }
    }
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* What came last has a round of the hand before it: a version that is read for the first time stays
 * while older ones go. */
static void the_newest_is_not_the_first_to_go(void **state)
{
    char *folder = temporary_new();
    struct blob_cache_options options = { .quota_bytes = 500000 };
    struct sample *samples[30];
    struct blob_cache *cache = NULL;
    struct blob_entry *entry;

    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    for (unsigned i = 0; i < 30; i++) {
        samples[i] = sample_new(50000, i + 400);
        entry = sample_entry(cache, samples[i]);
        sample_fill(entry, samples[i]);
        blob_entry_unref(entry);
        for (unsigned before = 1; before <= 5 && before <= i; before++)
            assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &samples[i - before]->sha256,
                                              NULL, NULL, NULL),
                             0);
    }
    assert_true(cache_stats(cache).evicted >= 20);
    for (unsigned i = 0; i < 30; i++)
        sample_free(samples[i]);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* A power cut may leave a map without its part, and a part of what is complete. */
static void what_a_crash_left_goes(void **state)
{
    char *folder = temporary_new(), saved[600];
    const char *part = cache_file(folder, "part", &large->sha256, "");
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    int fd;

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 0), 0);
    blob_cache_flush(cache);
    (void)snprintf(saved, sizeof(saved), "%s.m", part);
    assert_int_equal(link(saved, cache_file(folder, "part", &small->sha256, ".m")), 0);
    sample_fill(entry, large);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    fd = open(cache_file(folder, "part", &large->sha256, ""), O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1000000), 0);
    close(fd);
    cache = cache_open(folder, 0);
    assert_int_equal(cache_stats(cache).objects, 1);
    assert_int_equal(cache_stats(cache).bytes, large->size);
    assert_int_not_equal(access(cache_file(folder, "part", &large->sha256, ""), F_OK), 0);
    assert_int_not_equal(access(cache_file(folder, "part", &small->sha256, ".m"), F_OK), 0);
    entry = sample_entry(cache, large);
    assert_whole(entry, large);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* Threads that put, read, hold and let go at random, of more than there is room for. */
#define CROWD_SAMPLES 24
#define CROWD_THREADS 4
#define CROWD_QUOTA (3ull * MIB)
#define CROWD_TURNS 400
#define CROWD_HELD 3 /* objects a thread holds at most */

struct crowd {
    struct blob_cache *cache;
    struct sample *samples[CROWD_SAMPLES];
    _Atomic bool is_over;
    _Atomic uint64_t most;     /* bytes that were kept at a time */
    _Atomic unsigned was_gone; /* what was held or pinned, and read as absent */
    _Atomic unsigned wrong, held, pinned_reads;
    _Atomic bool pinned_is_there[2];
};

struct crowd_member {
    struct crowd *crowd;
    uint64_t seed;
    struct blob_entry *held[CROWD_HELD];
    const struct sample *held_sample[CROWD_HELD];
};

static uint64_t draw(struct crowd_member *member, uint64_t below)
{
    member->seed = member->seed * 6364136223846793005u + 1442695040888963407u;
    return (member->seed >> 33) % below;
}

/* The first two are pinned. */
static bool crowd_keeps(void *context, const struct digest *name)
{
    struct crowd *crowd = context;

    return digest_equal(&crowd->samples[0]->sha256, name) ||
           digest_equal(&crowd->samples[1]->sha256, name);
}

static void crowd_look(void *context)
{
}

/* 0, or -EAGAIN; wrong bytes are counted. */
static int crowd_read(struct crowd_member *member, struct blob_entry *entry,
                      const struct sample *sample)
{
    size_t offset = (size_t)draw(member, sample->size);
    size_t size = 1 + (size_t)draw(member, sample->size - offset);
    uint8_t *out = malloc(size);
    int r = blob_entry_read(entry, offset, out, size);

    if (r == 0 && memcmp(out, sample->bytes + offset, size) != 0)
        atomic_fetch_add(&member->crowd->wrong, 1);
    free(out);
    return r;
}

/* Whether all of it was kept; in small caches there may be no room. */
static bool crowd_fill(struct blob_entry *entry, const struct sample *sample)
{
    sample_levels(entry, sample);
    for (uint64_t piece = 0; piece < blob_piece_count(sample->size); piece++)
        sample_put(entry, sample, piece);
    return blob_entry_is_complete(entry);
}

/* What a thread holds is all there, from when it was to when it lets go. */
static void crowd_hold(struct crowd_member *member, unsigned place)
{
    struct crowd *crowd = member->crowd;

    if (member->held[place] != NULL) {
        if (crowd_read(member, member->held[place], member->held_sample[place]) < 0)
            atomic_fetch_add(&crowd->was_gone, 1);
        if (draw(member, 4) == 0)
            member->held[place] = blob_entry_unref(member->held[place]);
        return;
    }
    member->held_sample[place] = crowd->samples[draw(member, CROWD_SAMPLES)];
    member->held[place] = sample_entry(crowd->cache, member->held_sample[place]);
    if (crowd_fill(member->held[place], member->held_sample[place]))
        atomic_fetch_add(&crowd->held, 1);
    else
        member->held[place] = blob_entry_unref(member->held[place]);
}

static void crowd_touch(struct crowd_member *member)
{
    struct crowd *crowd = member->crowd;
    size_t which = (size_t)draw(member, CROWD_SAMPLES);
    bool was_there = which < 2 && atomic_load(&crowd->pinned_is_there[which]);
    struct blob_entry *entry = sample_entry(crowd->cache, crowd->samples[which]);

    if (was_there) {
        atomic_fetch_add(&crowd->pinned_reads, 1);
        if (crowd_read(member, entry, crowd->samples[which]) < 0)
            atomic_fetch_add(&crowd->was_gone, 1);
    } else if (crowd_fill(entry, crowd->samples[which])) {
        if (which < 2)
            atomic_store(&crowd->pinned_is_there[which], true);
        crowd_read(member, entry, crowd->samples[which]);
    }
    blob_entry_unref(entry);
}

static void *crowd_act(void *context)
{
    struct crowd_member *member = context;

    for (unsigned turn = 0; turn < CROWD_TURNS; turn++) {
        if (draw(member, 3) == 0)
            crowd_hold(member, (unsigned)draw(member, CROWD_HELD));
        else
            crowd_touch(member);
    }
    for (unsigned i = 0; i < CROWD_HELD; i++)
        blob_entry_unref(member->held[i]);
    return NULL;
}

static void *crowd_watch(void *context)
{
    struct crowd *crowd = context;

    while (!atomic_load(&crowd->is_over)) {
        uint64_t bytes = cache_stats(crowd->cache).bytes;

        if (bytes > atomic_load(&crowd->most))
            atomic_store(&crowd->most, bytes);
    }
    return NULL;
}

static void a_crowd_keeps_to_the_quota(void **state)
{
    char *folder = temporary_new();
    struct crowd crowd = { .is_over = false };
    struct blob_cache_keeper keeper = { &crowd, crowd_look, crowd_keeps };
    struct blob_cache_options options = { .quota_bytes = CROWD_QUOTA, .keeper = &keeper };
    struct crowd_member members[CROWD_THREADS] = { { .crowd = NULL } };
    pthread_t threads[CROWD_THREADS], watcher;
    struct blob_cache_stats before;

    for (unsigned i = 0; i < CROWD_SAMPLES; i++)
        crowd.samples[i] =
            sample_new(i % 3 == 2 ? BLOB_PIECE_SIZE + i * 9000 : 1000 + i * 9000, i + 500);
    assert_int_equal(blob_cache_open(folder, &options, &crowd.cache, NULL), 0);
    assert_int_equal(pthread_create(&watcher, NULL, crowd_watch, &crowd), 0);
    for (unsigned i = 0; i < CROWD_THREADS; i++) {
        members[i] = (struct crowd_member){ .crowd = &crowd, .seed = i + 1 };
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_act, &members[i]), 0);
    }
    for (unsigned i = 0; i < CROWD_THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&crowd.is_over, true);
    pthread_join(watcher, NULL);
    assert_int_equal(crowd.wrong, 0);
    assert_int_equal(crowd.was_gone, 0);
    assert_in_range(crowd.most, 1, CROWD_QUOTA + CROWD_THREADS * BLOB_PIECE_SIZE);
    blob_cache_flush(crowd.cache);
    before = cache_stats(crowd.cache);
    /* and it was a crowd */
    assert_true(before.evicted > 50 && crowd.held > 20 && crowd.pinned_reads > 10);
    assert_int_equal(before.damaged, 0);
    blob_cache_close(crowd.cache);
    /* what was counted is what is there */
    assert_int_equal(blob_cache_open(folder, &options, &crowd.cache, NULL), 0);
    assert_int_equal(cache_stats(crowd.cache).objects, before.objects);
    blob_cache_close(crowd.cache);
    for (unsigned i = 0; i < CROWD_SAMPLES; i++)
        sample_free(crowd.samples[i]);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_no_error),
        cmocka_unit_test(the_quota_holds),
        cmocka_unit_test(what_is_kept_on_purpose_stays),
        cmocka_unit_test(what_is_read_often_outlives_a_flood),
        cmocka_unit_test(the_newest_is_not_the_first_to_go),
        cmocka_unit_test(what_a_crash_left_goes),
        cmocka_unit_test(a_crowd_keeps_to_the_quota),
    };

    private_mounts_begin();
    return cmocka_run_group_tests_name("blob_evict", tests, cache_samples_new, cache_samples_free);
}
