/* SPDX-License-Identifier: MIT */
#include "common/client/blob_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/tests/sample.h"
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

static const char *path_of(const char *folder, const char *below, const struct digest *name,
                           const char *behind)
{
    static char path[512];
    char hex[DIGEST_HEX_SIZE];

    digest_hex(name, hex);
    if (strcmp(below, "obj") == 0)
        (void)snprintf(path, sizeof(path), "%s/obj/%.2s/%s", folder, hex, hex);
    else
        (void)snprintf(path, sizeof(path), "%s/%s/%s%s", folder, below, hex, behind);
    return path;
}

static void flip(const char *path, off_t offset)
{
    uint8_t byte;
    int fd;

    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
    assert_int_equal(chmod(path, 0444), 0);
}

static struct blob_cache *open_cache(const char *folder)
{
    struct blob_cache *cache = NULL;

    assert_int_equal(blob_cache_open(folder, NULL, &cache, NULL), 0);
    return cache;
}

static struct blob_cache *filled(const char *folder, const struct sample *sample)
{
    struct blob_cache *cache = open_cache(folder);
    struct blob_entry *entry = sample_entry(cache, sample);

    sample_fill(entry, sample);
    blob_entry_unref(entry);
    blob_cache_flush(cache);
    return cache;
}

static int check(struct blob_cache *cache, const struct sample *sample)
{
    return blob_cache_check(cache, BLOB_CONTENT, &sample->sha256, NULL, NULL, NULL);
}

static struct blob_cache_stats stats_of(struct blob_cache *cache)
{
    struct blob_cache_stats stats;

    blob_cache_stats(cache, &stats);
    return stats;
}

static void what_is_right_stays(void **state)
{
    const struct sample *samples[] = { small, large };

    for (size_t i = 0; i < 2; i++) {
        char *folder = temporary_new();
        struct blob_cache *cache = filled(folder, samples[i]);
        uint64_t size = 0;

        assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &samples[i]->sha256, NULL, &size,
                                          NULL),
                         0);
        assert_int_equal(size, samples[i]->size);
        assert_int_equal(check(cache, samples[1 - i]), -ENOENT);
        assert_int_equal(stats_of(cache).damaged, 0);
        assert_int_equal(stats_of(cache).objects, 1);
        blob_cache_close(cache);
        temporary_remove(folder);
    }
}

/* Also what this process has read and found right, and has open. */
static void what_is_wrong_is_set_aside(void **state)
{
    const struct sample *samples[] = { small, large };

    for (size_t i = 0; i < 2; i++) {
        char *folder = temporary_new();
        struct blob_cache *cache = filled(folder, samples[i]);
        struct blob_entry *entry = sample_entry(cache, samples[i]);
        struct error err = { 0 };
        struct stat info;
        uint8_t byte;

        assert_int_equal(blob_entry_read(entry, samples[i]->size - 1, &byte, 1), 0);
        flip(path_of(folder, "obj", &samples[i]->sha256, ""), (off_t)samples[i]->size - 1);
        assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &samples[i]->sha256, NULL, NULL,
                                          &err),
                         -EBADMSG);
        assert_non_null(strstr(err.text, "obj/"));
        assert_int_equal(blob_entry_read(entry, samples[i]->size - 1, &byte, 1), -EAGAIN);
        assert_false(blob_entry_is_complete(entry));
        assert_int_equal(stats_of(cache).damaged, 1);
        assert_int_equal(stats_of(cache).set_aside, 1);
        assert_int_equal(stats_of(cache).objects, 0);
        assert_int_equal(stat(path_of(folder, "bad", &samples[i]->sha256, ""), &info), 0);
        assert_int_equal(info.st_size, samples[i]->size);
        assert_int_equal(check(cache, samples[i]), -ENOENT);
        /* and it comes again */
        sample_fill(entry, samples[i]);
        blob_cache_flush(cache);
        assert_int_equal(check(cache, samples[i]), 0);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        temporary_remove(folder);
    }
}

/* Read and found right, and changed since: not given, also of a file that is open, and that got its
 * name in this process. */
static void a_changed_file_is_not_believed(void **state)
{
    const struct sample *samples[] = { small, large };

    for (size_t i = 0; i < 4; i++) {
        const struct sample *sample = samples[i % 2];
        char *folder = temporary_new();
        struct blob_cache *cache = filled(folder, sample);
        struct blob_entry *entry;
        uint8_t byte;

        if (i >= 2) {
            blob_cache_close(cache);
            cache = open_cache(folder);
        }
        entry = sample_entry(cache, sample);
        assert_int_equal(blob_entry_read(entry, 77, &byte, 1), 0);
        assert_int_equal(byte, sample->bytes[77]);
        flip(path_of(folder, "obj", &sample->sha256, ""), 77);
        if (i >= 2)
            sample_levels(entry, sample);
        assert_int_equal(blob_entry_read(entry, 77, &byte, 1), -EAGAIN);
        assert_int_equal(stats_of(cache).damaged, 1);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        temporary_remove(folder);
    }
}

static void a_shorter_one_is_wrong(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = filled(folder, large);
    const char *path = path_of(folder, "obj", &large->sha256, "");

    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(check(cache, large), -EBADMSG);
    blob_cache_close(cache);
    temporary_remove(folder);
}

/* A tree image goes by its verity digest. */
static void images_go_by_their_verity(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder);
    struct blob_key key = sample_key(large);
    struct blob_entry *entry = NULL;
    struct stat info;

    key.kind = BLOB_TREE;
    key.name = large->verity;
    assert_int_equal(blob_cache_entry(cache, &key, &entry, NULL), 0);
    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_int_equal(blob_cache_check(cache, BLOB_TREE, &large->verity, NULL, NULL, NULL), 0);
    flip(path_of(folder, "idx", &large->verity, ""), 2 * MIB);
    assert_int_equal(blob_cache_check(cache, BLOB_TREE, &large->verity, NULL, NULL, NULL),
                     -EBADMSG);
    assert_int_equal(stat(path_of(folder, "bad", &large->verity, "t"), &info), 0);
    assert_false(blob_entry_is_complete(entry));
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

struct steps {
    unsigned left;
    size_t bytes;
};

static bool step(void *context, size_t size)
{
    struct steps *steps = context;

    steps->bytes += size;
    return steps->left-- == 0;
}

static void it_can_be_ended(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = filled(folder, large);
    struct steps steps = { 3, 0 };
    struct blob_check how = { step, &steps };

    flip(path_of(folder, "obj", &large->sha256, ""), 10);
    assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &large->sha256, &how, NULL, NULL),
                     -ECANCELED);
    assert_int_equal(stats_of(cache).set_aside, 0);
    steps = (struct steps){ 1000, 0 };
    assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &large->sha256, &how, NULL, NULL),
                     -EBADMSG);
    assert_in_range(steps.bytes, large->size, large->size + 4096);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void others_learn_of_it(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = filled(folder, small), *other = open_cache(folder);
    struct blob_entry *entry = sample_entry(other, small);
    uint8_t byte;

    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    blob_cache_look_aside(other);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    flip(path_of(folder, "obj", &small->sha256, ""), 0);
    assert_int_equal(check(cache, small), -EBADMSG);
    blob_cache_look_aside(other);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), -EAGAIN);
    assert_int_equal(stats_of(other).bytes, 0);
    /* one that was put again is taken for what it is */
    assert_int_equal(sample_put(entry, small, 0), 0);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    assert_int_equal(byte, small->bytes[0]);
    blob_entry_unref(entry);
    blob_cache_close(other);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static unsigned count_in(const char *folder, const char *below)
{
    unsigned count = 0;
    struct dirent *entry;
    char path[512];
    DIR *list;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, below);
    list = opendir(path);
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count;
}

static void few_are_kept_aside(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder);

    for (unsigned i = 0; i < BLOB_BAD_MAX + 5; i++) {
        struct sample *sample = sample_new(1000 + i, i + 50);
        struct blob_entry *entry = sample_entry(cache, sample);

        sample_fill(entry, sample);
        flip(path_of(folder, "obj", &sample->sha256, ""), 3);
        assert_int_equal(check(cache, sample), -EBADMSG);
        blob_entry_unref(entry);
        sample_free(sample);
    }
    assert_int_equal(stats_of(cache).set_aside, BLOB_BAD_MAX + 5);
    assert_int_equal(count_in(folder, "bad"), BLOB_BAD_MAX);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void parts_are_checked_again(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t byte;

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 0), 0);
    assert_int_equal(sample_put(entry, large, 2), 0);
    assert_int_equal(blob_entry_check_part(entry, NULL), 0);
    flip(path_of(folder, "part", &large->sha256, ""), 2 * BLOB_PIECE_SIZE + 5);
    assert_int_equal(blob_entry_check_part(entry, NULL), 1);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    assert_int_equal(blob_entry_read(entry, 2 * BLOB_PIECE_SIZE, &byte, 1), -EAGAIN);
    assert_int_equal(stats_of(cache).damaged, 1);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void names_come_in_order(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = open_cache(folder);
    size_t found = 0;

    for (unsigned i = 0; i < 300; i++) {
        struct sample *sample = sample_new(100, i);
        struct blob_entry *entry = sample_entry(cache, sample);

        sample_fill(entry, sample);
        blob_entry_unref(entry);
        sample_free(sample);
    }
    for (unsigned first = 0; first < 256; first++) {
        struct digest *names = NULL;
        size_t count = 0;

        assert_int_equal(blob_cache_names(cache, BLOB_CONTENT, (uint8_t)first, &names, &count,
                                          NULL),
                         0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(names[i].bytes[0], first);
            assert_true(i == 0 || digest_compare(&names[i - 1], &names[i]) < 0);
        }
        found += count;
        memory_free(names);
        assert_int_equal(blob_cache_names(cache, BLOB_TREE, (uint8_t)first, &names, &count, NULL),
                         0);
        assert_int_equal(count, 0);
        memory_free(names);
    }
    assert_int_equal(found, 300);
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
        assert_true(stats_of(cache).bytes <= 200000);
    }
    assert_true(kept.looks > 0);
    assert_true(stats_of(cache).evicted > 40);
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
            assert_int_equal(check(cache, samples[i - before]), 0);
    }
    assert_true(stats_of(cache).evicted >= 20);
    for (unsigned i = 0; i < 30; i++)
        sample_free(samples[i]);
    blob_cache_close(cache);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_stays),
        cmocka_unit_test(what_is_wrong_is_set_aside),
        cmocka_unit_test(a_changed_file_is_not_believed),
        cmocka_unit_test(a_shorter_one_is_wrong),
        cmocka_unit_test(images_go_by_their_verity),
        cmocka_unit_test(it_can_be_ended),
        cmocka_unit_test(others_learn_of_it),
        cmocka_unit_test(few_are_kept_aside),
        cmocka_unit_test(parts_are_checked_again),
        cmocka_unit_test(names_come_in_order),
        cmocka_unit_test(what_is_kept_on_purpose_stays),
        cmocka_unit_test(what_is_read_often_outlives_a_flood),
        cmocka_unit_test(the_newest_is_not_the_first_to_go),
    };

    return cmocka_run_group_tests_name("blob_check", tests, samples_new, samples_free);
}
