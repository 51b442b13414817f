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
#include "common/client/tests/cache_files.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)

static int check(struct blob_cache *cache, const struct sample *sample)
{
    return blob_cache_check(cache, BLOB_CONTENT, &sample->sha256, NULL, NULL, NULL);
}

static void what_is_right_stays(void **state)
{
    const struct sample *samples[] = { small, large };

    for (size_t i = 0; i < 2; i++) {
        char *folder = temporary_new();
        struct blob_cache *cache = cache_filled(folder, samples[i]);
        uint64_t size = 0;

        assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &samples[i]->sha256, NULL, &size,
                                          NULL),
                         0);
        assert_int_equal(size, samples[i]->size);
        assert_int_equal(check(cache, samples[1 - i]), -ENOENT);
        assert_int_equal(cache_stats(cache).damaged, 0);
        assert_int_equal(cache_stats(cache).objects, 1);
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
        struct blob_cache *cache = cache_filled(folder, samples[i]);
        struct blob_entry *entry = sample_entry(cache, samples[i]);
        struct error err = { 0 };
        struct stat info;
        uint8_t byte;

        assert_int_equal(blob_entry_read(entry, samples[i]->size - 1, &byte, 1), 0);
        file_flip(cache_file(folder, "obj", &samples[i]->sha256, ""), (off_t)samples[i]->size - 1);
        assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &samples[i]->sha256, NULL, NULL,
                                          &err),
                         -EBADMSG);
        assert_non_null(strstr(err.text, "obj/"));
        assert_int_equal(blob_entry_read(entry, samples[i]->size - 1, &byte, 1), -EAGAIN);
        assert_false(blob_entry_is_complete(entry));
        assert_int_equal(cache_stats(cache).damaged, 1);
        assert_int_equal(cache_stats(cache).set_aside, 1);
        assert_int_equal(cache_stats(cache).objects, 0);
        assert_int_equal(stat(cache_file(folder, "bad", &samples[i]->sha256, ""), &info), 0);
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
        struct blob_cache *cache = cache_filled(folder, sample);
        struct blob_entry *entry;
        uint8_t byte;

        if (i >= 2) {
            blob_cache_close(cache);
            cache = cache_open(folder, 0);
        }
        entry = sample_entry(cache, sample);
        assert_int_equal(blob_entry_read(entry, 77, &byte, 1), 0);
        assert_int_equal(byte, sample->bytes[77]);
        file_flip(cache_file(folder, "obj", &sample->sha256, ""), 77);
        if (i >= 2)
            sample_levels(entry, sample);
        assert_int_equal(blob_entry_read(entry, 77, &byte, 1), -EAGAIN);
        assert_int_equal(cache_stats(cache).damaged, 1);
        blob_entry_unref(entry);
        blob_cache_close(cache);
        temporary_remove(folder);
    }
}

static void a_shorter_one_is_wrong(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_filled(folder, large);
    const char *path = cache_file(folder, "obj", &large->sha256, "");

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
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_key key = sample_key(large);
    struct blob_entry *entry = NULL;
    struct stat info;

    key.kind = BLOB_TREE;
    key.name = large->verity;
    assert_int_equal(blob_cache_entry(cache, &key, &entry, NULL), 0);
    sample_fill(entry, large);
    blob_cache_flush(cache);
    assert_int_equal(blob_cache_check(cache, BLOB_TREE, &large->verity, NULL, NULL, NULL), 0);
    file_flip(cache_file(folder, "idx", &large->verity, ""), 2 * MIB);
    assert_int_equal(blob_cache_check(cache, BLOB_TREE, &large->verity, NULL, NULL, NULL),
                     -EBADMSG);
    assert_int_equal(stat(cache_file(folder, "bad", &large->verity, "t"), &info), 0);
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
    struct blob_cache *cache = cache_filled(folder, large);
    struct steps steps = { 3, 0 };
    struct blob_check how = { step, &steps };

    file_flip(cache_file(folder, "obj", &large->sha256, ""), 10);
    assert_int_equal(blob_cache_check(cache, BLOB_CONTENT, &large->sha256, &how, NULL, NULL),
                     -ECANCELED);
    assert_int_equal(cache_stats(cache).set_aside, 0);
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
    struct blob_cache *cache = cache_filled(folder, small), *other = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(other, small);
    uint8_t byte;

    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    blob_cache_look_aside(other);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    file_flip(cache_file(folder, "obj", &small->sha256, ""), 0);
    assert_int_equal(check(cache, small), -EBADMSG);
    blob_cache_look_aside(other);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), -EAGAIN);
    assert_int_equal(cache_stats(other).bytes, 0);
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
    struct blob_cache *cache = cache_open(folder, 0);

    for (unsigned i = 0; i < BLOB_BAD_MAX + 5; i++) {
        struct sample *sample = sample_new(1000 + i, i + 50);
        struct blob_entry *entry = sample_entry(cache, sample);

        sample_fill(entry, sample);
        file_flip(cache_file(folder, "obj", &sample->sha256, ""), 3);
        assert_int_equal(check(cache, sample), -EBADMSG);
        blob_entry_unref(entry);
        sample_free(sample);
    }
    assert_int_equal(cache_stats(cache).set_aside, BLOB_BAD_MAX + 5);
    assert_int_equal(count_in(folder, "bad"), BLOB_BAD_MAX);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void parts_are_checked_again(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
    struct blob_entry *entry = sample_entry(cache, large);
    uint8_t byte;

    sample_levels(entry, large);
    assert_int_equal(sample_put(entry, large, 0), 0);
    assert_int_equal(sample_put(entry, large, 2), 0);
    assert_int_equal(blob_entry_check_part(entry, NULL), 0);
    file_flip(cache_file(folder, "part", &large->sha256, ""), 2 * BLOB_PIECE_SIZE + 5);
    assert_int_equal(blob_entry_check_part(entry, NULL), 1);
    assert_int_equal(blob_entry_read(entry, 0, &byte, 1), 0);
    assert_int_equal(blob_entry_read(entry, 2 * BLOB_PIECE_SIZE, &byte, 1), -EAGAIN);
    assert_int_equal(cache_stats(cache).damaged, 1);
    blob_entry_unref(entry);
    blob_cache_close(cache);
    temporary_remove(folder);
}

static void names_come_in_order(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = cache_open(folder, 0);
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
    };

    return cmocka_run_group_tests_name("blob_check", tests, cache_samples_new, cache_samples_free);
}
