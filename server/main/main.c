/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/base/platform.h"
#include "common/model/settings.h"
#include "server/api/api.h"
#include "server/main/app.h"
#include "server/main/output.h"
#include "server/main/server_settings.h"
#include "server/main/verbs.h"

#define TEXT_MAX ((size_t)1 << 20)

enum { EXIT_FAILED = 1, EXIT_WRONG_USE = 2 };

enum verb {
    SERVE,
    TOKEN_CREATE,
    TOKEN_LIST,
    TOKEN_REVOKE,
    MIGRATE,
    GC,
    FSCK,
    BACKUP,
    RESTORE,
    REBUILD,
    CONFIG,
    ROUTES,
    VERSION,
    COMPLETION
};

static const struct option_spec common_options[] = {
    { "config", 0, OPTION_TEXT, "FILE", "Settings file (default: /etc/kkartifact/server.yml)" },
    { "data", 0, OPTION_TEXT, "DIR", "Directory of the database and the blobs" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec serve_options[] = {
    { "listen", 0, OPTION_TEXT, "ADDR:PORT",
      "Where to serve (default: 127.0.0.1:8080; port 0: a free one)" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec create_options[] = {
    { "name", 0, OPTION_TEXT, "NAME", "What the token is for" },
    { "project", 0, OPTION_TEXT, "P", "Only this project" },
    { "app", 0, OPTION_TEXT, "A", "Only this app of the project" },
    { "allow", 0, OPTION_TEXT, "LIST", "Of pull,push,promote,admin (default: pull)" },
    { "expires", 0, OPTION_TEXT, "TIME", "Valid for so long, such as 90d (default: for ever)" },
    { "json", 0, OPTION_SWITCH, NULL, "Print one JSON object" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec json_options[] = {
    { "json", 0, OPTION_SWITCH, NULL, "Print JSON" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec migrate_options[] = {
    { "check", 0, OPTION_SWITCH, NULL,
      "Only tell whether the schema is up to date (exit 1: it is not)" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec gc_options[] = {
    { "dry-run", 0, OPTION_SWITCH, NULL, "Only tell what a run would find, and change nothing" },
    { "json", 0, OPTION_SWITCH, NULL, "Print JSON" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec fsck_options[] = {
    { "full", 0, OPTION_SWITCH, NULL, "Read and hash every blob, too" },
    { "repair", 0, OPTION_SWITCH, NULL, "Note what is lost, so that a push heals it; move strays" },
    { "json", 0, OPTION_SWITCH, NULL, "Print JSON" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct verb_spec verbs[] = {
    { "serve", "", 0, 0, "Serve until SIGTERM", serve_options, SERVE },
    { "token create", "", 0, 0, "Make a token and print it, once", create_options, TOKEN_CREATE },
    { "token list", "", 0, 0, "List the tokens, without their secrets", json_options, TOKEN_LIST },
    { "token revoke", "ID", 1, 1, "End a token at once", NULL, TOKEN_REVOKE },
    { "migrate", "", 0, 0, "Bring the database's schema up to date", migrate_options, MIGRATE },
    { "gc", "", 0, 0, "Delete what is in the trash for long, and blobs that nothing refers to",
      gc_options, GC },
    { "fsck", "", 0, 0, "Hold the store against the database", fsck_options, FSCK },
    { "backup", "DIR", 1, 1, "Make DIR a copy of the data directory, or bring it up to date",
      json_options, BACKUP },
    { "restore", "DIR", 1, 1, "Make a new data directory of the backup DIR", json_options,
      RESTORE },
    { "rebuild", "", 0, 0, "Make a lost database again from the store", json_options, REBUILD },
    { "config", "", 0, 0, "Show the settings and where each comes from", json_options, CONFIG },
    { "routes", "", 0, 0, "Show the table of HTTP operations (a diagnostic)", json_options,
      ROUTES },
    { "completion", "SHELL", 1, 1, "Print the completions for bash, zsh or fish", NULL,
      COMPLETION },
    { "version", "", 0, 0, "Show the version", NULL, VERSION },
    { NULL, NULL, 0, 0, NULL, NULL, 0 },
};

static const struct program_spec program = {
    .name = "kkartifact-server",
    .summary = "The server of an immutable artifact repository",
    .verbs = verbs,
    .options = common_options,
    .version = KKARTIFACT_VERSION,
};

int verb_config(const struct options *options, struct settings *settings, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(TEXT_MAX);

    if (options_has(options, "json")) {
        settings_print_json(settings, &out);
        buf_add_byte(&out, '\n');
    } else {
        settings_print(settings, &out);
    }
    return output_write(&out, err);
}

int verb_migrate(const struct options *options, struct settings *settings, struct error *err)
{
    const bool check = options_has(options, "check");
    cleanup(buf_release) struct buf out = buf_init(TEXT_MAX);
    int r = app_migrate(settings, check, err);

    if (r < 0)
        return r;
    buf_add_text(&out, "the schema is up to date\n");
    return output_write(&out, err);
}

/* What needs no settings: 1 when the verb is none of these. */
static int run_bare(const struct options *options, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(TEXT_MAX);
    int r;

    switch ((enum verb)options_verb(options)->id) {
    case VERSION:
        buf_format(&out, "%s %s\n", program.name, program.version);
        return output_write(&out, err);
    case ROUTES:
        api_write_routes(&out);
        buf_add_byte(&out, '\n');
        return output_write(&out, err);
    case COMPLETION:
        r = options_completion(&program, options_operand(options, 0), &out, err);
        if (r < 0)
            return r == -EINVAL ? VERB_USAGE : r;
        return output_write(&out, err);
    case SERVE:
    case TOKEN_CREATE:
    case TOKEN_LIST:
    case TOKEN_REVOKE:
    case MIGRATE:
    case GC:
    case FSCK:
    case BACKUP:
    case RESTORE:
    case REBUILD:
    case CONFIG:
        break;
    }
    return 1;
}

static int run_verb(const struct options *options, struct settings *settings, struct error *err)
{
    static int (*const functions[])(const struct options *, struct settings *, struct error *) = {
        [SERVE] = verb_serve,
        [TOKEN_CREATE] = verb_token_create,
        [TOKEN_LIST] = verb_token_list,
        [TOKEN_REVOKE] = verb_token_revoke,
        [MIGRATE] = verb_migrate,
        [GC] = verb_gc,
        [FSCK] = verb_fsck,
        [BACKUP] = verb_backup,
        [RESTORE] = verb_restore,
        [REBUILD] = verb_rebuild,
        [CONFIG] = verb_config,
    };

    return functions[options_verb(options)->id](options, settings, err);
}

static int run(const struct options *options, struct error *err)
{
    struct settings *settings = NULL;
    int r = run_bare(options, err);

    if (r != 1)
        return r;
    r = server_settings_load(options, &settings, err);
    if (r < 0)
        return VERB_USAGE;
    server_settings_apply_log(settings);
    r = run_verb(options, settings, err);
    settings_free(settings);
    return r;
}

int main(int argc, char *argv[])
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);
    struct options *options = NULL;
    struct error err = { 0 };
    int r;

    if (platform_guard_standard() != 0)
        return EXIT_FAILED; /* with nobody to be told */
    r = options_parse(&program, argc, argv, &options, &text, &err);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", program.name, err.text);
        return EXIT_WRONG_USE;
    }
    r = options != NULL ? run(options, &err) : output_write(&text, &err);
    options_free(options);
    if (r == 0)
        return 0;
    if (err.text[0] != '\0')
        fprintf(stderr, "%s: %s\n", program.name, err.text);
    return r == VERB_USAGE ? EXIT_WRONG_USE : EXIT_FAILED;
}
