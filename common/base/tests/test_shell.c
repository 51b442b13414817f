/* SPDX-License-Identifier: MIT */
#include "common/base/shell.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"

static const struct shell_variable nothing[] = { { NULL, NULL } };

static int run(const char *command, const struct shell_variable *variables)
{
    int status = -1;

    assert_int_equal(shell_run(command, variables, NULL, &status, NULL), 0);
    return status;
}

static void status_is_told(void **state)
{
    assert_int_equal(run("exit 0", nothing), 0);
    assert_int_equal(run("exit 7", nothing), 7);
    assert_int_equal(run("kill -KILL $$", nothing), 128 + SIGKILL);
    assert_int_equal(run("no-such-command-anywhere 2>/dev/null", nothing), 127);
    assert_int_equal(run("true | (exit 3)", nothing), 3);
}

static void environment_is_ours_and_what_is_said(void **state)
{
    const struct shell_variable variables[] = { { "SHELL_TEST_ONE", "a 'b' \"c\"" },
                                                { "SHELL_TEST_GONE", NULL },
                                                { "SHELL_TEST_OTHER", "" },
                                                { NULL, NULL } };

    setenv("SHELL_TEST_ONE", "old", 1);
    setenv("SHELL_TEST_GONE", "secret", 1);
    setenv("SHELL_TEST_GONE_NOT", "kept", 1);
    assert_int_equal(run("test \"$SHELL_TEST_ONE\" = \"a 'b' \\\"c\\\"\"", variables), 0);
    assert_int_equal(run("test -z \"${SHELL_TEST_GONE+x}\"", variables), 0);
    assert_int_equal(run("test \"$SHELL_TEST_GONE_NOT\" = kept", variables), 0);
    assert_int_equal(run("test \"${SHELL_TEST_OTHER+x}\" = x", variables), 0);
}

static void no_input_and_output_beside_the_result(void **state)
{
    int ends[2], out = dup(1), told = dup(2);
    char text[64] = "";

    assert_int_equal(run("read line", nothing), 1); /* its input is at its end */
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], 2);
    close(ends[1]);
    run("echo heard", nothing);
    dup2(told, 2);
    assert_int_equal(read(ends[0], text, sizeof(text) - 1), 6);
    assert_string_equal(text, "heard\n");
    close(ends[0]);
    close(out);
    close(told);
}

static void nothing_else_is_open(void **state)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    char command[32];
    int ours = dup(2); /* not closed by itself when a program is run */

    assert_true(ours > 2 && ours < 10);
    assert_int_equal(run(": >&2", nothing), 0);
    snprintf(command, sizeof(command), ": >&%d", ours);
    assert_int_not_equal(run(command, nothing), 0);
    close(ours);
#endif
}

static void signals_are_not_blocked(void **state)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(run("kill -TERM $$", nothing), 128 + SIGTERM);
    assert_int_equal(run("kill -PIPE $$", nothing), 128 + SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* All that it started ends, not the shell alone. */
static void stop_ends_the_group(void **state)
{
    const atomic_bool stop = true;
    int status = -1;

    assert_int_equal(shell_run("sleep 600; exit 0", nothing, &stop, &status, NULL), 0);
    assert_int_equal(status, 128 + SIGTERM);
    assert_int_equal(shell_run("trap 'exit 5' TERM; sleep 600 & wait", nothing, &stop, &status,
                               NULL),
                     0);
    assert_true(status == 5 || status == 128 + SIGTERM); /* the trap may not be there yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_told),
        cmocka_unit_test(environment_is_ours_and_what_is_said),
        cmocka_unit_test(no_input_and_output_beside_the_result),
        cmocka_unit_test(nothing_else_is_open),
        cmocka_unit_test(signals_are_not_blocked),
        cmocka_unit_test(stop_ends_the_group),
    };

    return cmocka_run_group_tests_name("shell", tests, NULL, NULL);
}
