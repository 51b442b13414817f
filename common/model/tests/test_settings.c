/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/settings.h"

CLEANUP_DEFINE(settings, settings_free);

static int no_slash(const char *value, struct error *err)
{
    return strchr(value, '/') == NULL ? 0 : error_set(err, -EINVAL, "no slash may be in it");
}

static const struct setting_spec specs[] = {
    { .key = "listen", .type = SETTING_TEXT, .fallback = "127.0.0.1:8080", .help = "where" },
    { .key = "part_size", .type = SETTING_SIZE, .fallback = "8MiB", .min = 65536, .max = 64 << 20 },
    { .key = "timeout", .type = SETTING_DURATION, .fallback = "30s", .min = 1000 },
    { .key = "retries", .type = SETTING_NUMBER, .fallback = "5", .max = 100 },
    { .key = "insecure", .type = SETTING_SWITCH, .fallback = "false" },
    { .key = "ignore", .type = SETTING_LIST },
    { .key = "form", .type = SETTING_CHOICE, .choices = "text|json", .fallback = "text" },
    { .key = "token", .type = SETTING_SECRET, .check = no_slash },
    { .key = "name", .type = SETTING_TEXT, .check = no_slash, .help = "who" },
    { .key = NULL },
};

static struct settings *make(void)
{
    struct settings *settings = NULL;

    assert_int_equal(settings_new(specs, &settings, NULL), 0);
    return settings;
}

static char *fake_environment(const char *name)
{
    static char listen[] = "0.0.0.0:1", ignore[] = "a, b,,c", empty[] = "";

    if (strcmp(name, "KKARTIFACT_LISTEN") == 0)
        return listen;
    if (strcmp(name, "KKARTIFACT_IGNORE") == 0)
        return ignore;
    return strcmp(name, "KKARTIFACT_TIMEOUT") == 0 ? empty : NULL;
}

static char *bad_environment(const char *name)
{
    static char bad[] = "many";

    return strcmp(name, "KKARTIFACT_RETRIES") == 0 ? bad : NULL;
}

static int load(struct settings *settings, const char *text, struct error *err)
{
    return settings_load_text(settings, span_text(text), "x.yml", err);
}

static void test_defaults(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();

    assert_string_equal(settings_text(settings, "listen"), "127.0.0.1:8080");
    assert_int_equal(settings_number(settings, "part_size"), 8 << 20);
    assert_int_equal(settings_number(settings, "timeout"), 30000);
    assert_false(settings_switch(settings, "insecure"));
    assert_int_equal(settings_list_count(settings, "ignore"), 0);
    assert_null(settings_text(settings, "token"));
    assert_false(settings_has(settings, "token"));
    assert_string_equal(settings_place(settings, "listen"), "default");
    assert_string_equal(settings_place(settings, "token"), "not set");
}

static void test_precedence(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();

    assert_int_equal(settings_set_flag(settings, "listen", "flag:1", NULL), 0);
    assert_int_equal(settings_load_environment(settings, fake_environment, NULL), 0);
    assert_int_equal(load(settings,
                          "# c\nlisten: file:1\nignore: [x, 'y']\ntimeout: 5m\n"
                          "part_size: 1MiB\ninsecure: yes\n",
                          NULL),
                     0);
    assert_int_equal(settings_set_default(settings, "part_size", "2MiB", NULL), 0);
    assert_int_equal(settings_set_default(settings, "retries", "7", NULL), 0);
    assert_string_equal(settings_text(settings, "listen"), "flag:1");
    assert_string_equal(settings_place(settings, "listen"), "flag --listen");
    assert_int_equal(settings_list_count(settings, "ignore"), 3);
    assert_string_equal(settings_list(settings, "ignore", 1), "b");
    assert_null(settings_list(settings, "ignore", 3));
    assert_string_equal(settings_place(settings, "ignore"), "environment KKARTIFACT_IGNORE");
    assert_int_equal(settings_number(settings, "timeout"), 300000);
    assert_string_equal(settings_place(settings, "timeout"), "x.yml:4");
    assert_int_equal(settings_number(settings, "part_size"), 1 << 20);
    assert_int_equal(settings_number(settings, "retries"), 7);
    assert_true(settings_switch(settings, "insecure"));
}

static void test_lists(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();

    assert_int_equal(load(settings, "ignore:\n  - a,b\n  - \"*.o\"\n", NULL), 0);
    assert_int_equal(settings_list_count(settings, "ignore"), 2);
    assert_string_equal(settings_list(settings, "ignore", 0), "a,b");
    assert_int_equal(settings_set_flag(settings, "ignore", "x,y", NULL), 0);
    assert_int_equal(settings_set_flag(settings, "ignore", "z", NULL), 0);
    assert_int_equal(settings_list_count(settings, "ignore"), 2);
    assert_string_equal(settings_list(settings, "ignore", 0), "x,y");
    assert_int_equal(load(settings, "ignore: one\n", NULL), 0);
    assert_int_equal(settings_list_count(settings, "ignore"), 2);
}

static void refused(const char *text, const char *message)
{
    cleanup(cleanup_settings) struct settings *settings = make();
    struct error err = { 0 };

    assert_int_equal(load(settings, text, &err), -EINVAL);
    assert_string_equal(err.text, message);
}

static void test_refused_in_a_file(void **state)
{
    refused("listen: a\nlissten: b\n", "x.yml:2: lissten: unknown key, did you mean listen?");
    refused("\nretries: 101\n", "x.yml:2: retries: allowed is a number from 0 to 100");
    refused("retries: -1\n", "x.yml:1: retries: allowed is a number from 0 to 100");
    refused("retries: [1]\n", "x.yml:1: retries: allowed is a number from 0 to 100");
    refused("part_size: 1\n",
            "x.yml:1: part_size: allowed is a size in bytes such as 512K, 8MiB or "
            "10G from 64.0 KiB to 64.0 MiB");
    refused("timeout: 1ms\n",
            "x.yml:1: timeout: allowed is a duration such as 500ms, 30s, 5m or 12h from 1s");
    refused("insecure: maybe\n", "x.yml:1: insecure: allowed is true or false");
    refused("form: xml\n", "x.yml:1: form: allowed is one of text|json");
    refused("name: a/b\n", "x.yml:1: name: no slash may be in it");
    refused("listen: a\nlisten: b\n", "x.yml:2: the key listen stands twice");
    refused("listen: *a\n", "x.yml:1: aliases are refused");
    refused("ignore:\n  - [a]\n", "x.yml:1: ignore: allowed is a list of texts");
    refused("listen:\n  a: b\n", "x.yml:1: listen: allowed is a text of one line");
}

static void test_refused_elsewhere(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();
    struct error err = { 0 };

    assert_int_equal(settings_load_environment(settings, bad_environment, &err), -EINVAL);
    assert_string_equal(
        err.text, "environment KKARTIFACT_RETRIES: retries: allowed is a number from 0 to 100");
    assert_int_equal(settings_set_flag(settings, "part_size", "x", &err), -EINVAL);
    assert_memory_equal(err.text, "flag --part-size: part_size: ", 29);
    assert_int_equal(settings_set_flag(settings, "nothing", "x", &err), -EINVAL);
    assert_int_equal(settings_load_file(settings, "/nonexistent/x.yml", &err), -ENOENT);
    assert_int_equal(load(settings, "", &err), 0);
    assert_int_equal(load(settings, "# only comments\n", &err), 0);
}

static void test_secrets_are_hidden(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();
    cleanup(buf_release) struct buf out = buf_init(10000);
    struct error err = { 0 };

    assert_int_equal(load(settings, "token: \"hush/hush\"\n", &err), -EINVAL);
    assert_null(strstr(err.text, "hush"));
    assert_int_equal(load(settings, "token: \"hush\"\nname: \"a\\\"b\"\n", &err), 0);
    assert_string_equal(settings_text(settings, "token"), "hush");
    settings_print(settings, &out);
    assert_non_null(strstr(buf_text(&out), "\ntoken: \"(hidden)\"  # x.yml:1\n"));
    assert_non_null(strstr(buf_text(&out), "name: \"a\\\"b\"  # x.yml:2\n"));
    settings_print_json(settings, &out);
    assert_null(strstr(buf_text(&out), "hush"));
}

static void test_example_is_readable(void **state)
{
    cleanup(cleanup_settings) struct settings *settings = make();
    cleanup(buf_release) struct buf out = buf_init(10000);

    settings_print_example(specs, &out);
    assert_non_null(strstr(buf_text(&out), "#listen: \"127.0.0.1:8080\"\n"));
    assert_int_equal(load(settings, buf_text(&out), NULL), 0);
}

static int load_all(void)
{
    cleanup(cleanup_settings) struct settings *settings = NULL;
    int r = settings_new(specs, &settings, NULL);

    if (r == 0)
        r = settings_load_environment(settings, fake_environment, NULL);
    if (r == 0)
        r = load(settings, "ignore: [x, y]\nname: a\n", NULL);
    if (r == 0)
        r = settings_set_flag(settings, "ignore", "q", NULL);
    return r;
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(load_all());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refused_in_a_file),
        cmocka_unit_test(test_refused_elsewhere),
        cmocka_unit_test(test_secrets_are_hidden),
        cmocka_unit_test(test_example_is_readable),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
