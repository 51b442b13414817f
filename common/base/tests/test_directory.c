/* SPDX-License-Identifier: MIT */
#include "common/base/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/place.h"

#define NOBODY 65534

CLEANUP_DEFINE(directory, directory_close);

static int make_place(void **state, bool walk)
{
    int r = place_make(state);

    if (walk)
        directory_use_walk(((struct place *)*state)->at);
    return r;
}

static int make_direct_place(void **state)
{
    return make_place(state, false);
}

static int make_walking_place(void **state)
{
    return make_place(state, true);
}

static struct directory *at_of(void **state)
{
    return ((struct place *)*state)->at;
}

static void put(struct directory *at, const char *path, const char *text)
{
    cleanup_fd int fd = -1;

    assert_int_equal(directory_create(at, path, 0640, &fd, NULL), 0);
    assert_int_equal(file_write(fd, text, strlen(text), NULL), 0);
}

static void assert_holds(struct directory *at, const char *path, const char *text)
{
    cleanup_fd int fd = -1;
    char seen[64];
    size_t size = 0;

    assert_int_equal(directory_open_read(at, path, &fd, NULL), 0);
    assert_int_equal(file_read(fd, seen, sizeof(seen), &size, NULL), 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(seen, text, size);
}

static void files_are_made_opened_and_removed(void **state)
{
    struct directory *at = at_of(state);
    cleanup_fd int fd = -1;
    struct file_info info;
    mode_t mask = umask(077);

    assert_int_equal(directory_make_all(at, "a/b/c", 0755, NULL), 0);
    assert_int_equal(directory_make_all(at, "a/b/c", 0755, NULL), 0);
    assert_int_equal(directory_make_all(at, "", 0755, NULL), 0);
    put(at, "a/b/f", "hello");
    umask(mask);
    assert_holds(at, "a/b/f", "hello");
    assert_int_equal(directory_info(at, "a/b/f", &info, NULL), 0);
    assert_int_equal(info.kind, FILE_REGULAR);
    assert_int_equal(info.mode, 0640); /* whatever the umask */
    assert_int_equal(info.size, 5);
    assert_int_equal(directory_create(at, "a/b/f", 0644, &fd, NULL), -EEXIST);
    assert_int_equal(fd, -1);
    assert_int_equal(directory_make(at, "a/b", 0755, NULL), -EEXIST);
    assert_int_equal(directory_make_all(at, "a/b/f", 0755, NULL), -ENOTDIR);
    assert_int_equal(directory_make_all(at, "a/b/f/x", 0755, NULL), -ENOTDIR);
    assert_int_equal(directory_open_write(at, "a/b/f", &fd, NULL), 0);
    assert_int_equal(file_write_at(fd, 0, "J", 1, NULL), 0);
    assert_holds(at, "a/b/f", "Jello");
    assert_int_equal(directory_remove_empty(at, "a/b", NULL), -ENOTEMPTY);
    assert_int_equal(directory_remove_file(at, "a/b/f", NULL), 0);
    assert_int_equal(directory_remove_file(at, "a/b/f", NULL), -ENOENT);
    assert_int_equal(directory_remove_empty(at, "a/b/c", NULL), 0);
    assert_int_equal(directory_info(at, "a/b/c", &info, NULL), -ENOENT);
    assert_int_equal(directory_info(at, "", &info, NULL), 0);
    assert_int_equal(info.kind, FILE_DIRECTORY);
    assert_int_equal(directory_sync(at, NULL), 0);
    assert_int_equal(directory_fd(at) >= 0, 1);
}

static void bad_paths_are_refused(void **state)
{
    static const char *const bad[] = { "/",    "/a",   "a/",    "a//b",   ".",  "..",
                                       "a/..", "../a", "a/./b", "a/../b", "./a" };
    struct directory *at = at_of(state);
    struct directory *none = NULL;
    struct file_info info;
    char *target = NULL;
    int fd = -1;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(directory_info(at, bad[i], &info, NULL), -EINVAL);
        assert_int_equal(directory_open_read(at, bad[i], &fd, NULL), -EINVAL);
        assert_int_equal(directory_open_write(at, bad[i], &fd, NULL), -EINVAL);
        assert_int_equal(directory_create(at, bad[i], 0644, &fd, NULL), -EINVAL);
        assert_int_equal(directory_open_below(at, bad[i], &none, NULL), -EINVAL);
        assert_int_equal(directory_make(at, bad[i], 0755, NULL), -EINVAL);
        assert_int_equal(directory_make_all(at, bad[i], 0755, NULL), -EINVAL);
        assert_int_equal(directory_remove_all(at, bad[i], NULL), -EINVAL);
        assert_int_equal(directory_rename(at, bad[i], at, "x", NULL), -EINVAL);
        assert_int_equal(directory_rename(at, "x", at, bad[i], NULL) == -EINVAL, 1);
        assert_int_equal(directory_make_link(at, "x", bad[i], NULL), -EINVAL);
        assert_int_equal(directory_read_link(at, bad[i], &target, NULL), -EINVAL);
        assert_int_equal(directory_list(at, bad[i], NULL, NULL, NULL), -EINVAL);
    }
    assert_int_equal(directory_remove_all(at, "", NULL), -EINVAL);
    assert_int_equal(directory_open("/nonexistent", &none, NULL), -ENOENT);
    put(at, "...", "x"); /* three dots are a name */
    put(at, "..a", "x");
}

static void links_are_never_followed(void **state)
{
    struct directory *at = at_of(state);
    struct directory *none = NULL;
    struct file_info info;
    char *target = NULL;
    int fd = -1;

    assert_int_equal(directory_make(at, "real", 0755, NULL), 0);
    put(at, "real/f", "inside");
    assert_int_equal(directory_make_link(at, "real", "way", NULL), 0);
    assert_int_equal(directory_make_link(at, "/etc/passwd", "out", NULL), 0);
    assert_int_equal(directory_make_link(at, "nowhere", "dangling", NULL), 0);
    assert_int_equal(directory_open_read(at, "way/f", &fd, NULL), -ELOOP);
    assert_int_equal(directory_open_read(at, "out", &fd, NULL), -ELOOP);
    assert_int_equal(directory_open_write(at, "out", &fd, NULL), -ELOOP);
    assert_int_equal(directory_create(at, "dangling", 0644, &fd, NULL), -EEXIST);
    assert_int_equal(directory_create(at, "way/new", 0644, &fd, NULL), -ELOOP);
    assert_int_equal(directory_open_below(at, "way", &none, NULL), -ELOOP);
    assert_int_equal(directory_list(at, "way", NULL, NULL, NULL), -ELOOP);
    assert_int_equal(directory_info(at, "way/f", &info, NULL), -ELOOP);
    assert_int_equal(directory_make(at, "way/d", 0755, NULL), -ELOOP);
    assert_int_equal(directory_remove_file(at, "way/f", NULL), -ELOOP);
    assert_int_equal(directory_rename(at, "way/f", at, "x", NULL), -ELOOP);
    assert_int_equal(directory_rename(at, "real/f", at, "way/x", NULL), -ELOOP);
    assert_int_equal(directory_set_mode(at, "way", 0700, NULL), -ELOOP);
    assert_int_equal(directory_set_mode(at, "way/f", 0700, NULL), -ELOOP);
    assert_int_equal(directory_set_mtime(at, "way/f", 7, NULL), -ELOOP);
    assert_int_equal(directory_remove_all(at, "way/f", NULL), -ELOOP);
    assert_int_equal(directory_info(at, "way", &info, NULL), 0);
    assert_int_equal(info.kind, FILE_LINK);
    assert_int_equal(directory_read_link(at, "way", &target, NULL), 0);
    assert_string_equal(target, "real");
    memory_free(target);
    assert_int_equal(directory_read_link(at, "real", &target, NULL), -EINVAL);
    assert_int_equal(directory_remove_all(at, "way", NULL), 0); /* the link, not what it leads to */
    assert_holds(at, "real/f", "inside");
}

static void opening_what_is_no_file_does_not_block(void **state)
{
    struct directory *at = at_of(state);
    int fd = -1;

    assert_int_equal(mkfifoat(directory_fd(at), "fifo", 0644), 0);
    assert_int_equal(directory_make(at, "d", 0755, NULL), 0);
    assert_int_equal(directory_open_read(at, "fifo", &fd, NULL), -EINVAL);
    assert_int_equal(directory_open_write(at, "fifo", &fd, NULL), -EINVAL);
    assert_int_equal(directory_open_read(at, "d", &fd, NULL), -EINVAL);
    assert_int_equal(fd, -1);
}

static void renames(void **state)
{
    struct directory *at = at_of(state);
    cleanup(cleanup_directory) struct directory *below = NULL;

    put(at, "one", "1");
    put(at, "two", "2");
    assert_int_equal(directory_make(at, "d", 0755, NULL), 0);
    assert_int_equal(directory_open_below(at, "d", &below, NULL), 0);
    assert_int_equal(directory_rename_new(at, "one", at, "two", NULL), -EEXIST);
    assert_holds(at, "one", "1");
    assert_int_equal(directory_rename(at, "one", at, "two", NULL), 0);
    assert_holds(at, "two", "1");
    assert_int_equal(directory_rename_new(at, "two", below, "three", NULL), 0);
    assert_holds(at, "d/three", "1");
    assert_int_equal(directory_rename(at, "none", at, "x", NULL), -ENOENT);
    assert_int_equal(directory_make(at, "empty", 0755, NULL), 0);
    assert_int_equal(directory_rename(below, "three", at, "empty", NULL), -EISDIR);
    assert_int_equal(directory_rename_new(at, "d", at, "e", NULL), 0);
    assert_holds(at, "e/three", "1");
}

static void exchanges(void **state)
{
    struct directory *at = at_of(state);
    cleanup(cleanup_directory) struct directory *below = NULL;

    put(at, "one", "1");
    assert_int_equal(directory_make(at, "d", 0755, NULL), 0);
    assert_int_equal(directory_make(at, "d/e", 0755, NULL), 0);
    assert_int_equal(directory_open_below(at, "d", &below, NULL), 0);
    put(below, "e/two", "2");
    assert_int_equal(directory_exchange(at, "one", below, "e", NULL), 0);
    assert_holds(below, "e", "1");
    assert_holds(at, "one/two", "2");
    assert_int_equal(directory_exchange(at, "one", at, "none", NULL), -ENOENT);
    assert_int_equal(directory_exchange(at, "../x", at, "one", NULL), -EINVAL);
    assert_int_equal(directory_make_link(at, "d", "way", NULL), 0);
    assert_int_equal(directory_exchange(at, "way/e", at, "one", NULL), -ELOOP);
}

static void parents(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_directory) struct directory *parent = NULL;
    cleanup(buf_release) struct buf path = buf_init(256);
    cleanup_memory char *name = NULL;
    cleanup_memory char *real = NULL;
    struct file_info inside, outside;

    assert_int_equal(directory_make(place->at, "d", 0755, NULL), 0);
    assert_int_equal(directory_make_link(place->at, "d", "way", NULL), 0);
    buf_format(&path, "%s/way/", place->path);
    assert_int_equal(directory_open_parent(buf_text(&path), &parent, &name, NULL), 0);
    assert_string_equal(name, "d");
    assert_int_equal(directory_info(parent, "", &inside, NULL), 0);
    assert_int_equal(directory_info(place->at, "", &outside, NULL), 0);
    assert_true(inside.inode == outside.inode);
    parent = directory_close(parent);
    name = memory_free(name);
    assert_int_equal(directory_real_path(buf_text(&path), &name, NULL), 0);
    buf_clear(&path);
    buf_format(&path, "%s/d", place->path);
    assert_int_equal(directory_real_path(buf_text(&path), &real, NULL), 0);
    assert_string_equal(name, real);
    assert_string_equal(real + strlen(real) - 2, "/d");
    name = memory_free(name);
    assert_int_equal(directory_open_parent("/tmp", &parent, &name, NULL), 0);
    assert_string_equal(name, "tmp");
    parent = directory_close(parent);
    name = memory_free(name);
    assert_int_equal(directory_open_parent("/", &parent, &name, NULL), -EINVAL);
    buf_clear(&path);
    buf_format(&path, "%s/none", place->path);
    assert_int_equal(directory_open_parent(buf_text(&path), &parent, &name, NULL), -ENOENT);
    assert_int_equal(directory_real_path(buf_text(&path), &name, NULL), -ENOENT);
}

static void owners(void **state)
{
    struct directory *at = at_of(state);
    struct stat st;

    const bool is_root = geteuid() == 0;
    const uint32_t owner = is_root ? 12 : geteuid(), group = is_root ? 34 : getegid();
    struct file_info info;
    cleanup_fd int fd = -1;

    put(at, "one", "1");
    assert_int_equal(directory_make_link(at, "one", "link", NULL), 0);
    assert_int_equal(directory_set_owner(at, "link", owner, group, NULL), 0);
    assert_int_equal(fstatat(directory_fd(at), "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_uid, owner);
    assert_int_equal(fstatat(directory_fd(at), "one", &st, 0), 0);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(directory_open_read(at, "one", &fd, NULL), 0);
    assert_int_equal(file_set_owner(fd, owner, group, NULL), 0);
    assert_int_equal(file_set_mode(fd, 0640, NULL), 0);
    assert_int_equal(file_info(fd, &info, NULL), 0);
    assert_int_equal(info.owner, owner);
    assert_int_equal(info.group, group);
    assert_int_equal(info.mode, 0640);
    assert_int_equal(file_info_is_mine(&info), !is_root);
    assert_int_equal(directory_set_owner(at, "", owner, group, NULL), 0);
    assert_int_equal(directory_info(at, "", &info, NULL), 0);
    assert_int_equal(info.owner, owner);
    assert_int_equal(directory_set_owner(at, "none", owner, group, NULL), -ENOENT);
}

static void modes_and_times(void **state)
{
    struct directory *at = at_of(state);
    struct file_info info;

    put(at, "f", "x");
    assert_int_equal(directory_make(at, "d", 0755, NULL), 0);
    assert_int_equal(directory_make_link(at, "f", "l", NULL), 0);
    assert_int_equal(directory_set_mode(at, "f", 0, NULL), 0);
    assert_int_equal(directory_set_mtime(at, "f", -12345, NULL), 0);
    assert_int_equal(directory_set_mode(at, "d", 0511, NULL), 0);
    assert_int_equal(directory_set_mtime(at, "d", 1234567890123, NULL), 0);
    assert_int_equal(directory_set_mtime(at, "l", 77, NULL), 0);
    assert_int_equal(directory_info(at, "f", &info, NULL), 0);
    assert_int_equal(info.mode, 0);
    assert_int_equal(info.mtime_s, -12345);
    assert_int_equal(info.mtime_ns, 0);
    assert_int_equal(directory_info(at, "d", &info, NULL), 0);
    assert_int_equal(info.mode, 0511);
    assert_int_equal(directory_info(at, "l", &info, NULL), 0);
    assert_int_equal(info.mtime_s, 77);
    assert_int_equal(directory_set_mode(at, "", 0750, NULL), 0);
    assert_int_equal(directory_set_mtime(at, "", 5, NULL), 0);
    assert_int_equal(directory_info(at, "", &info, NULL), 0);
    assert_int_equal(info.mode, 0750);
    assert_int_equal(info.mtime_s, 5);
    assert_int_equal(directory_set_mode(at, "none", 0644, NULL), -ENOENT);
}

struct seen {
    size_t files, directories, links, others;
    size_t stop_after;
};

static int see(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct seen *seen = context;

    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    seen->files += kind == FILE_REGULAR;
    seen->directories += kind == FILE_DIRECTORY;
    seen->links += kind == FILE_LINK;
    seen->others += kind == FILE_OTHER;
    return seen->stop_after > 0 && --seen->stop_after == 0 ? 42 : 0;
}

static void lists(void **state)
{
    struct directory *at = at_of(state);
    struct seen seen = { 0 };

    put(at, "f", "x");
    assert_int_equal(directory_make(at, "d", 0755, NULL), 0);
    put(at, "d/g", "x");
    assert_int_equal(directory_make_link(at, "f", "l", NULL), 0);
    assert_int_equal(mkfifoat(directory_fd(at), "fifo", 0644), 0);
    assert_int_equal(directory_list(at, "", see, &seen, NULL), 0);
    assert_int_equal(seen.files, 1);
    assert_int_equal(seen.directories, 1);
    assert_int_equal(seen.links, 1);
    assert_int_equal(seen.others, 1);
    seen = (struct seen){ .stop_after = 2 };
    assert_int_equal(directory_list(at, "", see, &seen, NULL), 42);
    seen = (struct seen){ 0 };
    assert_int_equal(directory_list(at, "d", see, &seen, NULL), 0);
    assert_int_equal(seen.files, 1);
    assert_int_equal(directory_list(at, "f", see, &seen, NULL), -ENOTDIR);
    assert_int_equal(directory_list(at, "none", see, &seen, NULL), -ENOENT);
}

/* By an ordinary user, since root may do all. */
static int remove_closed(struct directory *at)
{
    static const uint32_t modes[] = { 0700, 0500, 0300, 0100, 0600, 0 };

    if (geteuid() == 0 && setuid(NOBODY) != 0)
        return 1;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct file_info info;
        if (directory_make_all(at, "open/closed/inner", 0700, NULL) != 0 ||
            directory_set_mode(at, "open/closed", modes[i], NULL) != 0)
            return 2;
        if (directory_remove_all(at, "open", NULL) != 0)
            return 3;
        if (directory_info(at, "open", &info, NULL) != -ENOENT)
            return 4;
    }
    return 0;
}

static void closed_subtrees_go(void **state)
{
    struct place *place = *state;
    pid_t child;
    int status;

    assert_int_equal(chmod(place->path, 0777), 0);
    child = fork();
    if (child == 0)
        _exit(remove_closed(place->at));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void whole_subtrees_go(void **state)
{
    struct directory *at = at_of(state);
    struct file_info info;

    assert_int_equal(directory_make_all(at, "t/a/b/c", 0755, NULL), 0);
    put(at, "keep", "me");
    put(at, "t/a/f", "x");
    assert_int_equal(directory_make_link(at, "../../keep", "t/a/l", NULL), 0);
    assert_int_equal(directory_make_link(at, "/tmp", "t/tmp", NULL), 0);
    assert_int_equal(directory_set_mode(at, "t/a/b", 0, NULL), 0);
    assert_int_equal(directory_set_mode(at, "t/a", 0555, NULL), 0);
    assert_int_equal(directory_remove_all(at, "t", NULL), 0);
    assert_int_equal(directory_info(at, "t", &info, NULL), -ENOENT);
    assert_holds(at, "keep", "me");
    assert_int_equal(access("/tmp", F_OK), 0);
    assert_int_equal(directory_remove_all(at, "t", NULL), 0);
    assert_int_equal(directory_remove_all(at, "t/x/y", NULL), 0);
    assert_int_equal(directory_remove_all(at, "keep", NULL), 0);
}

static void the_longest_paths_work(void **state)
{
    struct directory *at = at_of(state);
    cleanup(cleanup_directory) struct directory *below = NULL;
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    char name[257];
    int fd = -1;

    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    for (int depth = 0; depth < 15; depth++)
        buf_format(&path, "%s%s", depth > 0 ? "/" : "", name);
    assert_int_equal(directory_make_all(at, buf_text(&path), 0755, NULL), 0);
    buf_format(&path, "/%s", name);
    assert_int_equal(path.size, 4095);
    put(at, buf_text(&path), "deep");
    assert_holds(at, buf_text(&path), "deep");
    name[255] = 'n';
    name[256] = '\0';
    assert_int_equal(directory_create(at, name, 0644, &fd, NULL), -ENAMETOOLONG);
    name[255] = '\0';
    buf_clear(&path);
    for (int depth = 0; depth < 250; depth++)
        buf_format(&path, "%sabcdefghijklmnopqrs", depth > 0 ? "/" : "");
    assert_int_equal(path.size, 4999); /* beyond PATH_MAX: still by components */
    assert_int_equal(directory_make_all(at, buf_text(&path), 0755, NULL), 0);
    assert_int_equal(directory_open_below(at, buf_text(&path), &below, NULL), 0);
    buf_add_text(&path, "/f");
    put(below, "f", "deeper");
    assert_holds(at, buf_text(&path), "deeper");
    assert_int_equal(directory_remove_all(at, "abcdefghijklmnopqrs", NULL), 0);
}

static int open_twice(const char *path)
{
    cleanup(cleanup_directory) struct directory *at = NULL;
    cleanup(cleanup_directory) struct directory *again = NULL;
    cleanup_memory char *target = NULL;
    int r = directory_open(path, &at, NULL);

    if (r == 0)
        r = directory_open_below(at, "", &again, NULL);
    if (r == 0)
        r = directory_make_all(again, "d/e", 0755, NULL);
    if (r == 0)
        r = directory_read_link(again, "l", &target, NULL);
    if (r == 0)
        r = directory_remove_all(again, "d", NULL);
    return r;
}

static void no_memory(void **state)
{
    struct place *place = *state;

    assert_int_equal(directory_make_link(place->at, "t", "l", NULL), 0);
    assert_survives_no_memory(open_twice(place->path));
}

#define BOTH_WAYS(test)                                                     \
    cmocka_unit_test_setup_teardown(test, make_direct_place, place_remove), \
    {                                                                       \
#test " walking", test, make_walking_place, place_remove, NULL      \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BOTH_WAYS(files_are_made_opened_and_removed),
        BOTH_WAYS(bad_paths_are_refused),
        BOTH_WAYS(links_are_never_followed),
        BOTH_WAYS(opening_what_is_no_file_does_not_block),
        BOTH_WAYS(renames),
        BOTH_WAYS(exchanges),
        BOTH_WAYS(parents),
        BOTH_WAYS(owners),
        BOTH_WAYS(modes_and_times),
        BOTH_WAYS(lists),
        BOTH_WAYS(closed_subtrees_go),
        BOTH_WAYS(whole_subtrees_go),
        BOTH_WAYS(the_longest_paths_work),
        BOTH_WAYS(no_memory),
    };

    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
