/* SPDX-License-Identifier: MIT */
#include "agent/cli/configuration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/options.h"
#include "common/model/names.h"
#include "common/model/problem.h"
#include "common/net/url.h"

static int check_server(const char *value, struct error *err)
{
    struct url_base base;

    return url_base_parse(value, &base, err);
}

static int check_project(const char *value, struct error *err)
{
    return name_check(NAME_PROJECT, span_text(value), err);
}

static int check_app(const char *value, struct error *err)
{
    return name_check(NAME_APP, span_text(value), err);
}

static int check_host(const char *value, struct error *err)
{
    return name_check(NAME_HOST, span_text(value), err);
}

const struct setting_spec configuration_specs[] = {
    { .key = "server",
      .type = SETTING_LIST,
      .example = "https://artifacts.example",
      .check = check_server,
      .help = "Address of the server; of several the next one is tried when one is away" },
    { .key = "token",
      .type = SETTING_SECRET,
      .example = "kka_...",
      .help = "The token itself; better in token_file or KKARTIFACT_TOKEN" },
    { .key = "token_file",
      .type = SETTING_TEXT,
      .example = "/etc/kkartifact/token",
      .help = "File whose first line is the token" },
    { .key = "project",
      .type = SETTING_TEXT,
      .example = "shop",
      .check = check_project,
      .help = "Project" },
    { .key = "app",
      .type = SETTING_TEXT,
      .example = "api",
      .check = check_app,
      .help = "App of the project" },
    { .key = "host",
      .type = SETTING_TEXT,
      .example = "web1",
      .check = check_host,
      .help = "What the server shall call this host, instead of its own name" },
    { .key = "deploy_path",
      .type = SETTING_TEXT,
      .example = "/srv/api",
      .help = "Where pull puts the version when no DEST is said" },
    { .key = "ignore",
      .type = SETTING_LIST,
      .example = "*.log",
      .help = "Patterns as in .gitignore: never pushed, never replaced by a pull" },
    { .key = "executable",
      .type = SETTING_LIST,
      .example = "bin/*",
      .help = "Patterns of files that are pushed as 0755" },
    { .key = "links",
      .type = SETTING_CHOICE,
      .choices = "keep|refuse|skip",
      .fallback = "keep",
      .help = "What a push does with symbolic links" },
    { .key = "concurrency",
      .type = SETTING_NUMBER,
      .fallback = "8",
      .min = 1,
      .max = 64,
      .help = "Requests in flight" },
    { .key = "chunk_size",
      .type = SETTING_SIZE,
      .fallback = "8MiB",
      .min = 64 << 10,
      .max = 64 << 20,
      .help = "Wished size of a part of an upload; the server's bounds it" },
    { .key = "timeout",
      .type = SETTING_DURATION,
      .fallback = "30s",
      .min = 1,
      .max = 86400000,
      .help = "How long the server may be silent" },
    { .key = "retries",
      .type = SETTING_NUMBER,
      .fallback = "6",
      .min = 0,
      .max = 100,
      .help = "Further tries of a request that failed" },
    { .key = "retain_versions",
      .type = SETTING_NUMBER,
      .example = "10",
      .min = 1,
      .max = 1000000,
      .help = "How many versions are wanted on the server; for reference" },
    { .key = "bandwidth_limit",
      .type = SETTING_SIZE,
      .example = "10MiB",
      .min = 1024,
      .max = (uint64_t)1 << 40,
      .help = "Bytes a second that are sent and received, together" },
    { .key = "ca_file",
      .type = SETTING_TEXT,
      .example = "/etc/kkartifact/ca.pem",
      .help = "PEM file of roots instead of the system's" },
    { .key = "insecure",
      .type = SETTING_SWITCH,
      .fallback = "false",
      .help = "Whether the token may go over plain HTTP to any host" },
    { .key = NULL },
};

/* Flags and the keys that they set. */
static const struct {
    const char *flag, *key;
} flag_keys[] = {
    { "server", "server" },   { "token-file", "token_file" }, { "project", "project" },
    { "app", "app" },         { "links", "links" },           { "concurrency", "concurrency" },
    { "timeout", "timeout" },
};

void configuration_release(struct configuration *configuration)
{
    settings_free(configuration->settings);
    memory_free(configuration->directory);
    *configuration = (struct configuration){ 0 };
}

static int load_flags(const struct options *options, struct settings *settings, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(flag_keys) / sizeof(flag_keys[0]); i++) {
        const char *value;
        for (size_t n = 0; r == 0 && (value = options_list(options, flag_keys[i].flag, n)) != NULL;
             n++)
            r = settings_set_flag(settings, flag_keys[i].key, value, err);
    }
    if (r == 0 && options_has(options, "insecure"))
        r = settings_set_flag(settings, "insecure", "true", err);
    return r;
}

/* "a/b" of "a/b/c", "." of "c"; memory_free() it. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

#ifdef _WIN32
    const char *back = strrchr(path, '\\');
    if (back != NULL && (slash == NULL || back > slash))
        slash = back;
#endif
    if (slash == NULL)
        return memory_text(".");
    return memory_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

static int load_file(const struct options *options, const char *directory,
                     enum configuration_need need, struct configuration *configuration,
                     int *out_exit, struct error *err)
{
    const char *named = options_get(options, "config");
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    int r;

    if (named != NULL)
        buf_add_text(&path, named);
    else
        buf_format(&path, "%s/" CONFIGURATION_NAME, directory);
    r = buf_check(&path, err);
    if (r == 0)
        r = settings_load_file(configuration->settings, buf_text(&path), err);
    if (r == -ENOENT && named == NULL && need == CONFIGURATION_OPTIONAL)
        return 0;
    if (r == -ENOENT)
        return error_set(err, r, "%s is missing: \"kkartifact-agent init\" makes one",
                         buf_text(&path));
    if (r == -ENOTDIR && named == NULL) {
        *out_exit = EXIT_LOCAL;
        return error_set(err, r, "%s: is not a directory", directory);
    }
    if (r < 0)
        return r;
    configuration->directory = directory_of(buf_text(&path));
    return configuration->directory == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int configuration_load(const struct options *options, const char *directory,
                       enum configuration_need need, struct configuration *out, int *out_exit,
                       struct error *err)
{
    cleanup(configuration_release) struct configuration configuration = { 0 };
    int r = settings_new(configuration_specs, &configuration.settings, err);

    *out_exit = EXIT_CONFIGURATION;
    if (r == 0)
        r = load_file(options, directory, need, &configuration, out_exit, err);
    if (r == 0)
        r = settings_load_environment(configuration.settings, getenv, err);
    if (r < 0)
        return r;
    *out_exit = EXIT_USAGE;
    r = load_flags(options, configuration.settings, err);
    if (r < 0)
        return r;
    *out = configuration;
    configuration = (struct configuration){ 0 };
    return 0;
}

bool configuration_is_absolute(const char *path)
{
#ifdef _WIN32
    if (path[0] == '\\' || (path[0] != '\0' && path[1] == ':'))
        return true;
#endif
    return path[0] == '/';
}

int configuration_path(const struct configuration *configuration, const char *key, char **out_path,
                       struct error *err)
{
    const char *value = settings_text(configuration->settings, key);
    const char *place = settings_place(configuration->settings, key);
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    bool from_file = strncmp(place, "flag ", 5) != 0 && strncmp(place, "environment ", 12) != 0;
    int r;

    if (value == NULL) {
        *out_path = NULL;
        return 0;
    }
    if (from_file && !configuration_is_absolute(value) && strcmp(value, "-") != 0 &&
        configuration->directory != NULL && strcmp(configuration->directory, ".") != 0)
        buf_format(&path, "%s/", configuration->directory);
    buf_add_text(&path, value);
    r = buf_check(&path, err);
    if (r == 0)
        *out_path = buf_take(&path);
    return r == 0 && *out_path == NULL ? error_set(err, -ENOMEM, "out of memory") : r;
}

/* A line of the example that is to say something: "# key: ..." or "#key: ..." becomes "key:
 * value". */
static bool put_value(struct span line, const char *key, const char *value, struct buf *out)
{
    struct span rest = line;

    while (rest.size > 0 && (rest.bytes[0] == '#' || rest.bytes[0] == ' '))
        rest = span_slice(rest, 1, rest.size);
    if (value == NULL || rest.size <= strlen(key) || rest.size == line.size ||
        memcmp(rest.bytes, key, strlen(key)) != 0 || rest.bytes[strlen(key)] != ':')
        return false;
    buf_format(out, "%s: \"%s\"\n", key, value);
    return true;
}

void configuration_example(const char *server, const char *project, const char *app,
                           struct buf *out)
{
    cleanup(buf_release) struct buf example = buf_init(BUF_UNLIMITED);
    struct span rest, line;

    settings_print_example(configuration_specs, &example);
    rest = buf_span(&example);
    while (rest.size > 0 && span_cut(&rest, '\n', &line)) {
        if (put_value(line, "server", server, out) || put_value(line, "project", project, out) ||
            put_value(line, "app", app, out))
            continue;
        buf_add_span(out, line);
        buf_add_byte(out, '\n');
    }
    if (example.failure != 0)
        out->failure = example.failure;
}
