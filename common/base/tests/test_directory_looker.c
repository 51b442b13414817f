/* SPDX-License-Identifier: MIT */
#include "common/base/directory_looker.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "tests/support/place.h"

#define NOBODY 65534

CLEANUP_DEFINE(directory_looker, directory_looker_free);

static void make_file(struct directory *at, const char *path, uint32_t mode)
{
    cleanup_fd int fd = -1;

    assert_int_equal(directory_create(at, path, mode, &fd, NULL), 0);
}

static int make_place(void **state)
{
    struct place *place;

    assert_int_equal(place_make(state), 0);
    place = *state;
    assert_int_equal(directory_make_all(place->at, "a/b", 0755, NULL), 0);
    assert_int_equal(directory_make(place->at, "c", 0755, NULL), 0);
    make_file(place->at, "top", 0601);
    make_file(place->at, "a/file", 0602);
    make_file(place->at, "a/b/file", 0603);
    make_file(place->at, "a/b/other", 0604);
    make_file(place->at, "c/file", 0605);
    assert_int_equal(directory_make_link(place->at, "a", "link", NULL), 0);
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

static int move_top(struct directory_looker *looker, struct directory *from, const char *to)
{
    struct looker_spot spot;

    assert_int_equal(directory_looker_spot(looker, to, &spot, NULL), 0);
    return directory_rename(from, "top", spot.at, spot.name, NULL);
}

/* And back each time. */
static void things_are_done_beside_what_was_reached(void **state)
{
    static const char *const targets[] = { "a/b/new", "a/b/file", "c/new", "new", "a/new" };
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);
    struct place *place = *state;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        assert_int_equal(move_top(looker, place->at, targets[i]), 0);
        assert_int_equal(look(looker, "top"), -ENOENT);
        assert_int_equal(look(looker, targets[i]), 0601);
        assert_int_equal(directory_rename(place->at, targets[i], place->at, "top", NULL), 0);
    }
    assert_int_equal(move_top(looker, place->at, "none/new"), -ENOENT);
    assert_int_equal(move_top(looker, place->at, "link/new"), -ELOOP);
    assert_int_equal(move_top(looker, place->at, "a/b/../new"), -EINVAL);
    assert_int_equal(move_top(looker, place->at, "a/b/"), -EINVAL);
    assert_int_equal(look(looker, "top"), 0601);
}

static int any(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return 0;
}

/* A directory without the right to read it can be passed all the same; by root it is read, so
 * somebody else looks. */
static void passes_what_cannot_be_read(void **state)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = looker_of(state);
    struct place *place = *state;
    pid_t child;
    int status;

    assert_int_equal(directory_set_mode(place->at, "a/b", 0111, NULL), 0);
    assert_int_equal(chmod(place->path, 0711), 0);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(NOBODY) != 0)
            _exit(1);
        if (directory_list(place->at, "a/b", any, NULL, NULL) != -EACCES)
            _exit(2); /* it can be read: this proves nothing */
        _exit(look(looker, "a/b/file") != 0603 || look(looker, "a/b/other") != 0604 ? 3 : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
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
        cmocka_unit_test_setup_teardown(sees_what_stands_there, make_place, place_remove),
        cmocka_unit_test_setup_teardown(says_what_is_not_there, make_place, place_remove),
        cmocka_unit_test_setup_teardown(follows_no_link_and_leaves_nowhere, make_place,
                                        place_remove),
        cmocka_unit_test_setup_teardown(things_are_done_beside_what_was_reached, make_place,
                                        place_remove),
        cmocka_unit_test_setup_teardown(passes_what_cannot_be_read, make_place, place_remove),
        cmocka_unit_test_setup_teardown(sees_a_new_directory, make_place, place_remove),
        cmocka_unit_test_setup_teardown(no_memory, make_place, place_remove),
    };

    return cmocka_run_group_tests_name("directory_looker", tests, NULL, NULL);
}
