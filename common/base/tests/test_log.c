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

static void characters(void **state)
{
    static const char *const texts[][2] = {
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\x1b[1m\x7f", "a\\u001b[1m\\u007f" },
        { "\xc2\x85|\xe2\x80\xa8|\xe2\x80\xa9", "\\u0085|\\u2028|\\u2029" },
        { "\xe2\x80\xae|\xe2\x81\xa6|\xd8\x9c", "\\u202e|\\u2066|\\u061c" },
        { "\xff|\xc3|\xe2\x82", "\\u00ff|\\u00c3|\\u00e2\\u0082" },
    };
    char line[512], expected[512];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *const fields[] = { "f", texts[i][0], NULL };

        snprintf(expected, sizeof(expected), "%s f=\"%s\"\n", texts[i][1], texts[i][1]);
        captured(LOG_TEXT, LOG_INFO, LOG_INFO, fields, texts[i][0], line, sizeof(line));
        assert_string_equal(line, expected);
        snprintf(expected, sizeof(expected), "\"message\":\"%s\",\"f\":\"%s\"}\n", texts[i][1],
                 texts[i][1]);
        captured(LOG_JSON, LOG_INFO, LOG_INFO, fields, texts[i][0], line, sizeof(line));
        assert_non_null(strstr(line, expected));
    }
}

static bool ends_in(const char *line, const char *end)
{
    return strlen(line) >= strlen(end) && strcmp(line + strlen(line) - strlen(end), end) == 0;
}

/* Of any length: one line of at most 4096 bytes, closed, whole characters, and it says so. */
static void long_lines_are_cut(void **state)
{
    static char value[6000], line[8192];

    for (size_t size = 500; size < 5000; size += size < 600 || size > 3900 ? 1 : 50) {
        const char *const fields[] = { "f", value, "g", "x", NULL };
        bool fits = size + 100 < 4000;

        memset(value, 'x', size);
        memcpy(value + size - 2, "\xc3\xa4", 3);
        captured(LOG_JSON, LOG_INFO, LOG_INFO, fields, "m", line, sizeof(line));
        assert_true(strlen(line) <= 4096);
        assert_true(ends_in(line, "\"g\":\"x\"}\n") || ends_in(line, "\",\"cut\":true}\n"));
        assert_true(!fits || ends_in(line, "\xc3\xa4\",\"g\":\"x\"}\n"));
        captured(LOG_TEXT, LOG_INFO, LOG_INFO, fields, "m", line, sizeof(line));
        assert_true(strlen(line) <= 4096);
        assert_true(ends_in(line, "\" g=x\n") || ends_in(line, "\" ...\n"));
        assert_true(!fits || ends_in(line, "\" g=x\n"));
    }
    memset(value, '\n', 5000); /* six bytes each */
    value[5000] = '\0';
    const char *const fields[] = { "f", value, NULL };
    captured(LOG_TEXT, LOG_INFO, LOG_INFO, fields, value, line, sizeof(line));
    assert_true(ends_in(line, "\\u000a ...\n"));
}

static void long_messages_are_cut(void **state)
{
    static const char *const fields[] = { "f", "x", NULL };
    static char message[1200], line[8192];

    for (size_t start = 0; start < 4; start++) {
        memset(message, 'x', start);
        for (size_t at = start; at < 1100; at += 4)
            memcpy(message + at, "\xf0\x9f\x98\x80", 5);
        captured(LOG_TEXT, LOG_INFO, LOG_INFO, fields, message, line, sizeof(line));
        assert_true(ends_in(line, "\xf0\x9f\x98\x80... f=x\n"));
        captured(LOG_JSON, LOG_INFO, LOG_INFO, fields, message, line, sizeof(line));
        assert_true(ends_in(line, "\xf0\x9f\x98\x80\",\"f\":\"x\",\"cut\":true}\n"));
    }
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
        cmocka_unit_test(characters),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(below_the_level_is_silence),
        cmocka_unit_test(what_scripts_wait_for_is_always_written),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
