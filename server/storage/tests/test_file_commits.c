/* SPDX-License-Identifier: MIT */
#include "server/storage/file_commits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/support/place.h"

#define FILES 6 /* more than FILE_COMMITS_SYNCFS */

/* The disk of this test: its syncs are counted, and the one of that number fails. */
static struct {
    int folder_syncs, folder_fails, file_system_syncs, file_system_fails;
} disk;

int fsync(int fd)
{
    if (++disk.folder_syncs == disk.folder_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    if (++disk.file_system_syncs == disk.file_system_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_syncfs, fd);
}

struct world {
    struct place *place;
    struct file_tree tree;
    struct file_commits *commits;
    char keys[FILES][16];
    struct file_commit items[FILES];
};

static int setup(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    void *place;

    memset(&disk, 0, sizeof(disk));
    place_make(&place);
    world->place = place;
    assert_int_equal(file_tree_open(world->place->path, true, &world->tree, NULL), 0);
    assert_int_equal(file_commits_new(&world->tree, &world->commits, NULL), 0);
    for (int i = 0; i < FILES; i++)
        snprintf(world->keys[i], sizeof(world->keys[i]), "%c%c00key%d", 'a' + i, 'a', i);
    memset(&disk, 0, sizeof(disk));
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    void *place = world->place;

    file_commits_free(world->commits);
    file_tree_close(&world->tree);
    place_remove(&place);
    memory_free(world);
    return 0;
}

static int commit(struct world *world, int first, int count)
{
    int r;

    for (int i = first; i < first + count; i++) {
        int fd = openat(world->tree.tmp_fd, world->keys[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "bytes", 5), 5);
        world->items[i] = (struct file_commit){ .fd = fd, .key = world->keys[i] };
    }
    r = file_commits_run(world->commits, world->items + first, (size_t)count, NULL);
    for (int i = first; i < first + count; i++) {
        close(world->items[i].fd);
        if (r < 0)
            unlinkat(world->tree.tmp_fd, world->keys[i], 0); /* as a store does */
    }
    return r;
}

static bool is_there(struct world *world, int i)
{
    int fd = file_tree_object_open(&world->tree, world->keys[i], O_RDONLY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void a_name_that_is_not_synced_is_none(void **state)
{
    struct world *world = *state;

    disk.folder_fails = 1;
    assert_int_equal(commit(world, 0, 1), -EIO);
    assert_false(is_there(world, 0));
    assert_int_equal(commit(world, 0, 1), 0);
    assert_true(is_there(world, 0));
}

/* The folder was made by the commit that failed, and blobs/ is synced by the next one, of whatever
 * key. */
static void a_folder_that_is_not_synced_is_not_forgotten(void **state)
{
    struct world *world = *state;

    disk.folder_fails = 2; /* blobs/ */
    assert_int_equal(commit(world, 0, 1), -EIO);
    assert_false(is_there(world, 0));
    disk.folder_syncs = disk.folder_fails = 0;
    assert_int_equal(commit(world, 0, 1), 0);
    assert_int_equal(disk.folder_syncs, 2);
    assert_int_equal(commit(world, 1, 1), 0); /* a new one */
    assert_int_equal(disk.folder_syncs, 4);
    snprintf(world->keys[2], sizeof(world->keys[2]), "aa00again");
    assert_int_equal(commit(world, 2, 1), 0); /* one that is there */
    assert_int_equal(disk.folder_syncs, 5);
}

static void neither_are_many(void **state)
{
    struct world *world = *state;

    disk.file_system_fails = 2; /* of the names */
    assert_int_equal(commit(world, 0, FILES), -EIO);
    for (int i = 0; i < FILES; i++)
        assert_false(is_there(world, i));
    assert_int_equal(commit(world, 0, FILES), 0);
    for (int i = 0; i < FILES; i++)
        assert_true(is_there(world, i));
    assert_int_equal(disk.file_system_syncs, 4);
}

static void many_whose_bytes_are_not_synced_have_no_names(void **state)
{
    struct world *world = *state;

    disk.file_system_fails = 1;
    assert_int_equal(commit(world, 0, FILES), -EIO);
    for (int i = 0; i < FILES; i++)
        assert_false(is_there(world, i));
    /* the folders of what failed may be there, and nobody has synced them */
    assert_int_equal(commit(world, 0, 1), 0);
    assert_true(disk.folder_syncs >= 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(a_name_that_is_not_synced_is_none),
        TEST(a_folder_that_is_not_synced_is_not_forgotten),
        TEST(neither_are_many),
        TEST(many_whose_bytes_are_not_synced_have_no_names),
    };

    return cmocka_run_group_tests_name("file_commits", tests, NULL, NULL);
}
