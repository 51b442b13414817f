/* SPDX-License-Identifier: MIT */
#include "agent/main/verbs.h"

#include <stddef.h>

#include "common/base/options.h"

enum {
    INIT,
    PUSH,
    PULL,
    LIST,
    SHOW,
    DIFF,
    GET,
    VERIFY,
    PROMOTE,
    ROLLBACK,
    DELETE,
    RESTORE,
    COPY,
    HOSTS,
    WAIT,
    CLEANUP,
    VERSION,
    COMPLETION,
};

#define NO_OPTION                          \
    {                                      \
        NULL, 0, OPTION_SWITCH, NULL, NULL \
    }

static const struct option_spec init_options[] = {
    { "project", 0, OPTION_TEXT, "P", "project to write into the file" },
    { "app", 0, OPTION_TEXT, "A", "app to write into the file" },
    NO_OPTION,
};

static const struct option_spec push_options[] = {
    { "project", 0, OPTION_TEXT, "P", "project" },
    { "app", 0, OPTION_TEXT, "A", "app of the project" },
    { "version", 0, OPTION_TEXT, "V", "name of the version; else 12 hex digits of its content" },
    { "ignore", 0, OPTION_LIST, "GLOB", "leave out what matches, as in .gitignore" },
    { "label", 0, OPTION_LIST, "K=V", "stick a label on the version" },
    { "links", 0, OPTION_TEXT, "WHAT", "symbolic links: keep, refuse or skip" },
    { "git-commit", 0, OPTION_TEXT, "HASH", "commit the tree was built from" },
    { "build-time", 0, OPTION_TEXT, "TIME", "when it was built: YYYY-MM-DDThh:mm:ssZ" },
    { "builder", 0, OPTION_TEXT, "TEXT", "who or what built it" },
    { "full-check", 0, OPTION_SWITCH, NULL, "read every file, whatever its times say" },
    { "dry-run", 'n', OPTION_SWITCH, NULL, "send nothing; tell what the version would change" },
    NO_OPTION,
};

static const struct option_spec pull_options[] = {
    { "project", 0, OPTION_TEXT, "P", "project" },
    { "app", 0, OPTION_TEXT, "A", "app of the project" },
    { "version", 0, OPTION_TEXT, "V", "name of the version, latest or @CHANNEL; else latest" },
    { "ignore", 0, OPTION_LIST, "GLOB", "never replace nor remove what matches" },
    { "exchange", 0, OPTION_SWITCH, NULL, "change the whole directory at one instant" },
    { "delete-extra", 0, OPTION_SWITCH, NULL, "remove what no pull has put there, too" },
    { "full-check", 0, OPTION_SWITCH, NULL, "read every file, whatever its times say" },
    { "dry-run", 'n', OPTION_SWITCH, NULL, "change nothing; tell what would be done" },
    { "follow", 0, OPTION_SWITCH, NULL, "go on: pull what is promoted on the channel" },
    { "pre", 0, OPTION_TEXT, "CMD", "run by the shell before the first change" },
    { "post", 0, OPTION_TEXT, "CMD", "run by the shell after a pull that changed something" },
    NO_OPTION,
};

static const struct option_spec verify_options[] = {
    { "ignore", 0, OPTION_LIST, "GLOB", "do not look at what matches" },
    NO_OPTION,
};

static const struct option_spec trash_options[] = {
    { "trashed", 0, OPTION_SWITCH, NULL, "what is in the trash" },
    NO_OPTION,
};

static const struct option_spec promote_options[] = {
    { "channel", 0, OPTION_TEXT, "C", "channel; else live" },
    { "expect", 0, OPTION_TEXT, "V", "only when this one stands there now; \"\": none" },
    { "note", 0, OPTION_TEXT, "TEXT", "why; it stays in the history" },
    NO_OPTION,
};

static const struct option_spec rollback_options[] = {
    { "channel", 0, OPTION_TEXT, "C", "channel; else live" },
    { "to", 0, OPTION_TEXT, "V", "back to this one; else the one before" },
    { "note", 0, OPTION_TEXT, "TEXT", "why; it stays in the history" },
    NO_OPTION,
};

static const struct option_spec delete_options[] = {
    { "recursive", 0, OPTION_SWITCH, NULL, "a whole app, or a project with all its apps" },
    { "force", 0, OPTION_SWITCH, NULL, "also what is promoted, pinned or in use" },
    NO_OPTION,
};

static const struct option_spec wait_options[] = {
    { "hosts", 0, OPTION_TEXT, "N", "how many hosts are to have the version; else 1" },
    NO_OPTION,
};

static const struct option_spec cleanup_options[] = {
    { "dry-run", 'n', OPTION_SWITCH, NULL, "change nothing; tell which would go" },
    { "force", 0, OPTION_SWITCH, NULL, "also when more would go than is safe" },
    NO_OPTION,
};

static const struct option_spec every_options[] = {
    { "config", 0, OPTION_TEXT, "FILE", "settings, instead of .kkartifact.yml in the directory" },
    { "server", 0, OPTION_LIST, "URL",
      "address of the server; the next one is tried when one is away" },
    { "token-file", 0, OPTION_TEXT, "FILE", "file whose first line is the token" },
    { "json", 0, OPTION_SWITCH, NULL, "print the result as one JSON object" },
    { "quiet", 'q', OPTION_SWITCH, NULL, "no warnings and no progress" },
    { "verbose", 'v', OPTION_SWITCH, NULL, "tell more" },
    { "progress", 0, OPTION_TEXT, "HOW", "auto (on a terminal), plain or none" },
    { "concurrency", 0, OPTION_TEXT, "N", "requests in flight" },
    { "timeout", 0, OPTION_TEXT, "T", "how long the server may be silent: 30s, 2m" },
    { "insecure", 0, OPTION_SWITCH, NULL, "let the token go over plain HTTP to any host" },
    NO_OPTION,
};

static const struct verb_spec verbs[] = {
    { "init", "[DIR]", 0, 1, "Write a commented .kkartifact.yml", init_options, INIT },
    { "push", "[DIR]", 0, 1, "Make a directory a version", push_options, PUSH },
    { "pull", "[DEST]", 0, 1, "Make a directory equal to a version", pull_options, PULL },
    { "get", "P/A/V[/PATH] [DEST]", 1, 2, "Fetch a part of a version, once", NULL, GET },
    { "list", "[P[/A]]", 0, 1, "List projects, apps or versions", trash_options, LIST },
    { "show", "P/A/V", 1, 1, "Show the record of a version", trash_options, SHOW },
    { "diff", "P/A V1 V2", 3, 3, "Tell what differs between two versions", NULL, DIFF },
    { "verify", "[DIR]", 0, 1, "Compare a pulled directory with what was pulled", verify_options,
      VERIFY },
    { "promote", "P/A/V", 1, 1, "Make a version the current one on a channel", promote_options,
      PROMOTE },
    { "rollback", "P/A", 1, 1, "Put back what stood on a channel before", rollback_options,
      ROLLBACK },
    { "delete", "P[/A[/V]]", 1, 1, "Throw a version, an app or a project into the trash",
      delete_options, DELETE },
    { "restore", "P/A/V", 1, 1, "Take a version out of the trash", NULL, RESTORE },
    { "copy", "P/A/V P2/A2[/V2]", 2, 2, "Make the same tree a version elsewhere", NULL, COPY },
    { "hosts", "[P[/A[/V]]]", 0, 1, "List which version is in use on which host", NULL, HOSTS },
    { "wait", "P/A/V", 1, 1, "Wait until a version is in use on so many hosts", wait_options,
      WAIT },
    { "cleanup", "P/A", 1, 1, "Take versions that are too many to the trash", cleanup_options,
      CLEANUP },
    { "version", "", 0, 0, "Print the version of this program", NULL, VERSION },
    { "completion", "bash|zsh|fish", 1, 1, "Print the completion script of a shell", NULL,
      COMPLETION },
    { NULL, NULL, 0, 0, NULL, NULL, 0 },
};

const struct program_spec verbs_program = {
    .name = "kkartifact-agent",
    .summary = "Pushes directories to a kkArtifact server and pulls them again",
    .verbs = verbs,
    .options = every_options,
    .version = KKARTIFACT_VERSION,
};

command_function *verbs_function(int id)
{
    static command_function *const functions[] = {
        [INIT] = command_init,       [PUSH] = command_push,
        [PULL] = command_pull,       [LIST] = command_list,
        [SHOW] = command_show,       [DIFF] = command_diff,
        [GET] = command_get,         [VERIFY] = command_verify,
        [PROMOTE] = command_promote, [ROLLBACK] = command_rollback,
        [DELETE] = command_delete,   [RESTORE] = command_restore,
        [COPY] = command_copy,       [HOSTS] = command_hosts,
        [WAIT] = command_wait,       [CLEANUP] = command_cleanup,
        [VERSION] = command_version, [COMPLETION] = command_completion,
    };

    return functions[id];
}
