/* SPDX-License-Identifier: MIT */
#include "fs/look/look.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "tests/support/place.h"

#define SEEN_MAX 64

struct seen {
    uint64_t inodes[SEEN_MAX];
    size_t count;
    int result; /* of the function */
};

static int see(void *context, uint64_t device, uint64_t inode)
{
    struct seen *seen = context;

    for (size_t i = 0; i < seen->count; i++)
        if (seen->inodes[i] == inode)
            return seen->result;
    assert_true(seen->count < SEEN_MAX);
    seen->inodes[seen->count++] = inode;
    return seen->result;
}

static bool has(const struct seen *seen, uint64_t inode)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->inodes[i] == inode)
            return true;
    return false;
}

static char *join(const struct place *place, const char *name, char out[256])
{
    assert_true(snprintf(out, 256, "%s/%s", place->path, name) < 256);
    return out;
}

static struct stat stat_of(const struct place *place, const char *name)
{
    struct stat info;
    char path[256];

    assert_int_equal(stat(join(place, name, path), &info), 0);
    return info;
}

static void put_link(struct place *place, const char *name, const char *to)
{
    char path[256], target[256];

    place_put(place, "proc/made", ""); /* the directories above */
    assert_int_equal(symlink(join(place, to, target), join(place, name, path)), 0);
}

static int look_there(struct place *place, uint64_t device, struct seen *seen)
{
    char path[256];
    const struct look look = { join(place, "proc", path), &device, 1, see, seen };

    return look_at(&look, NULL);
}

static void every_kind_of_use_is_seen(void **state)
{
    struct place *place = *state;
    static const char *const names[] = { "cwd", "root", "exe", "fd/3", "fd/117" };
    struct seen seen = { .count = 0 };
    char from[64], to[64], maps[512];
    struct stat info, mapped;

    place_put(place, "proc/12/fd/none", "");
    place_put(place, "mapped", "x");
    mapped = stat_of(place, "mapped");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(from, sizeof(from), "proc/12/%s", names[i]);
        snprintf(to, sizeof(to), "file-%zu", i);
        place_put(place, to, "x");
        put_link(place, from, to);
    }
    snprintf(maps, sizeof(maps),
             "7f00-7f01 r-xp 00000000 %02x:%02x %llu                     /a b\n"
             "7f01-7f02 rw-p 00000000 00:00 0 \n"
             "7ffc-7ffe rw-p 00000000 00:00 0                          [stack]\n",
             major(mapped.st_dev), minor(mapped.st_dev), (unsigned long long)mapped.st_ino);
    place_put(place, "proc/12/maps", maps);
    assert_int_equal(look_there(place, mapped.st_dev, &seen), 0);
    assert_true(has(&seen, mapped.st_ino));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(to, sizeof(to), "file-%zu", i);
        info = stat_of(place, to);
        assert_true(has(&seen, info.st_ino));
    }
    assert_int_equal(seen.count, 6);
    /* Another device: nothing. */
    seen.count = 0;
    assert_int_equal(look_there(place, mapped.st_dev + 1, &seen), 0);
    assert_int_equal(seen.count, 0);
}

static void what_is_no_process_is_passed_over(void **state)
{
    struct place *place = *state;
    struct seen seen = { .count = 0 };
    struct stat info;

    place_put(place, "file", "x");
    info = stat_of(place, "file");
    place_put(place, "proc/self/made", "");
    put_link(place, "proc/self/cwd", "file");
    place_put(place, "proc/12a/made", "");
    put_link(place, "proc/12a/cwd", "file");
    place_put(place, "proc/13", "a file"); /* it has just gone */
    assert_int_equal(look_there(place, info.st_dev, &seen), 0);
    assert_int_equal(seen.count, 0);
}

static void threads_outlive_the_first_one(void **state)
{
    struct place *place = *state;
    struct seen seen = { .count = 0 };
    struct stat info;

    place_put(place, "file", "x");
    info = stat_of(place, "file");
    place_put(place, "proc/12/task/12/made", "");
    place_put(place, "proc/12/task/14/made", "");
    put_link(place, "proc/12/task/14/cwd", "file");
    assert_int_equal(look_there(place, info.st_dev, &seen), 0);
    assert_true(has(&seen, info.st_ino));
    /* Of one that lives they are the same: nobody looks. */
    seen.count = 0;
    place_put(place, "program", "x");
    put_link(place, "proc/12/exe", "program");
    assert_int_equal(look_there(place, info.st_dev, &seen), 0);
    assert_false(has(&seen, info.st_ino));
}

static void lines_that_are_none_are_passed_over(void **state)
{
    struct place *place = *state;
    struct seen seen = { .count = 0 };
    struct buf maps = buf_init(BUF_UNLIMITED);
    uint64_t device = makedev(0, 0x2a);

    buf_add_text(&maps, "\n\n   \n7f00\n7f00-7f01 r-xp 0\n7f00-7f01 r-xp 0 00:2a\n"
                        "7f00-7f01 r-xp 0 00:2a 1\n" /* nothing behind the inode */
                        "7f00-7f01 r-xp 0 002a 2 /x\n"
                        "7f00-7f01 r-xp 0 00:2g 3 /x\n"
                        "7f00-7f01 r-xp 0 00:2a -4 /x\n"
                        "7f00-7f01 r-xp 0 00:2a 99999999999999999999999 /x\n"
                        "7f00-7f01 r-xp 0 99999999999999999999:2a 5 /x\n"
                        "7f00-7f01 r-xp 0 00:2a 6 /");
    for (unsigned i = 0; i < 200000; i++) /* longer than what is read at a time, and in it ... */
        buf_add_text(&maps, " 00:2a 7 ");
    buf_add_text(&maps, "\n7f00-7f01 r-xp 0 00:2a 18446744073709551615 /ok\n"
                        "7f00-7f01 r-xp 0 00:2a 8 /no end");
    buf_add_byte(&maps, 0);
    assert_int_equal(buf_check(&maps, NULL), 0);
    place_put(place, "proc/12/maps", (const char *)maps.bytes);
    buf_release(&maps);
    place_put(place, "proc/12/task/12/made", "");
    place_put(place, "program", "x");
    put_link(place, "proc/12/exe", "program");
    assert_int_equal(look_there(place, device, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_true(has(&seen, 6));
    assert_true(has(&seen, UINT64_MAX));
}

static void the_function_ends_it(void **state)
{
    struct place *place = *state;
    struct seen seen = { .result = -ENOMEM };
    struct stat info;

    place_put(place, "file", "x");
    info = stat_of(place, "file");
    place_put(place, "other", "x");
    for (unsigned i = 10; i < 13; i++) {
        char name[64];
        snprintf(name, sizeof(name), "proc/%u/fd/made", i);
        place_put(place, name, "");
        snprintf(name, sizeof(name), "proc/%u/exe", i);
        put_link(place, name, "other");
        snprintf(name, sizeof(name), "proc/%u/cwd", i);
        put_link(place, name, "file");
    }
    assert_int_equal(look_there(place, info.st_dev, &seen), -ENOMEM);
    assert_int_equal(seen.count, 1);
}

static void there_is_no_proc(void **state)
{
    struct place *place = *state;
    struct seen seen = { .count = 0 };

    assert_int_equal(look_there(place, 1, &seen), -ENOENT);
}

/* What a process may do with a file, and have in its hands afterwards. */
enum use { USE_MAP, USE_OPEN, USE_STAND, USE_COUNT };

static _Noreturn void use_it(const char *path, enum use use, int ready)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = MAP_FAILED;

    if (use == USE_MAP)
        at = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
    if (use == USE_STAND && fchdir(fd) < 0)
        _exit(1);
    if (use != USE_OPEN)
        close(fd);
    if ((use == USE_MAP && at == MAP_FAILED) || write(ready, "x", 1) != 1)
        _exit(1);
    pause();
    _exit(0);
}

struct sought {
    uint64_t inode;
    bool found;
};

static int seek(void *context, uint64_t device, uint64_t inode)
{
    struct sought *sought = context;

    sought->found = sought->found || inode == sought->inode;
    return 0;
}

static bool is_seen(const struct stat *info)
{
    struct sought sought = { .inode = info->st_ino };
    const uint64_t device = info->st_dev;
    const struct look look = { "/proc", &device, 1, seek, &sought };

    assert_int_equal(look_at(&look, NULL), 0);
    return sought.found;
}

static void real_processes_are_seen(void **state)
{
    struct place *place = *state;
    static const char *const names[USE_COUNT] = { "file", "file", "folder" };
    char path[256], byte;

    place_put(place, "file", "x");
    place_put(place, "folder/in-it", "x");
    for (enum use use = USE_MAP; use < USE_COUNT; use++) {
        const struct stat info = stat_of(place, names[use]);
        int ends[2];
        pid_t pid;

        assert_false(is_seen(&info));
        join(place, names[use], path);
        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0)
            use_it(path, use, ends[1]);
        assert_true(pid > 0);
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        assert_true(is_seen(&info));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_false(is_seen(&info));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(every_kind_of_use_is_seen),     IN_A_PLACE(what_is_no_process_is_passed_over),
        IN_A_PLACE(threads_outlive_the_first_one), IN_A_PLACE(lines_that_are_none_are_passed_over),
        IN_A_PLACE(the_function_ends_it),          IN_A_PLACE(there_is_no_proc),
        IN_A_PLACE(real_processes_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
