/* SPDX-License-Identifier: MIT */
#include "fs/doctor/process.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"

static char state_of(const char *text)
{
    return process_state_parse(span_text(text));
}

static void a_state_is_behind_the_name(void **state)
{
    assert_int_equal(state_of("12 (sleep) S 1 2"), 'S');
    assert_int_equal(state_of("12 (a) R b) T 1"), 'T');
    assert_int_equal(state_of("12 (x)"), 0);
    assert_int_equal(state_of("12 (x) "), 0);
    assert_int_equal(state_of(""), 0);
}

static void a_service_is_found_in_the_group(void **state)
{
    char name[32];

    assert_true(
        process_service_parse(span_text("0::/system.slice/cron.service\n"), name, sizeof(name)));
    assert_string_equal(name, "cron.service");
    assert_true(process_service_parse(
        span_text("1:name=x:/a\n0::/system.slice/kkartifact-fs@repos.service/sub\n"), name,
        sizeof(name)));
    assert_string_equal(name, "kkartifact-fs@repos.service");
    assert_false(
        process_service_parse(span_text("0::/user.slice/session-3.scope\n"), name, sizeof(name)));
    assert_false(process_service_parse(span_text("0::/.service\n"), name, sizeof(name)));
    assert_false(
        process_service_parse(span_text("0::/a-name-that-is-longer-than-the-room-for-it.service\n"),
                              name, sizeof(name)));
    assert_false(process_service_parse(span_text(""), name, sizeof(name)));
}

static void a_real_process(void **state)
{
    char place[4096], own[4096];
    int status;
    pid_t child = fork();

    if (child == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_int_equal(process_first_child(getpid()), child);
    assert_int_equal(process_state(child), 'T');
    assert_string_equal(process_state_text(process_state(child)), "stopped");
    assert_true(process_directory(child, place, sizeof(place)));
    assert_non_null(getcwd(own, sizeof(own)));
    assert_string_equal(place, own);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(process_state(child), 0);
    assert_int_equal(process_first_child(getpid()), 0);
    assert_false(process_directory(child, place, sizeof(place)));
    assert_int_equal(process_state(0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_behind_the_name),
        cmocka_unit_test(a_service_is_found_in_the_group),
        cmocka_unit_test(a_real_process),
    };

    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
