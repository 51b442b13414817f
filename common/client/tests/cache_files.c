/* SPDX-License-Identifier: MIT */
#include "common/client/tests/cache_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"

struct sample *small, *large;

int cache_samples_new(void **state)
{
    small = sample_new(70000, 7);
    large = sample_new(3 * 1024 * 1024 + 99, 8);
    return 0;
}

int cache_samples_free(void **state)
{
    sample_free(small);
    sample_free(large);
    return 0;
}

struct blob_cache *cache_open(const char *folder, uint64_t quota)
{
    struct blob_cache_options options = { .quota_bytes = quota, .descriptors = 4 };
    struct blob_cache *cache = NULL;

    assert_int_equal(blob_cache_open(folder, &options, &cache, NULL), 0);
    return cache;
}

struct blob_cache *cache_filled(const char *folder, const struct sample *sample)
{
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, sample);

    sample_fill(entry, sample);
    blob_entry_unref(entry);
    blob_cache_flush(cache);
    return cache;
}

struct blob_cache_stats cache_stats(struct blob_cache *cache)
{
    struct blob_cache_stats stats;

    blob_cache_stats(cache, &stats);
    return stats;
}

void assert_whole(struct blob_entry *entry, const struct sample *sample)
{
    uint8_t *out = malloc(sample->size);

    assert_int_equal(blob_entry_read(entry, 0, out, sample->size), 0);
    assert_memory_equal(out, sample->bytes, sample->size);
    free(out);
}

const char *cache_file(const char *folder, const char *below, const struct digest *name,
                       const char *behind)
{
    static char path[512];
    char hex[DIGEST_HEX_SIZE], between[4] = "";

    digest_hex(name, hex);
    if (strcmp(below, "obj") == 0 || strcmp(below, "mk") == 0)
        (void)snprintf(between, sizeof(between), "%.2s/", hex);
    (void)snprintf(path, sizeof(path), "%s/%s/%s%s%s", folder, below, between, hex, behind);
    return path;
}

void file_flip(const char *path, off_t offset)
{
    struct stat info;
    uint8_t byte;
    int fd;

    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    assert_int_equal(fchmod(fd, info.st_mode & 07777), 0);
    close(fd);
}
