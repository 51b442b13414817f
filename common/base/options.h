/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct buf;

/*
 * options - a program's verbs and flags, as tables.
 *
 * One line per verb and per flag; parsing, --help, the shell completions and the
 * checks of the man pages all come from the same tables.
 *
 * Flags are `--name VALUE`, `--name=VALUE`, `--name` (a switch), `-x` short forms,
 * `--` ends them; they may stand before and behind the verb and between operands.
 * Short switches may be bundled, a short flag's value may follow it directly.
 * An unknown flag, a missing value, a flag given twice that may be given once, too
 * few or too many operands: -EINVAL with the word that is wrong (exit 2), and with the one that
 * was meant where a verb or a flag is only mistyped.
 */
enum option_kind {
    OPTION_SWITCH, /* no value */
    OPTION_TEXT,   /* once */
    OPTION_LIST,   /* may be repeated */
};

struct option_spec {
    const char *name; /* without the dashes */
    char short_name;  /* or 0 */
    enum option_kind kind;
    const char *value_name; /* "FILE"; NULL for a switch */
    const char *help;       /* one line, no period */
};

struct verb_spec {
    const char *name;     /* may be two words: "token create" */
    const char *operands; /* as in the synopsis: "[DIR]", "P/A/V [DEST]", "" */
    size_t operands_min, operands_max;
    const char *help;
    const struct option_spec *options; /* of this verb, ends with name NULL; may be NULL */
    int id;                            /* the program's enum */
};

struct program_spec {
    const char *name;                  /* "kkartifact-agent" */
    const char *summary;               /* one line */
    const struct verb_spec *verbs;     /* ends with name NULL; NULL: a program without verbs */
    const struct option_spec *options; /* of every verb, ends with name NULL */
    const char *version;
    /* Of a program without verbs only: as in struct verb_spec. */
    const char *operands;
    size_t operands_min, operands_max;
};

struct options; /* the parsed command line; its texts point into argv */

/* `--help`, `-h` and `--version` are known to every program and verb, and `help [VERB]` to every
 * program with verbs that has none of that name: *out_text is then set to what is to be printed
 * (exit 0) and *out_options is NULL. A verb may have a `--version VALUE` of its own; before the
 * verb `--version` always asks for the program's. -ENOMEM; -EINVAL as above. */
int options_parse(const struct program_spec *program, int argc, char *const argv[],
                  struct options **out_options, struct buf *out_text, struct error *err);
struct options *options_free(struct options *options);

const struct verb_spec *options_verb(const struct options *options);
bool options_has(const struct options *options, const char *name);
const char *options_get(const struct options *options, const char *name); /* NULL when not given */
/* The index-th value of a list, NULL behind the last. */
const char *options_list(const struct options *options, const char *name, size_t index);
size_t options_operand_count(const struct options *options);
const char *options_operand(const struct options *options, size_t index); /* NULL behind the last */

/* Texts made from the tables. verb NULL: the whole program. shell: "bash", "zsh", "fish"
 * (-EINVAL). */
void options_help(const struct program_spec *program, const struct verb_spec *verb,
                  struct buf *out);
int options_completion(const struct program_spec *program, const char *shell, struct buf *out,
                       struct error *err);
