/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/client/tests/cache_files.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

static void wrong_bytes_are_not_verified(void **state)
{
    struct blob_cache *cache = cache_open(NULL, 0);
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

static void damage_is_found_dropped_and_healed(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large), *other = sample_entry(cache, small);
    struct blob_cache_stats stats;
    uint8_t bytes[100];

    sample_fill(entry, large);
    sample_fill(other, small);
    blob_entry_unref(entry);
    blob_entry_unref(other);
    blob_cache_close(cache);
    file_flip(cache_file(folder, "obj", &large->sha256, ""), 2 * BLOB_PIECE_SIZE + 5);
    file_flip(cache_file(folder, "obj", &small->sha256, ""), 69999);
    cache = cache_open(folder, 0);
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
    assert_int_equal(access(cache_file(folder, "obj", &large->sha256, ""), F_OK), 0);
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
        struct blob_cache *cache = cache_open(folder, 0);
        struct blob_entry *entry = sample_entry(cache, large);
        uint64_t count = blob_piece_count(large->size), begin = (what & 1) != 0 ? 1 : 0;
        uint8_t bytes[100];

        sample_levels(entry, large);
        for (uint64_t piece = begin; piece < count; piece++)
            assert_int_equal(sample_put(entry, large, piece), 0);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        overwrite(cache_file(folder, begin > 0 ? "part" : "obj", &large->sha256, ""));
        cache = cache_open(folder, 0);
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
        assert_int_equal(access(cache_file(folder, "obj", &large->sha256, ""), F_OK), 0);
        cache = cache_open(folder, 0);
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
        struct blob_cache *cache = cache_open(folder, 0);
        struct blob_entry *entry = sample_entry(cache, large);
        char path[512];

        sample_fill(entry, large);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        (void)snprintf(path, sizeof(path), "%s", cache_file(folder, "obj", &large->sha256, ""));
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
            file_flip(cache_file(folder, "mk", &large->sha256, ""), 10);
            break;
        }
        cache = cache_open(folder, 0);
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
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[100];

    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_whole(entry, large);
    /* cut while it is in use: reads as absent, not as zeros */
    assert_int_equal(chmod(cache_file(folder, "obj", &large->sha256, ""), 0644), 0);
    assert_int_equal(truncate(cache_file(folder, "obj", &large->sha256, ""), 1 * MIB), 0);
    assert_int_equal(blob_entry_read(entry, 2 * MIB, bytes, 100), -EAGAIN);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* As a power cut may leave it, or a crash between two removals. */
static void a_map_without_its_part_is_not_believed(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t byte;

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 1), 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    cache = cache_open(folder, 0);
    assert_int_equal(unlink(cache_file(folder, "part", &large->sha256, "")), 0);
    assert_int_equal(access(cache_file(folder, "part", &large->sha256, ".m"), F_OK), 0);
    entry = sample_entry(cache, large);
    assert_false(blob_entry_has(entry, 1));
    assert_int_equal(blob_entry_cached_bytes(entry), 0);
    assert_int_equal(sample_put(entry, large, 1), 0);
    assert_int_equal(blob_entry_read(entry, BLOB_PIECE_SIZE, &byte, 1), 0);
    assert_int_equal(byte, large->bytes[BLOB_PIECE_SIZE]);
    assert_int_equal(cache_stats(cache).damaged, 0);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void complete_files_can_be_opened(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t bytes[16];
    int fd = -1;

    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), -EAGAIN);
    assert_false(blob_entry_is_checked(entry));
    assert_false(blob_entry_is_sealed(entry));
    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_true(blob_entry_is_sealed(entry));
    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), 0);
    assert_true(blob_entry_is_checked(entry));
    assert_int_equal(pread(fd, bytes, 16, 1000), 16);
    assert_memory_equal(bytes, large->bytes + 1000, 16);
    close(fd);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    /* Another process begins with nothing checked. */
    cache = cache_open(folder, 0);
    entry = sample_entry(cache, large);
    assert_false(blob_entry_is_checked(entry));
    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), 0);
    close(fd);
    assert_true(blob_entry_is_checked(entry));
    file_flip(cache_file(folder, "obj", &large->sha256, ""), 3 * MIB);
    assert_false(blob_entry_is_checked(entry));
    assert_int_equal(blob_entry_open_complete(entry, &fd, NULL), -EAGAIN);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_bytes_are_not_verified),
        cmocka_unit_test(damage_is_found_dropped_and_healed),
        cmocka_unit_test(what_replaces_garbage_is_kept),
        cmocka_unit_test(other_damage_is_no_error_either),
        cmocka_unit_test(damage_while_it_is_open),
        cmocka_unit_test(a_map_without_its_part_is_not_believed),
        cmocka_unit_test(complete_files_can_be_opened),
    };

    return cmocka_run_group_tests_name("blob_entry", tests, cache_samples_new, cache_samples_free);
}
