/* SPDX-License-Identifier: MIT */
#include "common/client/blob_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/tests/sample.h"
#include "common/model/merkle.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

static struct sample *small, *large;

static int samples_new(void **state)
{
    small = sample_new(70000, 7);
    large = sample_new(3 * MIB + 99, 8);
    return 0;
}

static int samples_free(void **state)
{
    sample_free(small);
    sample_free(large);
    return 0;
}

static struct blob_cache *open_cache(const char *folder, uint64_t quota)
{
    struct blob_cache_options options = { .quota_bytes = quota, .descriptors = 4 };
    struct blob_cache *cache = NULL;

    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    return cache;
}

static void assert_whole(struct blob_entry *entry, const struct sample *sample)
{
    uint8_t *out = malloc(sample->size);

    assert_int_equal(blob_entry_read(entry, 0, out, sample->size), 0);
    assert_memory_equal(out, sample->bytes, sample->size);
    free(out);
}

static char *file_of(const char *folder, const char *below, const struct sample *sample,
                     bool prefix)
{
    static char path[512];
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&sample->sha256, hex);
    if (prefix)
        (void)snprintf(path, sizeof(path), "%s/%s/%.2s/%s", folder, below, hex, hex);
    else
        (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, below, hex);
    return path;
}

static void what_is_put_can_be_read(void **state)
{
    const struct sample *samples[] = { small, large };
    char *folder = temporary_new();
    struct stat info;

    for (int round = 0; round < 2; round++) {
        struct blob_cache *cache = open_cache(folder, 0);

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
        assert_int_equal(stat(file_of(folder, "obj", large, true), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0444);
        assert_int_equal(stat(file_of(folder, "obj", small, true), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0444);
        assert_int_not_equal(stat(file_of(folder, "part", large, false), &info), 0);
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

static void wrong_bytes_are_not_verified(void **state)
{
    struct blob_cache *cache = open_cache(NULL, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t *piece = malloc(BLOB_PIECE_SIZE);
    uint8_t *levels = malloc((size_t)blob_levels_size(large->size));

    memcpy(piece, large->bytes, BLOB_PIECE_SIZE);
    assert_int_equal(blob_entry_verify(entry, 0, piece, BLOB_PIECE_SIZE, NULL), -EAGAIN);
    memcpy(levels, large->merkle, (size_t)blob_levels_size(large->size));
    levels[3] ^= 1;
    assert_int_equal(blob_entry_set_levels(entry, levels, (size_t)blob_levels_size(large->size),
                                           NULL),
                     -EBADMSG);
    assert_int_equal(blob_entry_set_levels(entry, levels, 10, NULL), -EBADMSG);
    sample_levels(entry, large);
    assert_int_equal(blob_entry_verify(entry, 0, piece, BLOB_PIECE_SIZE, NULL), 0);
    piece[9] ^= 1;
    assert_int_equal(blob_entry_verify(entry, 0, piece, BLOB_PIECE_SIZE, NULL), -EBADMSG);
    piece[9] ^= 1;
    assert_int_equal(blob_entry_verify(entry, 1, piece, BLOB_PIECE_SIZE, NULL), -EBADMSG);
    assert_int_equal(blob_entry_verify(entry, 0, piece, 10, NULL), -EBADMSG);
    assert_int_equal(blob_entry_verify(entry, 99, piece, BLOB_PIECE_SIZE, NULL), -EBADMSG);
    assert_int_equal(blob_entry_put(entry, 0, piece, BLOB_PIECE_SIZE), -ENOSPC); /* keeps nothing */
    free(piece);
    free(levels);
    blob_entry_unref(entry);
    blob_cache_close(cache);
}

static void damage(const char *path, off_t offset)
{
    int fd;
    uint8_t byte;

    assert_int_equal(chmod(path, 0644), 0);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void damage_is_found_dropped_and_healed(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large), *other = sample_entry(cache, small);
    struct blob_cache_stats stats;
    uint8_t bytes[100];

    sample_fill(entry, large);
    sample_fill(other, small);
    blob_entry_unref(entry);
    blob_entry_unref(other);
    blob_cache_close(cache);
    damage(file_of(folder, "obj", large, true), 2 * BLOB_PIECE_SIZE + 5);
    damage(file_of(folder, "obj", small, true), 69999);
    cache = open_cache(folder, 0);
    entry = sample_entry(cache, large);
    other = sample_entry(cache, small);
    assert_int_equal(blob_entry_read(entry, 0, bytes, 100), 0);
    assert_int_equal(blob_entry_read(entry, 2 * BLOB_PIECE_SIZE + 1000, bytes, 100), -EAGAIN);
    assert_int_equal(blob_entry_read(other, 0, bytes, 1), -EAGAIN);
    blob_cache_stats(cache, &stats);
    assert_int_equal(stats.damaged, 2);
    /* only the wrong piece is gone, and it can be put again */
    assert_int_equal(blob_entry_read(entry, 3 * BLOB_PIECE_SIZE, bytes, 100), 0);
    assert_memory_equal(bytes, large->bytes + 3 * BLOB_PIECE_SIZE, 100);
    assert_false(blob_entry_is_complete(entry));
    assert_int_equal(sample_put(entry, large, 2), 0);
    sample_fill(other, small);
    assert_whole(entry, large);
    assert_whole(other, small);
    blob_cache_flush(cache);
    assert_int_equal(access(file_of(folder, "obj", large, true), F_OK), 0);
    blob_entry_unref(entry);
    blob_entry_unref(other);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void overwrite(const char *path)
{
    uint8_t bytes[4096];
    struct stat info;
    int fd;

    memset(bytes, 0x5a, sizeof(bytes));
    assert_int_equal(chmod(path, 0644), 0);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    for (off_t at = 0; at < info.st_size; at += (off_t)sizeof(bytes)) {
        size_t left = (size_t)(info.st_size - at);
        size_t size = left < sizeof(bytes) ? left : sizeof(bytes);

        assert_int_equal(pwrite(fd, bytes, size, at), size);
    }
    close(fd);
}

/* All is found wrong piece by piece, also by the look at the whole that the first good piece brings
 * about; what comes instead is kept. */
static void what_replaces_garbage_is_kept(void **state)
{
    for (int what = 0; what < 4; what++) { /* bits: only a part; all that is read comes first */
        char *folder = temporary_new();
        struct blob_cache *cache = open_cache(folder, 0);
        struct blob_entry *entry = sample_entry(cache, large);
        uint64_t count = blob_piece_count(large->size), begin = (what & 1) != 0 ? 1 : 0;
        uint8_t bytes[100];

        sample_levels(entry, large);
        for (uint64_t piece = begin; piece < count; piece++)
            assert_int_equal(sample_put(entry, large, piece), 0);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        overwrite(file_of(folder, begin > 0 ? "part" : "obj", large, begin == 0));
        cache = open_cache(folder, 0);
        entry = sample_entry(cache, large);
        for (uint64_t piece = 0; piece < count; piece++) {
            assert_int_equal(blob_entry_read(entry, piece * BLOB_PIECE_SIZE, bytes, 10), -EAGAIN);
            if ((what & 2) != 0)
                continue;
            assert_int_equal(sample_put(entry, large, piece), 0);
            blob_cache_flush(cache);
        }
        for (uint64_t piece = 0; piece < count && (what & 2) != 0; piece++)
            assert_int_equal(sample_put(entry, large, piece), 0);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        assert_int_equal(access(file_of(folder, "obj", large, true), F_OK), 0);
        cache = open_cache(folder, 0);
        entry = sample_entry(cache, large);
        assert_true(blob_entry_is_complete(entry));
        assert_whole(entry, large);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        temporary_remove(folder);
    }
}

static void other_damage_is_no_error_either(void **state)
{
    char *folder = temporary_new();
    uint8_t bytes[100];

    for (int what = 0; what < 5; what++) {
        struct blob_cache *cache = open_cache(folder, 0);
        struct blob_entry *entry = sample_entry(cache, large);
        char path[512];

        sample_fill(entry, large);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        (void)snprintf(path, sizeof(path), "%s", file_of(folder, "obj", large, true));
        assert_int_equal(chmod(path, 0644), 0);
        switch (what) {
        case 0:
            assert_int_equal(truncate(path, 1000), 0);
            break;
        case 1:
            assert_int_equal(truncate(path, 0), 0);
            break;
        case 2:
            assert_int_equal(unlink(path), 0);
            assert_int_equal(mkdir(path, 0700), 0);
            break;
        case 3:
            assert_int_equal(unlink(path), 0);
            assert_int_equal(symlink("/etc/passwd", path), 0);
            break;
        default: /* the levels */
            damage(file_of(folder, "mk", large, true), 10);
            break;
        }
        cache = open_cache(folder, 0);
        entry = sample_entry(cache, large);
        assert_int_equal(blob_entry_read(entry, 0, bytes, 100), -EAGAIN);
        if (what == 2)
            rmdir(path);
        sample_levels(entry, large);
        if (what < 4)
            sample_fill(entry, large);
        assert_whole(entry, large);
        blob_entry_unref(entry);
        blob_cache_close(cache);
    }
    temporary_remove(folder);
}

static void damage_while_it_is_open(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[100];

    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_whole(entry, large);
    /* cut while it is in use: reads as absent, not as zeros */
    assert_int_equal(chmod(file_of(folder, "obj", large, true), 0644), 0);
    assert_int_equal(truncate(file_of(folder, "obj", large, true), 1 * MIB), 0);
    assert_int_equal(blob_entry_read(entry, 2 * MIB, bytes, 100), -EAGAIN);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

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
                cache = open_cache(folder, 0);
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
        cache = open_cache(folder, 0);
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

static void a_part_is_found_again(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[100];

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 1), 0);
    assert_int_equal(sample_put(entry, large, 4), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    cache = open_cache(folder, 0);
    entry = sample_entry(cache, large);
    assert_true(blob_entry_has(entry, 1));
    assert_false(blob_entry_has(entry, 0));
    assert_int_equal(blob_entry_cached_bytes(entry), 2 * BLOB_PIECE_SIZE);
    assert_int_equal(blob_entry_read(entry, BLOB_PIECE_SIZE + 7, bytes, 100), 0);
    assert_memory_equal(bytes, large->bytes + BLOB_PIECE_SIZE + 7, 100);
    assert_int_equal(blob_entry_read(entry, 2 * BLOB_PIECE_SIZE - 50, bytes, 100), -EAGAIN);
    /* and its damage too */
    damage(file_of(folder, "part", large, false), 4 * BLOB_PIECE_SIZE + 1);
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
            struct blob_cache *cache = open_cache(folder, 0);
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
    struct blob_cache *a = open_cache(folder, 0), *b = NULL;
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

/* A tree that pairs a SHA-256 with another blob's verity digest must not get bytes under that
 * name. */
static void a_false_pair_of_digests_is_not_kept(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder, 0);
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
    char *folder = temporary_new(), *path;
    struct sample *huge = sample_new(32 * MIB, 9);
    struct blob_cache *cache = open_cache(folder, 0);
    struct blob_entry *entry = sample_entry(cache, huge);
    const uint64_t last = blob_piece_count(huge->size) - 1;
    uint64_t before, deadline = clock_monotonic_ms() + 20000;
    int fd;

    sample_levels(entry, huge);
    for (uint64_t piece = 0; piece < last; piece++)
        assert_int_equal(sample_put(entry, huge, piece), 0);
    path = file_of(folder, "part", huge, false);
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
    cache = open_cache(path, 0);
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
    cache = open_cache(path, 0);
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
    struct blob_cache *cache = open_cache(folder, 20 * size);
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
    cache = open_cache(folder, 20 * size);
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

/* Counted by nobody who waits: the same in the end, and what comes meanwhile counts once. */
static void what_is_there_can_be_counted_behind(void **state)
{
    char *folder = temporary_new();
    struct blob_cache_options options = { .scan_behind = true };
    struct blob_cache *cache = open_cache(folder, 0);
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

static void complete_files_can_be_opened(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[16];
    int fd = -1;

    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), -EAGAIN);
    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), 0);
    assert_int_equal(pread(fd, bytes, 16, 1000), 16);
    assert_memory_equal(bytes, large->bytes + 1000, 16);
    close(fd);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    damage(file_of(folder, "obj", large, true), 3 * MIB);
    cache = open_cache(folder, 0);
    entry = sample_entry(cache, large);
    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), -EAGAIN);
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
        cmocka_unit_test(wrong_bytes_are_not_verified),
        cmocka_unit_test(damage_is_found_dropped_and_healed),
        cmocka_unit_test(what_replaces_garbage_is_kept),
        cmocka_unit_test(other_damage_is_no_error_either),
        cmocka_unit_test(damage_while_it_is_open),
        cmocka_unit_test(kill_while_it_writes),
        cmocka_unit_test(a_part_is_found_again),
        cmocka_unit_test(two_processes_share_it),
        cmocka_unit_test(what_one_brings_the_other_finds),
        cmocka_unit_test(a_false_pair_of_digests_is_not_kept),
        cmocka_unit_test(a_piece_comes_while_the_whole_is_hashed),
        cmocka_unit_test(a_full_disk_is_no_error),
        cmocka_unit_test(the_quota_holds),
        cmocka_unit_test(what_is_there_can_be_counted_behind),
        cmocka_unit_test(complete_files_can_be_opened),
        cmocka_unit_test(no_memory_is_an_error),
    };

    private_mounts_begin();
    return cmocka_run_group_tests(tests, samples_new, samples_free);
}
