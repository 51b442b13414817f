/* SPDX-License-Identifier: MIT */
#include "agent/transfer/stat_cache.h"

#include <errno.h>
#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"

CLEANUP_DEFINE(stat_cache, stat_cache_close);
CLEANUP_DEFINE(stat_cache_writer, stat_cache_writer_free);

/* Files that were changed long before the cache was begun. */
static struct file_info info_of(uint64_t size)
{
    return (struct file_info){
        .kind = FILE_REGULAR, .size = size, .mtime_s = 5, .ctime_s = 6, .inode = 7
    };
}

static int write_cache(struct directory *at)
{
    static const char *const paths[] = { "a", "a/b", "a-b", "c" };
    cleanup(cleanup_stat_cache_writer) struct stat_cache_writer *writer = NULL;
    int r = stat_cache_writer_new(at, "stat", &writer, NULL);

    for (uint64_t i = 0; r == 0 && i < 4; i++) {
        struct file_info info = info_of(i);
        struct digest sha256 = digest_of(paths[i], strlen(paths[i]));
        r = stat_cache_writer_add(writer, span_text(paths[i]), stat_stamp(&info), &sha256, NULL);
    }
    return r < 0 ? r : stat_cache_writer_end(writer, NULL);
}

static void what_was_written_is_found(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_stat_cache) struct stat_cache *cache = NULL;
    struct file_info info = info_of(0), other = info_of(9), late = info_of(3);
    struct digest sha256, expected = digest_of("a", 1);
    struct span path;
    uint64_t stamp;

    assert_int_equal(write_cache(place->at), 0);
    assert_int_equal(stat_cache_open(place->at, "stat", &cache, NULL), 0);
    assert_true(stat_cache_find(cache, span_text("a"), &info, &sha256));
    assert_memory_equal(sha256.bytes, expected.bytes, DIGEST_SIZE);
    assert_false(stat_cache_find(cache, span_text("a/a"), &info, &sha256));
    assert_false(stat_cache_find(cache, span_text("a-b"), &other, &sha256)); /* changed */
    late.ctime_s = INT64_MAX; /* its stamp differs too; young files are looked at below */
    assert_false(stat_cache_find(cache, span_text("c"), &late, &sha256));
    stat_cache_rewind(cache);
    for (int i = 0; i < 4; i++)
        assert_true(stat_cache_next(cache, &path, &stamp, &sha256));
    assert_true(span_equal_text(path, "c"));
    assert_false(stat_cache_next(cache, &path, &stamp, &sha256));
    assert_false(stat_cache_find(NULL, span_text("a"), &info, &sha256));
}

static void young_files_are_not_believed(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_stat_cache_writer) struct stat_cache_writer *writer = NULL;
    cleanup(cleanup_stat_cache) struct stat_cache *cache = NULL;
    struct file_info info;
    struct digest sha256 = digest_of("x", 1);

    place_put(place, "f", "x");
    assert_int_equal(directory_info(place->at, "f", &info, NULL), 0);
    assert_int_equal(stat_cache_writer_new(place->at, "stat", &writer, NULL), 0);
    assert_int_equal(stat_cache_writer_add(writer, span_text("f"), stat_stamp(&info), &sha256,
                                           NULL),
                     0);
    assert_int_equal(stat_cache_writer_end(writer, NULL), 0);
    assert_int_equal(stat_cache_open(place->at, "stat", &cache, NULL), 0);
    assert_false(stat_cache_find(cache, span_text("f"), &info, &sha256));
}

static void stamps_see_every_change(void **state)
{
    struct file_info info = info_of(1);
    uint64_t stamp = stat_stamp(&info);
    struct file_info changed[] = { info, info, info, info, info, info };

    changed[0].size++;
    changed[1].mtime_ns++;
    changed[2].ctime_ns++;
    changed[3].inode++;
    changed[4].device++;
    changed[5].mode ^= 1;
    for (size_t i = 0; i < 6; i++)
        assert_true(stat_stamp(&changed[i]) != stamp);
    assert_true(stat_stamp(&info) == stamp);
}

static void a_damaged_cache_is_an_empty_one(void **state)
{
    struct place *place = *state;
    struct file_info info = info_of(0);
    struct digest sha256;

    assert_int_equal(write_cache(place->at), 0);
    for (int i = 0; i < 3; i++) {
        cleanup(cleanup_stat_cache) struct stat_cache *cache = NULL;
        cleanup_fd int fd = -1;
        if (i == 0) {
            assert_int_equal(directory_open_write(place->at, "stat", &fd, NULL), 0);
            assert_int_equal(file_write_at(fd, 40, "!", 1, NULL), 0);
        } else if (i == 1) {
            assert_int_equal(directory_open_write(place->at, "stat", &fd, NULL), 0);
            assert_int_equal(file_truncate(fd, 10, NULL), 0);
        } else {
            assert_int_equal(directory_remove_file(place->at, "stat", NULL), 0);
        }
        assert_int_equal(stat_cache_open(place->at, "stat", &cache, NULL), 0);
        assert_false(stat_cache_find(cache, span_text("a"), &info, &sha256));
    }
}

static void what_was_not_ended_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct stat_cache_writer *writer = NULL;
    struct file_info info;

    assert_int_equal(stat_cache_writer_new(place->at, "stat", &writer, NULL), 0);
    stat_cache_writer_free(writer);
    assert_int_equal(directory_info(place->at, "stat", &info, NULL), -ENOENT);
    assert_int_equal(directory_info(place->at, "stat.new", &info, NULL), -ENOENT);
}

static int write_and_open(struct directory *at)
{
    cleanup(cleanup_stat_cache) struct stat_cache *cache = NULL;
    int r = write_cache(at);

    return r < 0 ? r : stat_cache_open(at, "stat", &cache, NULL);
}

static void no_memory(void **state)
{
    struct place *place = *state;

    assert_survives_no_memory(write_and_open(place->at));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(what_was_written_is_found),         IN_A_PLACE(young_files_are_not_believed),
        cmocka_unit_test(stamps_see_every_change),     IN_A_PLACE(a_damaged_cache_is_an_empty_one),
        IN_A_PLACE(what_was_not_ended_leaves_nothing), IN_A_PLACE(no_memory),
    };

    return cmocka_run_group_tests_name("stat_cache", tests, NULL, NULL);
}
