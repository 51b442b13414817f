/* SPDX-License-Identifier: MIT */
#include "common/base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"

/* What one log call writes to descriptor 2. */
static void captured(enum log_form form, enum log_level limit, enum log_level level,
                     const char *const *fields, const char *message, char *out, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    ssize_t got;

    dup2(fileno(file), STDERR_FILENO);
    log_setup(limit, form);
    log_event(level, fields, "%s", message);
    log_setup(LOG_INFO, LOG_TEXT);
    dup2(saved, STDERR_FILENO);
    close(saved);
    got = pread(fileno(file), out, size - 1, 0);
    assert_true(got >= 0);
    out[got] = '\0';
    fclose(file);
}

static void text_lines(void **state)
{
    static const char *const fields[] = {
        "version", "p/a/v", "none", NULL, "why", "two words", NULL
    };
    char line[512];

    captured(LOG_TEXT, LOG_INFO, LOG_ERROR, fields, "it broke\n\"now\"", line, sizeof(line));
    assert_string_equal(line,
                        "error: it broke\\u000a\\\"now\\\" version=p/a/v why=\"two words\"\n");
    captured(LOG_TEXT, LOG_INFO, LOG_INFO, NULL, "plain", line, sizeof(line));
    assert_string_equal(line, "plain\n");
}

static void json_lines(void **state)
{
    static const char *const fields[] = { "path", "a\"b", NULL };
    char line[512];

    captured(LOG_JSON, LOG_INFO, LOG_WARNING, fields, "slow", line, sizeof(line));
    assert_non_null(
        strstr(line, "\"level\":\"warning\",\"message\":\"slow\",\"path\":\"a\\\"b\"}\n"));
    assert_memory_equal(line, "{\"time\":\"", 9);
}

static void below_the_level_is_silence(void **state)
{
    char line[512];

    captured(LOG_TEXT, LOG_WARNING, LOG_INFO, NULL, "x", line, sizeof(line));
    assert_string_equal(line, "");
}

static void what_scripts_wait_for_is_always_written(void **state)
{
    char line[512];
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    ssize_t got;

    dup2(fileno(file), STDERR_FILENO);
    log_setup(LOG_ERROR, LOG_TEXT);
    log_always("ready at %d", 7);
    log_setup(LOG_INFO, LOG_TEXT);
    dup2(saved, STDERR_FILENO);
    close(saved);
    got = pread(fileno(file), line, sizeof(line) - 1, 0);
    fclose(file);
    assert_true(got >= 0);
    line[got] = '\0';
    assert_string_equal(line, "ready at 7\n");
}

static void names(void **state)
{
    enum log_level level = LOG_ERROR;
    enum log_form form = LOG_TEXT;

    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse("loud", &level) < 0);
    assert_int_equal(log_form_parse("json", &form), 0);
    assert_int_equal(form, LOG_JSON);
    assert_true(log_form_parse("xml", &form) < 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(below_the_level_is_silence),
        cmocka_unit_test(what_scripts_wait_for_is_always_written),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
