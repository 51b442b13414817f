/* SPDX-License-Identifier: MIT */
/* What needs root is tested as root, which the tests of mounts are as well. */
#include "fs/holder/worker_user.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/support/unit.h"

static void a_cache_has_one_number(void **state)
{
    uint32_t number = worker_user_number("/var/cache/kkartifact", 0);

    assert_int_equal(number, worker_user_number("/var/cache/kkartifact", 0));
    assert_int_not_equal(number, worker_user_number("/var/cache/other", 0));
    assert_int_not_equal(number, worker_user_number("/var/cache/kkartifact", 1));
    for (uint32_t attempt = 0; attempt < 3000; attempt++)
        assert_in_range(worker_user_number("/x", attempt), 62000, 64999);
}

static void nobody_else_has_it(void **state)
{
    struct worker_user user = { 0 };
    const struct passwd *named = getpwnam(WORKER_USER);

    assert_int_equal(worker_user_find("/var/cache/kkartifact", &user, NULL), 0);
    assert_int_equal(user.has_name, named != NULL);
    if (named != NULL)
        assert_int_equal(user.uid, named->pw_uid);
    else
        assert_null(getpwuid(user.uid));
    assert_true(user.uid != 0 && user.gid != 0);
}

static void make(const char *directory, const char *name, uid_t owner)
{
    char path[200];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchown(fd, owner, owner), 0);
    close(fd);
}

static uid_t owner_of(const char *directory, const char *name)
{
    char path[200];
    struct stat info;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(lstat(path, &info), 0);
    return info.st_uid;
}

/* All that was the former owner's, and nothing else; a link is given, not followed. */
static void a_cache_is_given_whole(void **state)
{
    char directory[] = "/tmp/test-worker-user.XXXXXX", path[400], outside[100];
    struct worker_user user = { 62001, 62001, false };
    int fd = -1;

    if (geteuid() != 0)
        skip();
    assert_non_null(mkdtemp(directory));
    (void)snprintf(outside, sizeof(outside), "%s.outside", directory);
    (void)snprintf(path, sizeof(path), "%s/obj", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    make(directory, "obj/file", 0);
    make(directory, "another", 12345);
    fd = open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    (void)snprintf(path, sizeof(path), "%s/link", directory);
    assert_int_equal(symlink(outside, path), 0);
    assert_int_equal(worker_user_open_cache(directory, &user, &fd, NULL), 0);
    assert_int_equal(owner_of(directory, "."), 62001);
    assert_int_equal(owner_of(directory, "obj"), 62001);
    assert_int_equal(owner_of(directory, "obj/file"), 62001);
    assert_int_equal(owner_of(directory, "link"), 62001);
    assert_int_equal(owner_of(directory, "another"), 12345);
    assert_int_equal(owner_of("/", outside + 1), 0);
    close(fd);
    (void)snprintf(path, sizeof(path), "rm -r %s %s", directory, outside);
    assert_int_equal(system(path), 0);
}

static void a_cache_of_a_person_is_refused(void **state)
{
    char directory[] = "/tmp/test-worker-user.XXXXXX";
    struct worker_user user = { 62001, 62001, false };
    struct error err = { 0 };
    int fd = -1;

    if (geteuid() != 0)
        skip();
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chown(directory, 12345, 12345), 0);
    assert_int_equal(worker_user_open_cache(directory, &user, &fd, &err), -EACCES);
    assert_non_null(strstr(err.text, "12345"));
    assert_int_equal(fd, -1);
    assert_int_equal(rmdir(directory), 0);
}

/* Also by another path: two mounts of one cache do not take it from each other. */
static void a_cache_keeps_its_number(void **state)
{
    char directory[] = "/tmp/test-worker-user.XXXXXX", other[100];
    struct worker_user user, same;
    int fd = -1;

    if (geteuid() != 0 || getpwnam(WORKER_USER) != NULL)
        skip();
    assert_non_null(mkdtemp(directory));
    assert_int_equal(worker_user_find(directory, &user, NULL), 0);
    assert_int_equal(worker_user_open_cache(directory, &user, &fd, NULL), 0);
    close(fd);
    (void)snprintf(other, sizeof(other), "%s.link", directory);
    assert_int_equal(symlink(directory, other), 0);
    assert_int_not_equal(worker_user_number(other, 0), user.uid);
    assert_int_equal(worker_user_find(other, &same, NULL), 0);
    assert_int_equal(same.uid, user.uid);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(rmdir(directory), 0);
}

/* In the process: no capability of any kind, no way to a new one, no other user any more. */
static int become_and_look(void)
{
    struct worker_user user = { 62001, 62001, false };
    char line[200];
    FILE *status;
    int none = 0;

    if (worker_user_become(&user) < 0)
        return 2;
    if (setresuid(0, 0, 0) == 0 || getgroups(0, NULL) != 0)
        return 3;
    status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        none += strncmp(line, "Cap", 3) == 0 && strstr(line, "\t0000000000000000\n") != NULL;
    if (status != NULL)
        fclose(status);
    return none == 5 ? 0 : 4;
}

static void the_worker_has_nothing(void **state)
{
    int status;
    pid_t pid;

    if (geteuid() != 0)
        skip();
    pid = fork();
    if (pid == 0)
        _exit(become_and_look());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cache_has_one_number),
        cmocka_unit_test(nobody_else_has_it),
        cmocka_unit_test(a_cache_is_given_whole),
        cmocka_unit_test(a_cache_of_a_person_is_refused),
        cmocka_unit_test(a_cache_keeps_its_number),
        cmocka_unit_test(the_worker_has_nothing),
    };

    return cmocka_run_group_tests_name("worker_user", tests, NULL, NULL);
}
