/* SPDX-License-Identifier: MIT */
#include "common/base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"

static void *blocked_signals(void *context)
{
    sigset_t set;

    pthread_sigmask(SIG_SETMASK, NULL, &set);
    *(int *)context = sigismember(&set, SIGTERM);
    return NULL;
}

static void threads_block_signals_and_leave_the_starter_alone(void **state)
{
    pthread_t thread;
    int blocked = 0;
    sigset_t set;

    assert_int_equal(platform_thread_start(&thread, blocked_signals, &blocked), 0);
    pthread_join(thread, NULL);
    assert_int_equal(blocked, 1);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    assert_int_equal(sigismember(&set, SIGTERM), 0);
}

static void facts(void **state)
{
    char name[8];

    assert_true(platform_cpu_count() >= 1);
    assert_true(platform_terminal_columns(-1) == 80);
    assert_false(platform_is_terminal(-1));
    memset(name, 'x', sizeof(name));
    platform_host_name(name, sizeof(name));
    assert_true(strlen(name) > 0 && strlen(name) < sizeof(name));
}

/* In a process of its own, which has lost its stdin and stdout: 0 when both are guarded. */
static int lose_and_guard(void)
{
    char byte = 0;

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    if (platform_guard_standard() != 0)
        return 1;
    if (open("/dev/zero", O_RDONLY) <= STDERR_FILENO)
        return 2; /* a file has got the number of one of them */
    if (read(STDIN_FILENO, &byte, 1) != -1 || errno != EBADF)
        return 3;
    if (write(STDOUT_FILENO, &byte, 1) != -1 || errno != EBADF)
        return 4;
    return fcntl(STDOUT_FILENO, F_GETFD) == 0 ? 0 : 5; /* not for this program alone */
}

static void what_was_closed_is_guarded_and_stays_an_error(void **state)
{
    struct stat before, after;
    pid_t child;
    int status;

    assert_int_equal(fstat(STDIN_FILENO, &before), 0);
    assert_int_equal(platform_guard_standard(), 0);
    assert_int_equal(fstat(STDIN_FILENO, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(lose_and_guard());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_block_signals_and_leave_the_starter_alone),
        cmocka_unit_test(facts),
        cmocka_unit_test(what_was_closed_is_guarded_and_stays_an_error),
    };

    return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
