/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/tests/cache_files.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

/* A child fills the cache and is killed somewhere; what the next process reads is right or
 * absent. */
static void kill_while_it_writes(void **state)
{
    char *folder = temporary_new();
    unsigned found = 0;

    for (int round = 0; round < 25; round++) {
        struct blob_cache *cache;
        struct blob_entry *entry;
        uint8_t *out = malloc(BLOB_PIECE_SIZE);
        int begun[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(begun), 0);
        pid = fork();
        if (pid == 0) {
            for (int i = 0;; i++) {
                cache = cache_open(folder, 0);
                if (i == 0 && write(begun[1], "x", 1) != 1)
                    _exit(1);
                entry = sample_entry(cache, large);
                if (i % 3 == 2)
                    blob_entry_drop(entry);
                sample_fill(entry, large);
                blob_entry_unref(entry);
                entry = sample_entry(cache, small);
                if (i % 3 == 2)
                    blob_entry_drop(entry);
                sample_fill(entry, small);
                blob_entry_unref(entry);
                blob_cache_close(cache);
            }
        }
        close(begun[1]);
        assert_int_equal(read(begun[0], &byte, 1), 1);
        close(begun[0]);
        usleep((useconds_t)round * 1700); /* another moment each round */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cache = cache_open(folder, 0);
        entry = sample_entry(cache, large);
        for (uint64_t piece = 0; piece < blob_piece_count(large->size); piece++) {
            size_t size = (size_t)blob_piece_size(large->size, piece);

            if (blob_entry_read(entry, piece * BLOB_PIECE_SIZE, out, size) == 0) {
                assert_memory_equal(out, large->bytes + piece * BLOB_PIECE_SIZE, size);
                found++;
            }
        }
        sample_fill(entry, large);
        assert_whole(entry, large);
        blob_entry_unref(entry);
        entry = sample_entry(cache, small);
        if (blob_entry_read(entry, 0, out, small->size) == 0)
            assert_memory_equal(out, small->bytes, small->size);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        free(out);
    }
    assert_true(found > 0);
    temporary_remove(folder);
}

/* A tree that pairs a SHA-256 with another blob's verity digest must not get bytes under that
 * name. */
static void a_false_pair_of_digests_is_not_kept(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct sample *samples[] = { small, large };

    for (size_t i = 0; i < 2; i++) {
        struct blob_key key = sample_key(samples[i]);
        struct blob_entry *entry = NULL, *honest;
        uint8_t byte;

        key.name = digest_of("somebody else", 13);
        assert_int_equal(blob_cache_entry(cache, &key, &entry, NULL), 0);
        sample_levels(entry, samples[i]);
        for (uint64_t piece = 0; piece < blob_piece_count(samples[i]->size); piece++)
            sample_put(entry, samples[i], piece);
        blob_cache_flush(cache);
        blob_entry_unref(entry);
        honest = NULL;
        assert_int_equal(blob_cache_entry(cache, &key, &honest, NULL), 0);
        assert_int_equal(blob_entry_read(honest, 0, &byte, 1), -EAGAIN);
        blob_entry_unref(honest);
    }
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* A map that tells of more than a crash has left: no failure of the disk, what is missing is. */
static void a_part_may_be_too_short(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    const uint64_t last = blob_piece_count(large->size) - 1;
    uint8_t byte;

    sample_levels(entry, large);
    for (uint64_t piece = 1; piece <= last; piece++)
        assert_int_equal(sample_put(entry, large, piece), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    assert_int_equal(truncate(cache_file(folder, "part", &large->sha256, ""),
                              (off_t)(last * BLOB_PIECE_SIZE)),
                     0);
    cache = cache_open(folder, 0);
    entry = sample_entry(cache, large);
    assert_int_equal(sample_put(entry, large, 0), 0);
    blob_cache_flush(cache);
    assert_false(cache_stats(cache).degraded);
    assert_false(blob_entry_is_complete(entry));
    assert_int_equal(blob_entry_read(entry, large->size - 1, &byte, 1), -EAGAIN);
    assert_int_equal(sample_put(entry, large, last), 0);
    blob_cache_flush(cache);
    assert_whole(entry, large);
    assert_int_equal(access(cache_file(folder, "obj", &large->sha256, ""), F_OK), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* Bytes that this process has read so far, of whatever file. */
static uint64_t bytes_read(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    unsigned long long count = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "rchar: %llu", &count), 1);
    fclose(file);
    return count;
}

/* Damage that is made good while the whole is hashed: whether that saw it or not, the object is
 * kept, or the one piece is missing and is taken again. */
static void a_piece_comes_while_the_whole_is_hashed(void **state)
{
    char *folder = temporary_new();
    const char *path;
    struct sample *huge = sample_new(32 * MIB, 9);
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, huge);
    const uint64_t last = blob_piece_count(huge->size) - 1;
    uint64_t before, deadline = clock_monotonic_ms() + 20000;
    int fd;

    sample_levels(entry, huge);
    for (uint64_t piece = 0; piece < last; piece++)
        assert_int_equal(sample_put(entry, huge, piece), 0);
    path = cache_file(folder, "part", &huge->sha256, "");
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "damage", 6, 0), 6);
    before = bytes_read();
    assert_int_equal(sample_put(entry, huge, last), 0); /* from here on it is hashed, behind */
    while (bytes_read() < before + BLOB_PIECE_SIZE)
        assert_true(clock_monotonic_ms() < deadline);
    assert_int_equal(pwrite(fd, huge->bytes, 6, 0), 6);
    close(fd);
    blob_cache_flush(cache);
    assert_int_equal(sample_put(entry, huge, 0), 0);
    blob_cache_flush(cache);
    assert_true(blob_entry_is_complete(entry));
    assert_whole(entry, huge);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    sample_free(huge);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_while_it_writes),
        cmocka_unit_test(a_false_pair_of_digests_is_not_kept),
        cmocka_unit_test(a_part_may_be_too_short),
        cmocka_unit_test(a_piece_comes_while_the_whole_is_hashed),
    };

    return cmocka_run_group_tests_name("blob_seal", tests, cache_samples_new, cache_samples_free);
}
