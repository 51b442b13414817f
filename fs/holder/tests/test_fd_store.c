/* SPDX-License-Identifier: MIT */
#include "fs/holder/fd_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"

/* As a service manager starts a program: in a process of its own, with descriptors from 3 on. */
static int take(const char *names, const char *count, int pid_offset)
{
    char pid[16];
    struct fd_store kept;
    int found;

    for (int fd = 3; fd < 7; fd++)
        if (dup2(STDERR_FILENO, fd) != fd)
            return 99;
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid() + pid_offset);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    fd_store_take(&kept);
    if (kept.fuse >= 0 && fcntl(kept.fuse, F_GETFD) != FD_CLOEXEC)
        return 98;
    if (pid_offset == 0 && getenv("LISTEN_FDS") != NULL)
        return 97;
    found = (kept.opens >= 0 ? 1000 * kept.opens : 0) + (kept.fuse >= 0 ? 100 * kept.fuse : 0) +
            (kept.ring >= 0 ? 10 * kept.ring : 0) + (kept.state >= 0 ? kept.state : 0);
    if (pid_offset == 0 && found > 0 && strchr(names, 'x') != NULL &&
        fcntl(6, F_GETFD) != -1) /* another's: closed */
        return 96;
    printf("%d\n", found);
    fflush(stdout);
    return 0;
}

static int taken(const char *names, const char *count, int pid_offset)
{
    int ends[2], status, found = -1;
    FILE *heard;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        _exit(take(names, count, pid_offset));
    }
    close(ends[1]);
    heard = fdopen(ends[0], "r");
    assert_non_null(heard);
    assert_int_equal(fscanf(heard, "%d", &found), 1);
    fclose(heard);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    return found;
}

static void names_say_what_each_is(void **state)
{
    assert_int_equal(taken("kkartifact-state:kkartifact-fuse:kkartifact-ring:x", "4", 0), 453);
    assert_int_equal(taken("kkartifact-opens:kkartifact-ring:kkartifact-fuse:kkartifact-state", "4",
                           0),
                     3546);
    assert_int_equal(taken("kkartifact-fuse", "1", 0), 300);
    assert_int_equal(taken("", "2", 0), 0);
    assert_int_equal(taken("kkartifact-fuse", "nonsense", 0), 0);
}

static void what_is_meant_for_another_process_is_left(void **state)
{
    assert_int_equal(taken("kkartifact-fuse:kkartifact-ring:kkartifact-state", "3", 1), 0);
}

static void the_manager_hears_of_each(void **state)
{
    char directory[] = "/tmp/fd-store.XXXXXX", got[64];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    static const char *const said[] = {
        "FDSTORE=1\nFDNAME=kkartifact-fuse",        "FDSTORE=1\nFDNAME=kkartifact-ring",
        "FDSTORE=1\nFDNAME=kkartifact-state",       "FDSTOREREMOVE=1\nFDNAME=kkartifact-fuse",
        "FDSTOREREMOVE=1\nFDNAME=kkartifact-ring",  "FDSTOREREMOVE=1\nFDNAME=kkartifact-opens",
        "FDSTOREREMOVE=1\nFDNAME=kkartifact-state", "FDSTORE=1\nFDNAME=kkartifact-fuse",
        "FDSTORE=1\nFDNAME=kkartifact-ring",        "FDSTORE=1\nFDNAME=kkartifact-opens",
        "FDSTORE=1\nFDNAME=kkartifact-state",
    };

    assert_non_null(mkdtemp(directory));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    fd_store_keep(&(struct fd_store){ 0, 1, -1, 2 });
    fd_store_drop();
    fd_store_keep(&(struct fd_store){ 0, 1, 2, 2 });
    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
        memset(got, 0, sizeof(got));
        assert_true(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(got, said[i]);
    }
    unsetenv("NOTIFY_SOCKET");
    unlink(address.sun_path);
    rmdir(directory);
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_what_each_is),
        cmocka_unit_test(what_is_meant_for_another_process_is_left),
        cmocka_unit_test(the_manager_hears_of_each),
    };

    return cmocka_run_group_tests_name("fd_store", tests, NULL, NULL);
}
