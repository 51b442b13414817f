/* SPDX-License-Identifier: MIT */
#include "common/base/directory_looker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(directory_looker, directory_looker_free);

struct place {
    char path[64];
    struct directory *at;
};

static void make_file(struct directory *at, const char *path, uint32_t mode)
{
    cleanup_fd int fd = -1;

    assert_int_equal(directory_create(at, path, mode, &fd, NULL), 0);
}

static int make_place(void **state)
{
    struct place *place = memory_new(sizeof(*place));

    assert_non_null(place);
    *place = (struct place){ "/tmp/kk-looker-XXXXXX", NULL };
    assert_non_null(mkdtemp(place->path));
    assert_int_equal(directory_open(place->path, &place->at, NULL), 0);
    assert_int_equal(directory_make_all(place->at, "a/b", 0755, NULL), 0);
    assert_int_equal(directory_make(place->at, "c", 0755, NULL), 0);
    make_file(place->at, "top", 0601);
    make_file(place->at, "a/file", 0602);
    make_file(place->at, "a/b/file", 0603);
    make_file(place->at, "a/b/other", 0604);
    make_file(place->at, "c/file", 0605);
    assert_int_equal(directory_make_link(place->at, "a", "link", NULL), 0);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    char command[256];

    directory_close(place->at);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", place->path, place->path);
    assert_int_equal(system(command), 0);
    memory_free(place);
    return 0;
}

static struct directory_looker *looker_of(void **state)
{
    struct place *place = *state;
    struct directory_looker *looker = NULL;

    assert_int_equal(directory_looker_new(place->at, &looker, NULL), 0);
    return looker;
}

/* The permission bits, or the error. */
static int look(struct directory_looker *looker, const char *path)
{
    struct file_info info;
    int r = directory_looker_info(looker, path, &info, NULL);

    return r < 0 ? r : (int)(info.mode & 0777);
}

static void sees_what_stands_there(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);

    assert_int_equal(look(looker, "a/b/file"), 0603);
    assert_int_equal(look(looker, "a/b/other"), 0604);
    assert_int_equal(look(looker, "c/file"), 0605);
    assert_int_equal(look(looker, "a/file"), 0602);
    assert_int_equal(look(looker, "a/b/file"), 0603);
    assert_int_equal(look(looker, "top"), 0601);
    assert_int_equal(look(looker, "a/b"), 0755);
    assert_int_equal(look(looker, ""), 0700);
}

static void says_what_is_not_there(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);
    struct file_info info;
    struct error err = { 0 };

    assert_int_equal(look(looker, "a/b/none"), -ENOENT);
    assert_int_equal(look(looker, "a/none/file"), -ENOENT);
    assert_int_equal(look(looker, "a/file/file"), -ENOTDIR);
    assert_int_equal(look(looker, "a/b/file"), 0603);
    assert_int_equal(directory_looker_info(looker, "a/b/none", &info, &err), -ENOENT);
    assert_string_equal(err.text, "a/b/none: No such file or directory");
}

static void follows_no_link_and_leaves_nowhere(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);

    assert_int_equal(look(looker, "link/file"), -ELOOP);
    assert_int_equal(look(looker, "a/b/../file"), -EINVAL);
    assert_int_equal(look(looker, "a/b/.."), -EINVAL);
    assert_int_equal(look(looker, "a/b/"), -EINVAL);
    assert_int_equal(look(looker, "a//file"), -EINVAL);
    assert_int_equal(look(looker, "/a/file"), -EINVAL);
}

/* A directory without the right to read it can be passed all the same. */
static void passes_what_cannot_be_read(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);
    struct place *place = *state;

    assert_int_equal(directory_set_mode(place->at, "a/b", 0111, NULL), 0);
    assert_int_equal(look(looker, "a/b/file"), 0603);
    assert_int_equal(look(looker, "a/b/other"), 0604);
}

/* A new directory of that name is seen once another was looked into. */
static void sees_a_new_directory(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);
    struct place *place = *state;

    assert_int_equal(look(looker, "a/b/file"), 0603);
    assert_int_equal(directory_rename(place->at, "a/b", place->at, "moved", NULL), 0);
    assert_int_equal(directory_make(place->at, "a/b", 0755, NULL), 0);
    assert_int_equal(look(looker, "c/file"), 0605);
    assert_int_equal(look(looker, "a/b/file"), -ENOENT);
}

static int look_at_one(struct directory *at)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = NULL;
    struct file_info info;
    int r = directory_looker_new(at, &looker, NULL);

    return r < 0 ? r : directory_looker_info(looker, "a/b/file", &info, NULL);
}

static void no_memory(void **state)
{
    struct place *place = *state;

    assert_survives_no_memory(look_at_one(place->at));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sees_what_stands_there, make_place, remove_place),
        cmocka_unit_test_setup_teardown(says_what_is_not_there, make_place, remove_place),
        cmocka_unit_test_setup_teardown(follows_no_link_and_leaves_nowhere, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(passes_what_cannot_be_read, make_place, remove_place),
        cmocka_unit_test_setup_teardown(sees_a_new_directory, make_place, remove_place),
        cmocka_unit_test_setup_teardown(no_memory, make_place, remove_place),
    };

    return cmocka_run_group_tests_name("directory_looker", tests, NULL, NULL);
}
