/* SPDX-License-Identifier: MIT */
#include "agent/cli/configuration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/model/problem.h"

CLEANUP_DEFINE(options, options_free);

static const struct option_spec flags[] = {
    { "config", 0, OPTION_TEXT, "FILE", "" },   { "server", 0, OPTION_LIST, "URL", "" },
    { "project", 0, OPTION_TEXT, "P", "" },     { "insecure", 0, OPTION_SWITCH, NULL, "" },
    { "concurrency", 0, OPTION_TEXT, "N", "" }, { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct program_spec program = {
    .name = "x", .options = flags, .version = "1", .operands_max = 9
};

static struct options *parse(const char *first, const char *second)
{
    char *argv[] = { (char *)(uintptr_t) "x", (char *)(uintptr_t)first, (char *)(uintptr_t)second,
                     NULL };
    cleanup(buf_release) struct buf text = buf_init(4096);
    struct options *options = NULL;
    int argc = first == NULL ? 1 : second == NULL ? 2 : 3;

    assert_int_equal(options_parse(&program, argc, argv, &options, &text, NULL), 0);
    return options;
}

static void the_nearest_source_wins(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_options) struct options *options = parse("--project", "flag");
    cleanup(configuration_release) struct configuration configuration = { 0 };
    cleanup_memory char *path = NULL;
    cleanup(buf_release) struct buf expected = buf_init(4096);
    int exit_code;

    place_put(place, CONFIGURATION_NAME,
              "server: http://127.0.0.1:1\nproject: file\napp: file\n"
              "token_file: secret\nignore: [a, b]\n");
    setenv("KKARTIFACT_APP", "environment", 1);
    assert_int_equal(configuration_load(options, place->path, CONFIGURATION_REQUIRED,
                                        &configuration, &exit_code, NULL),
                     0);
    unsetenv("KKARTIFACT_APP");
    assert_string_equal(settings_text(configuration.settings, "project"), "flag");
    assert_string_equal(settings_text(configuration.settings, "app"), "environment");
    assert_int_equal(settings_number(configuration.settings, "concurrency"), 8);
    assert_int_equal(settings_list_count(configuration.settings, "ignore"), 2);
    buf_format(&expected, "%s/secret", place->path);
    assert_int_equal(configuration_path(&configuration, "token_file", &path, NULL), 0);
    assert_string_equal(path, buf_text(&expected));
}

static void load_fails(struct place *place, const char *first, const char *second,
                       int expected_exit, const char *says)
{
    cleanup(cleanup_options) struct options *options = parse(first, second);
    cleanup(configuration_release) struct configuration configuration = { 0 };
    struct error err;
    int exit_code = 0;

    assert_true(configuration_load(options, place->path, CONFIGURATION_REQUIRED, &configuration,
                                   &exit_code, &err) < 0);
    assert_int_equal(exit_code, expected_exit);
    if (strstr(err.text, says) == NULL)
        assert_string_equal(err.text, says);
}

static void faults_have_their_exit_code(void **state)
{
    struct place *place = *state;

    load_fails(place, NULL, NULL, EXIT_CONFIGURATION, "init");
    load_fails(place, "--config", "/nonexistent/x.yml", EXIT_CONFIGURATION, "/nonexistent/x.yml");
    place_put(place, CONFIGURATION_NAME, "colour: red\n");
    load_fails(place, NULL, NULL, EXIT_CONFIGURATION, "colour");
    place_put(place, CONFIGURATION_NAME, "project: ../x\n");
    load_fails(place, NULL, NULL, EXIT_CONFIGURATION, "project");
    place_put(place, CONFIGURATION_NAME, "app: x\n");
    load_fails(place, "--concurrency", "0", EXIT_USAGE, "concurrency");
    load_fails(place, "--project", "../x", EXIT_USAGE, "project");
    load_fails(place, "--server", "ftp://x", EXIT_USAGE, "server");
}

static void the_example_is_a_configuration(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf example = buf_init(1 << 20);
    cleanup(cleanup_options) struct options *options = parse(NULL, NULL);
    cleanup(configuration_release) struct configuration configuration = { 0 };
    int exit_code;

    configuration_example("http://127.0.0.1:7", "shop", NULL, &example);
    place_put(place, CONFIGURATION_NAME, buf_text(&example));
    assert_int_equal(configuration_load(options, place->path, CONFIGURATION_REQUIRED,
                                        &configuration, &exit_code, NULL),
                     0);
    assert_string_equal(settings_list(configuration.settings, "server", 0), "http://127.0.0.1:7");
    assert_string_equal(settings_text(configuration.settings, "project"), "shop");
    assert_false(settings_has(configuration.settings, "app"));
    for (const struct setting_spec *spec = configuration_specs; spec->key != NULL; spec++)
        assert_non_null(strstr(buf_text(&example), spec->key));
}

/* The example with the '#' of one line taken away; which is that of `key`. */
static void uncomment(struct span example, const char *key, struct buf *out)
{
    struct span line;
    unsigned found = 0;

    while (example.size > 0 && span_cut(&example, '\n', &line)) {
        if (line.size > strlen(key) + 1 && line.bytes[0] == '#' &&
            memcmp(line.bytes + 1, key, strlen(key)) == 0 && line.bytes[1 + strlen(key)] == ':') {
            line = span_slice(line, 1, line.size);
            found++;
        }
        buf_add_span(out, line);
        buf_add_byte(out, '\n');
    }
    assert_int_equal(found, 1);
}

static void each_line_of_the_example_is_accepted(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf example = buf_init(1 << 20);

    configuration_example(NULL, NULL, NULL, &example);
    for (const struct setting_spec *spec = configuration_specs; spec->key != NULL; spec++) {
        cleanup(buf_release) struct buf text = buf_init(1 << 20);
        cleanup(cleanup_options) struct options *options = parse(NULL, NULL);
        cleanup(configuration_release) struct configuration configuration = { 0 };
        struct error err = { 0 };
        int exit_code;

        uncomment(buf_span(&example), spec->key, &text);
        place_put(place, CONFIGURATION_NAME, buf_text(&text));
        if (configuration_load(options, place->path, CONFIGURATION_REQUIRED, &configuration,
                               &exit_code, &err) < 0)
            fail_msg("%s: %s", spec->key, err.text);
        assert_true(settings_has(configuration.settings, spec->key));
        assert_true(strstr(settings_place(configuration.settings, spec->key), ".yml:") != NULL);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(the_nearest_source_wins),
        IN_A_PLACE(faults_have_their_exit_code),
        IN_A_PLACE(the_example_is_a_configuration),
        IN_A_PLACE(each_line_of_the_example_is_accepted),
    };

    return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
