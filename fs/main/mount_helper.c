/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "fs/main/exit_code.h"
#include "fs/main/mount_options.h"
#include "fs/main/verbs.h"

#define USAGE "usage: mount.kkartifact SERVER MOUNTPOINT [-sfnv] [-o OPTION,...]"

struct helper_words {
    const char *operands[2];
    size_t operand_count;
    bool is_fake; /* -f: all but the mount itself */
};

/* -s sloppy, -n no mtab, -v verbose: nothing of ours. -t and -N have a value. */
static int take_word(struct helper_words *words, struct mount_options *options, int argc,
                     char *const argv[], int *at, struct error *err)
{
    const char *word = argv[*at];

    if (word[0] != '-' || word[1] == '\0') {
        if (words->operand_count == 2)
            return error_set(err, -EINVAL, "one word too many: %s", word);
        words->operands[words->operand_count++] = word;
        return 0;
    }
    if (strspn(word + 1, "snvfrw") == strlen(word + 1)) {
        words->is_fake = words->is_fake || strchr(word, 'f') != NULL;
        return 0;
    }
    if (strcmp(word, "-o") != 0 && strcmp(word, "-t") != 0 && strcmp(word, "-N") != 0)
        return error_set(err, -EINVAL, "unknown flag %s", word);
    if (*at + 1 == argc)
        return error_set(err, -EINVAL, "%s needs a value", word);
    (*at)++;
    return word[1] == 'o' ? mount_options_parse(options, argv[*at], err) : 0;
}

static int help_mount(struct mount_options *options, int argc, char *const argv[],
                      struct error *err)
{
    struct helper_words words = { .operand_count = 0 };
    int r = mount_options_init(options, err);

    for (int at = 1; r == 0 && at < argc; at++)
        r = take_word(&words, options, argc, argv, &at, err);
    if (r == 0 && words.operand_count != 2)
        r = error_set(err, -EINVAL, USAGE);
    if (r == 0)
        r = mount_options_add_server(options, words.operands[0], err);
    if (r < 0)
        return exit_code_of(EXIT_OF_WORDS, r);
    r = mount_options_set_mountpoint(options, words.operands[1], err);
    if (r < 0)
        return exit_code_of(EXIT_OF_LOCAL, r);
    return words.is_fake ? EXIT_DONE : mount_and_serve(options, false, err);
}

static int show_help(void)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);

    buf_add_text(&text, USAGE "\n\n");
    mount_options_help(&text);
    fputs(buf_text(&text), stdout);
    return EXIT_DONE;
}

int mount_helper(int argc, char *const argv[], struct error *err)
{
    struct mount_options options = { 0 };
    const char *first = argc > 1 ? argv[1] : "";
    int code;

    if (strcmp(first, "-h") == 0 || strcmp(first, "--help") == 0)
        return show_help();
    if (strcmp(first, "-V") == 0 || strcmp(first, "--version") == 0) {
        puts("mount.kkartifact " KKARTIFACT_VERSION);
        return EXIT_DONE;
    }
    code = help_mount(&options, argc, argv, err);
    mount_options_release(&options);
    return code;
}
