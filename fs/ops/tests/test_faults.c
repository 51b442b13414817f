/* SPDX-License-Identifier: MIT */
#include "fs/ops/faults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/unit.h"

static char line[FAULTS_TEXT_SIZE];

static bool note(struct faults *faults, const char *name, const char *path, const struct error *err,
                 uint64_t now_ms)
{
    const struct fault fault = { name, path, "http://s", false, err };

    return faults_note(faults, &fault, now_ms, line);
}

static void a_line_names_version_path_cause_and_server(void **state)
{
    struct faults *faults = faults_new();
    struct error late = { -ETIMEDOUT, "no answer in time" };
    struct error told = { -EIO, "http://s answered 500" };
    struct error away = { -EAGAIN, "not reached" };
    const struct fault nowhere = { "", "", "", false, &away };

    assert_true(note(faults, "p/a/v", "dir/file", &late, 1));
    assert_string_equal(line, "p/a/v: dir/file: no answer in time (http://s)");
    assert_true(note(faults, "p/a/v", "", &told, 1));
    assert_string_equal(line, "p/a/v: http://s answered 500");
    assert_true(faults_note(faults, &nowhere, 1, line));
    assert_string_equal(line, "not reached");
    faults_free(faults);
}

static void a_cause_of_a_version_is_logged_once_a_minute(void **state)
{
    struct faults *faults = faults_new();
    struct error away = { -EAGAIN, "not reached" }, other = { -ETIMEDOUT, "no answer in time" };

    assert_true(note(faults, "p/a/v", "x", &away, 1000));
    assert_false(note(faults, "p/a/v", "y", &away, 1001));
    assert_true(note(faults, "p/a/v", "y", &other, 1002));
    assert_true(note(faults, "p/a/w", "y", &away, 1002));
    assert_false(note(faults, "p/a/v", "x", &away, 1003));
    assert_true(note(faults, "p/a/v", "x", &away, 1000 + FAULTS_SILENCE_MS));
    faults_free(faults);
}

static void a_storm_of_causes_is_bounded(void **state)
{
    struct faults *faults = faults_new();
    struct error err = { -EIO, "" };
    char name[32];
    int lines = 0;

    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "p/a/%d", i);
        snprintf(err.text, sizeof(err.text), "cause %d", i);
        lines += note(faults, name, "", &err, 100000);
    }
    assert_int_equal(lines, FAULTS_LINES);
    assert_true(note(faults, "p/a/v", "", &err, 100000 + FAULTS_SILENCE_MS));
    assert_non_null(strstr(line, "(480 others were left out)"));
    assert_true(note(faults, "p/a/w", "", &err, 100001 + FAULTS_SILENCE_MS));
    assert_null(strstr(line, "left out"));
    faults_free(faults);
}

static void the_last_one_is_told_and_answers_are_none(void **state)
{
    struct faults *faults = faults_new();
    struct error bad = { -EBADMSG, "bytes are wrong" }, gone = { -ENOENT, "no such version" };
    char text[FAULTS_TEXT_SIZE];

    faults_last(faults, text);
    assert_string_equal(text, "");
    assert_true(note(faults, "p/a/v", "f", &bad, 1));
    assert_false(note(faults, "p/a/v", "f", &gone, 2));
    assert_false(note(faults, "p/a/v", "f", NULL, 2));
    faults_last(faults, text);
    assert_string_equal(text, "p/a/v: f: bytes are wrong (http://s)");
    faults_free(faults);
}

static void each_version_has_its_own(void **state)
{
    struct faults *faults = faults_new();
    struct error bad = { -EBADMSG, "bytes are wrong" }, away = { -EAGAIN, "not reached" };
    char text[FAULTS_TEXT_SIZE], name[32];

    note(faults, "p/a/v", "f", &bad, 1);
    note(faults, "p/a/w", "g", &away, 2);
    faults_of(faults, "p/a/v", text);
    assert_string_equal(text, "f: bytes are wrong (http://s)");
    faults_of(faults, "p/a/w", text);
    assert_string_equal(text, "g: not reached (http://s)");
    faults_of(faults, "p/a/x", text);
    assert_string_equal(text, "");
    faults_forget(faults, "p/a/v");
    faults_forget(faults, "p/a/v");
    faults_of(faults, "p/a/v", text);
    assert_string_equal(text, "");
    /* More than there is room for: the last ones stay. */
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "p/b/%d", i);
        note(faults, name, "f", &away, 3);
    }
    faults_of(faults, "p/b/199", text);
    assert_string_equal(text, "f: not reached (http://s)");
    faults_of(faults, "p/a/w", text);
    assert_string_equal(text, "");
    faults_free(faults);
}

static void a_server_that_comes_back_is_news_once(void **state)
{
    struct faults *faults = faults_new();
    struct error away = { -EAGAIN, "not reached" };
    struct fault fault = { "p/a/v", "f", "http://s", false, &away };

    assert_false(faults_answered(faults));
    assert_true(faults_note(faults, &fault, 1, line));
    assert_false(faults_answered(faults)); /* one was there, and did not help */
    fault.is_away = true;
    fault.name = "p/a/w";
    assert_true(faults_note(faults, &fault, 2, line));
    assert_true(faults_answered(faults));
    assert_false(faults_answered(faults));
    faults_free(faults);
}

static void what_is_long_is_cut(void **state)
{
    struct faults *faults = faults_new();
    struct error err = { -EIO, "" };
    static char path[4096], name[600];
    char text[FAULTS_TEXT_SIZE];

    memset(path, 'p', sizeof(path) - 1);
    memset(name, 'n', sizeof(name) - 1);
    memset(err.text, 'e', sizeof(err.text) - 1);
    assert_true(note(faults, "p/a/v", path, &err, 1));
    assert_non_null(strstr(line, "ppp...: eee"));
    assert_true(note(faults, name, path, &err, 1));
    faults_last(faults, text);
    assert_true(strlen(text) < sizeof(text));
    faults_free(faults);
}

static void programs_see_few_codes(void **state)
{
    assert_int_equal(faults_errno(-ENOENT), ENOENT);
    assert_int_equal(faults_errno(-EPERM), EACCES);
    assert_int_equal(faults_errno(-EACCES), EACCES);
    assert_int_equal(faults_errno(-ETIMEDOUT), EIO);
    assert_int_equal(faults_errno(-EAGAIN), EIO);
    assert_int_equal(faults_errno(-ENETDOWN), EIO);
    assert_int_equal(faults_errno(-EBADMSG), EBADMSG);
    assert_int_equal(faults_errno(-ENOTSUP), EIO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_version_path_cause_and_server),
        cmocka_unit_test(a_cause_of_a_version_is_logged_once_a_minute),
        cmocka_unit_test(a_storm_of_causes_is_bounded),
        cmocka_unit_test(the_last_one_is_told_and_answers_are_none),
        cmocka_unit_test(each_version_has_its_own),
        cmocka_unit_test(a_server_that_comes_back_is_news_once),
        cmocka_unit_test(what_is_long_is_cut),
        cmocka_unit_test(programs_see_few_codes),
    };

    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
