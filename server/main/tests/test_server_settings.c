/* SPDX-License-Identifier: MIT */
#include "server/main/server_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/options.h"
#include "common/model/settings.h"
#include "tests/support/unit.h"

static const struct option_spec flags[] = {
    { "config", 0, OPTION_TEXT, "FILE", "x" },
    { "data", 0, OPTION_TEXT, "DIR", "x" },
    { "listen", 0, OPTION_TEXT, "ADDR:PORT", "x" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct program_spec program = {
    .name = "test", .summary = "x", .options = flags, .version = "1"
};

static int load(int argc, char *const argv[], struct settings **out, struct error *err)
{
    struct buf text = buf_init(65536);
    struct options *options = NULL;
    int r;

    assert_int_equal(options_parse(&program, argc, argv, &options, &text, err), 0);
    assert_non_null(options);
    r = server_settings_load(options, out, err);
    options_free(options);
    buf_release(&text);
    return r;
}

#define LOAD(out, err, ...)                                                            \
    load((int)(sizeof((char *const[]){ WORD("test"), __VA_ARGS__ }) / sizeof(char *)), \
         (char *const[]){ WORD("test"), __VA_ARGS__ }, out, err)
#define WORD(text) (char *)(uintptr_t)(text)

static void data_alone_is_enough(void **state)
{
    struct settings *settings = NULL;
    char *database = NULL, *storage = NULL, *address = NULL;
    const char *path = NULL;
    uint16_t port = 0;

    assert_int_equal(LOAD(&settings, NULL, WORD("--data"), WORD("/d")), 0);
    assert_int_equal(server_settings_database(settings, &database, NULL), 0);
    assert_string_equal(database, "sqlite:/d/kkartifact.db");
    database = memory_free(database);
    assert_int_equal(server_settings_database_file(settings, &database, &path, NULL), 0);
    assert_string_equal(database, "sqlite:/d/kkartifact.db");
    assert_string_equal(path, "/d/kkartifact.db");
    assert_int_equal(server_settings_storage(settings, &storage, NULL), 0);
    assert_string_equal(storage, "/d/blobs");
    assert_int_equal(server_settings_listen(settings, &address, &port, NULL), 0);
    assert_string_equal(address, "127.0.0.1");
    assert_int_equal(port, 8080);
    memory_free(database);
    memory_free(storage);
    memory_free(address);
    settings_free(settings);
}

static void flag_beats_environment_beats_file(void **state)
{
    char path[] = "/tmp/settings.XXXXXX";
    int fd = mkstemp(path);
    struct settings *settings = NULL;
    static const char text[] = "listen: 127.0.0.1:1\nlog_level: debug\npart_size: 1MiB\n"
                               "database: sqlite:/elsewhere.db\n";

    assert_int_equal(file_write(fd, text, strlen(text), NULL), 0);
    close(fd);
    setenv("KKARTIFACT_LISTEN", "127.0.0.1:2", 1);
    setenv("KKARTIFACT_PART_SIZE", "2MiB", 1);
    assert_int_equal(LOAD(&settings, NULL, WORD("--config"), WORD(path), WORD("--listen"),
                          WORD("[::1]:3"), WORD("--data"), WORD("/d")),
                     0);
    assert_string_equal(settings_text(settings, "listen"), "[::1]:3");
    assert_int_equal(settings_number(settings, "part_size"), 2 << 20);
    assert_string_equal(settings_text(settings, "log_level"), "debug");
    assert_string_equal(settings_text(settings, "database"), "sqlite:/elsewhere.db");
    settings_free(settings);
    unsetenv("KKARTIFACT_LISTEN");
    unsetenv("KKARTIFACT_PART_SIZE");
    unlink(path);
}

static void refused(void **state)
{
    static const char *const listens[] = {
        "8080",         "localhost:80", ":80", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "[::1]",        "::",  "1.2.3.4.5:6"
    };
    static const char *const variables[][2] = {
        { "KKARTIFACT_DATABASE", "mysql:x" },
        { "KKARTIFACT_DATABASE", "sqlite:" },
        { "KKARTIFACT_STORAGE", "ftp://x" },
        { "KKARTIFACT_PART_SIZE", "1GiB" },
        { "KKARTIFACT_CACHE", "none" },
        { "KKARTIFACT_TLS_CERT", "/only/one" },
        { "KKARTIFACT_TRUSTED_PROXIES", "10.0.0.1,proxy" },
    };
    struct settings *settings = NULL;
    struct error err;

    for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
        err.text[0] = '\0';
        if (LOAD(&settings, &err, WORD("--data"), WORD("/d"), WORD("--listen"), WORD(listens[i])) !=
            -EINVAL)
            fail_msg("%s is taken", listens[i]);
        assert_non_null(strstr(err.text, "listen"));
    }
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        setenv(variables[i][0], variables[i][1], 1);
        if (LOAD(&settings, &err, WORD("--data"), WORD("/d")) != -EINVAL)
            fail_msg("%s=%s is taken", variables[i][0], variables[i][1]);
        unsetenv(variables[i][0]);
    }
    assert_true(LOAD(&settings, &err, WORD("--config"), WORD("/no/such/file")) < 0);
    assert_null(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_alone_is_enough),
        cmocka_unit_test(flag_beats_environment_beats_file),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
