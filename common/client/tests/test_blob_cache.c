/* SPDX-License-Identifier: MIT */
#include "common/client/blob_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/client/tests/cache_files.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

static void what_is_put_can_be_read(void **state)
{
    const struct sample *samples[] = { small, large };
    char *folder = temporary_new();
    struct stat info;

    for (int round = 0; round < 2; round++) {
        struct blob_cache *cache = cache_open(folder, 0);

        for (size_t i = 0; i < 2; i++) {
            struct blob_entry *entry = sample_entry(cache, samples[i]);
            uint8_t byte;

            if (round == 0) {
                assert_int_equal(blob_entry_read(entry, 0, &byte, 1), -EAGAIN);
                sample_fill(entry, samples[i]);
            }
            assert_whole(entry, samples[i]);
            assert_true(blob_entry_is_complete(entry));
            assert_int_equal(blob_entry_cached_bytes(entry), samples[i]->size);
            blob_entry_unref(entry);
        }
        blob_cache_flush(cache);
        assert_int_equal(stat(cache_file(folder, "obj", &large->sha256, ""), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0444);
        assert_int_equal(stat(cache_file(folder, "obj", &small->sha256, ""), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0444);
        assert_int_not_equal(stat(cache_file(folder, "part", &large->sha256, ""), &info), 0);
        blob_cache_close(cache);
    }
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    temporary_remove(folder);
}

static void others_may_not_write_to_it(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = NULL;

    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(blob_cache_open(folder, NULL, &cache, NULL), -EACCES);
    temporary_remove(folder);
}

static void a_part_is_found_again(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[100];

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 1), 0);
    assert_int_equal(sample_put(entry, large, 4), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    cache = cache_open(folder, 0);
    entry = sample_entry(cache, large);
    assert_true(blob_entry_has(entry, 1));
    assert_false(blob_entry_has(entry, 0));
    assert_int_equal(blob_entry_cached_bytes(entry), 2 * BLOB_PIECE_SIZE);
    assert_int_equal(blob_entry_read(entry, BLOB_PIECE_SIZE + 7, bytes, 100), 0);
    assert_memory_equal(bytes, large->bytes + BLOB_PIECE_SIZE + 7, 100);
    assert_int_equal(blob_entry_read(entry, 2 * BLOB_PIECE_SIZE - 50, bytes, 100), -EAGAIN);
    /* and its damage too */
    file_flip(cache_file(folder, "part", &large->sha256, ""), 4 * BLOB_PIECE_SIZE + 1);
    assert_int_equal(blob_entry_read(entry, 4 * BLOB_PIECE_SIZE + 500, bytes, 100), -EAGAIN);
    sample_fill(entry, large);
    assert_whole(entry, large);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void two_processes_share_it(void **state)
{
    char *folder = temporary_new();
    pid_t pids[3];

    for (int p = 0; p < 3; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            struct blob_cache *cache = cache_open(folder, 0);
            uint8_t *out = malloc(large->size);
            bool right = true;

            for (int i = 0; i < 20 && right; i++) {
                struct blob_entry *entry = sample_entry(cache, large);

                sample_levels(entry, large);
                for (uint64_t piece = 0; piece < blob_piece_count(large->size); piece++)
                    sample_put(entry, large,
                               (piece + (uint64_t)p * 2) % blob_piece_count(large->size));
                if (blob_entry_read(entry, 0, out, large->size) == 0)
                    right = memcmp(out, large->bytes, large->size) == 0;
                if (i % 5 == p)
                    blob_entry_drop(entry);
                blob_entry_unref(entry);
            }
            blob_cache_close(cache);
            _exit(right ? 0 : 1);
        }
    }
    for (int p = 0; p < 3; p++) {
        int status = -1;
        waitpid(pids[p], &status, 0);
        assert_int_equal(status, 0);
    }
    temporary_remove(folder);
}

static uint64_t told_ms;

static uint64_t tell_time(void)
{
    return told_ms;
}

static void what_one_brings_the_other_finds(void **state)
{
    const struct blob_cache_options timed = { .now_ms = tell_time };
    char *folder = temporary_new();
    struct blob_cache *a = cache_open(folder, 0), *b = NULL;
    struct blob_entry *of_a = sample_entry(a, large), *of_b;
    uint8_t bytes[10];

    told_ms = 5000;
    assert_int_equal(blob_cache_open(folder, &timed, &b, NULL), 0);
    of_b = sample_entry(b, large);

    assert_int_equal(blob_entry_read(of_b, 0, bytes, 10), -EAGAIN);
    sample_levels(of_a, large);
    sample_levels(of_b, large);
    assert_int_equal(sample_put(of_a, large, 0), 0);
    assert_int_equal(sample_put(of_b, large, 1), -ENOSPC); /* the part is the other's */
    sample_fill(of_a, large);
    blob_cache_flush(a);
    told_ms += 999;
    assert_int_equal(blob_entry_read(of_b, 0, bytes, 10), -EAGAIN); /* it looks once a second */
    told_ms += 1;
    assert_whole(of_b, large);
    blob_entry_unref(of_a);
    blob_entry_unref(of_b);
    blob_cache_close(a);
    blob_cache_close(b);
    temporary_remove(folder);
}

/* Counted by nobody who waits: the same in the end, and what comes meanwhile counts once. */
static void what_is_there_can_be_counted_behind(void **state)
{
    char *folder = temporary_new();
    struct blob_cache_options options = { .scan_behind = true };
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, small);
    struct blob_cache_stats stats;

    sample_fill(entry, small);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    entry = sample_entry(cache, large);
    sample_fill(entry, large);
    blob_cache_flush(cache);
    blob_cache_stats(cache, &stats);
    assert_int_equal(stats.objects, 2);
    assert_int_equal(stats.bytes, small->size + large->size);
    assert_whole(entry, large);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static int open_and_put(const char *folder)
{
    struct blob_cache *cache = NULL;
    struct blob_entry *entry = NULL;
    struct blob_key key = sample_key(small);
    int r = blob_cache_open(folder, NULL, &cache, NULL);

    if (r == 0)
        r = blob_cache_entry(cache, &key, &entry, NULL);
    if (r == 0)
        blob_entry_put(entry, 0, small->bytes, small->size); /* may be refused */
    blob_entry_unref(entry);
    blob_cache_close(cache);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    char *folder = temporary_new();

    for (int64_t n = 0; n < 200; n++) {
        int r;
        bool failed;

        memory_fail_after(n);
        r = open_and_put(folder);
        failed = memory_failed();
        memory_fail_after(-1);
        assert_true(r == 0 || r == -ENOMEM);
        if (!failed) {
            assert_int_equal(r, 0);
            break;
        }
    }
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_can_be_read),
        cmocka_unit_test(others_may_not_write_to_it),
        cmocka_unit_test(a_part_is_found_again),
        cmocka_unit_test(two_processes_share_it),
        cmocka_unit_test(what_one_brings_the_other_finds),
        cmocka_unit_test(what_is_there_can_be_counted_behind),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests_name("blob_cache", tests, cache_samples_new, cache_samples_free);
}
