/* SPDX-License-Identifier: MIT */
/* kkartifact-fs - shows versions as directories; also mount.kkartifact, by the name it is called
 * with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/base/platform.h"
#include "fs/holder/holder.h"
#include "fs/holder/worker_process.h"
#include "fs/look/looker.h"
#include "fs/main/exit_code.h"
#include "fs/main/held_mount.h"
#include "fs/main/look_word.h"
#include "fs/main/verbs.h"
#include "fs/main/worker.h"

#define HELPER "mount.kkartifact"

enum verb {
    VERB_MOUNT,
    VERB_ATTACH,
    VERB_DETACH,
    VERB_UMOUNT,
    VERB_STATUS,
    VERB_PIN,
    VERB_UNPIN,
    VERB_PREFETCH,
    VERB_VERIFY,
    VERB_STAT,
    VERB_UPGRADE,
    VERB_DOCTOR,
    VERB_VERSION,
    VERB_COMPLETION
};

static const struct option_spec mount_flags[] = {
    { "options", 'o', OPTION_LIST, "OPTION,...", "options of the mount; \"-o help\" lists them" },
    { "foreground", 'f', OPTION_SWITCH, NULL, "stay in the foreground, log to stderr" },
    { 0 },
};

static const struct option_spec attach_flags[] = {
    { "options", 'o', OPTION_LIST, "OPTION,...", "options as of mount; \"-o help\" lists them" },
    { "prefetch", 0, OPTION_SWITCH, NULL, "show a version only when all of it is in the cache" },
    { "exec", 0, OPTION_TEXT, "CMD", "run by /bin/sh after each switch to another version" },
    { "foreground", 'f', OPTION_SWITCH, NULL, "stay in the foreground, log to stderr" },
    { 0 },
};

static const struct option_spec umount_flags[] = {
    { "lazy", 'z', OPTION_SWITCH, NULL, "take it away now, let open files end by themselves" },
    { 0 },
};

static const struct option_spec json_flags[] = {
    { "json", 0, OPTION_SWITCH, NULL, "print JSON" },
    { 0 },
};

static const struct option_spec verify_flags[] = {
    { "cache", 0, OPTION_TEXT, "DIR", "a cache without a mount" },
    { "json", 0, OPTION_SWITCH, NULL, "print JSON" },
    { 0 },
};

static const struct verb_spec verbs[] = {
    { "mount", "SERVER MOUNTPOINT", 0, 2, "show what is on a server; returns when it answers",
      mount_flags, VERB_MOUNT },
    { "attach", "SERVER P/A[@CHANNEL|/V] TARGET", 0, 3,
      "show one version at a place, and follow promotions", attach_flags, VERB_ATTACH },
    { "detach", "TARGET", 1, 1, "take away what is attached", NULL, VERB_DETACH },
    { "umount", "MOUNTPOINT", 1, 1, "unmount", umount_flags, VERB_UMOUNT },
    { "status", "[MOUNTPOINT]", 0, 1, "what a mount does, or every mount of this user", json_flags,
      VERB_STATUS },
    { "pin", "MOUNTPOINT P/A/V", 2, 2, "have a version stay in the cache, whole", json_flags,
      VERB_PIN },
    { "unpin", "MOUNTPOINT P/A/V", 2, 2, "let it be evicted again", NULL, VERB_UNPIN },
    { "prefetch", "MOUNTPOINT P/A/V", 2, 2, "have a version come into the cache, and wait",
      json_flags, VERB_PREFETCH },
    { "verify", "[MOUNTPOINT] [P/A/V]", 0, 2, "hash what is in the cache again", verify_flags,
      VERB_VERIFY },
    { "stat", "PATH", 1, 1, "digests, state and version of what is at a path", json_flags,
      VERB_STAT },
    { "upgrade", "MOUNTPOINT", 1, 1, "go on with the program that is on disk now", NULL,
      VERB_UPGRADE },
    { "doctor", "[MOUNTPOINT]", 0, 1, "what is wrong with machine, caches and mounts", json_flags,
      VERB_DOCTOR },
    { "version", "", 0, 0, "print the version", NULL, VERB_VERSION },
    { "completion", "bash|zsh|fish", 1, 1, "print a shell's completion script", NULL,
      VERB_COMPLETION },
    { 0 },
};

static const struct program_spec program = {
    .name = "kkartifact-fs",
    .summary = "mounts versions of kkartifact, read-only and verified",
    .verbs = verbs,
    .version = KKARTIFACT_VERSION,
};

static int print(struct buf *text, struct error *err)
{
    if (buf_check(text, err) < 0)
        return EXIT_OTHER;
    fputs(buf_text(text), stdout);
    return EXIT_DONE;
}

static int complete(const struct options *options, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    int r = options_completion(&program, options_operand(options, 0), &text, err);

    return r < 0 ? exit_code_of(EXIT_OF_WORDS, r) : print(&text, err);
}

static int run(const struct options *options, struct error *err)
{
    switch ((enum verb)options_verb(options)->id) {
    case VERB_MOUNT:
        return verb_mount(options, err);
    case VERB_ATTACH:
        return verb_attach(options, err);
    case VERB_DETACH:
        return verb_detach(options, err);
    case VERB_UMOUNT:
        return verb_umount(options, err);
    case VERB_STATUS:
        return verb_status(options, err);
    case VERB_PIN:
        return verb_pin(options, err);
    case VERB_UNPIN:
        return verb_unpin(options, err);
    case VERB_PREFETCH:
        return verb_prefetch(options, err);
    case VERB_VERIFY:
        return verb_verify(options, err);
    case VERB_STAT:
        return verb_stat(options, err);
    case VERB_UPGRADE:
        return verb_upgrade(options, err);
    case VERB_DOCTOR:
        return verb_doctor(options, err);
    case VERB_VERSION:
        printf("kkartifact-fs %s\n", KKARTIFACT_VERSION);
        return EXIT_DONE;
    case VERB_COMPLETION:
        return complete(options, err);
    }
    return EXIT_USAGE;
}

static int run_words(int argc, char *const argv[], struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct options *options = NULL;
    int code, r = options_parse(&program, argc, argv, &options, &text, err);

    if (r < 0)
        return exit_code_of(EXIT_OF_WORDS, r);
    if (options == NULL)
        return print(&text, err);
    code = run(options, err);
    options_free(options);
    return code;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The processes of a mount, which nobody starts by hand: a worker, a holder that has become this
 * program, or asks whether it could, and who looks for what is in use. -1: it is none of them. */
static int run_inner(int argc, char *const argv[], struct error *err)
{
    uint64_t number = 0;

    if (argc >= 3 && strcmp(argv[1], LOOK_WORD) == 0)
        return look_word(argc - 2, argv + 2);
    if (argc < 3 || number_parse(span_text(argv[2]), INT32_MAX, &number, NULL) < 0)
        return -1;
    if (strcmp(argv[1], WORKER_WORD) == 0)
        return worker_main((int)number);
    if (strcmp(argv[1], HOLDER_WORD) == 0)
        return held_mount_resume((int)number, err);
    if (strcmp(argv[1], HOLDER_CHECK_WORD) == 0)
        return exit_code_of(EXIT_OF_LOCAL, holder_check((int)number, err));
    return -1;
}

/* What was printed has to arrive. */
static int end_output(struct error *err)
{
    int r = fflush(stdout) == 0 && !ferror(stdout) ? 0 : -EIO;

    if (r < 0)
        error_set(err, r, "standard output cannot be written");
    return exit_code_of(EXIT_OF_LOCAL, r);
}

int main(int argc, char *argv[])
{
    bool is_helper = argc > 0 && strcmp(base_name(argv[0]), HELPER) == 0;
    struct error err = { 0 };
    int code, failure = platform_guard_standard();

    if (failure != 0)
        return EXIT_OTHER; /* with nobody to be told */
    log_setup(LOG_INFO, LOG_TEXT);
    code = is_helper ? mount_helper(argc, argv, &err) : run_inner(argc, argv, &err);
    if (code < 0)
        code = run_words(argc, argv, &err);
    if (code == EXIT_DONE)
        code = end_output(&err);
    if (code != EXIT_DONE && err.text[0] != '\0')
        fprintf(stderr, "%s: %s\n", is_helper ? HELPER : "kkartifact-fs", err.text);
    return code;
}
