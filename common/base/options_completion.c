/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"

/* Stands for "no verb yet" where the shells switch over the verb. */
static const struct verb_spec no_verb = { .name = "", .help = "" };

/* A shell function's name: the program's, with what a name cannot hold made '_'. */
static void put_function(struct buf *out, const char *program)
{
    buf_add_byte(out, '_');
    for (; *program != '\0'; program++)
        buf_add_byte(out, *program == '-' || *program == '.' ? '_' : (uint8_t)*program);
}

/* In single quotes; `colon` is written before each ':' where the shell's lists are cut there. */
static void put_quoted(struct buf *out, const char *text, const char *colon)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else if (*text == ':')
            buf_format(out, "%s:", colon);
        else
            buf_add_byte(out, (uint8_t)*text);
    }
}

static bool takes_file(const struct option_spec *option)
{
    const char *name = option->value_name;

    return name != NULL && (strcmp(name, "FILE") == 0 || strcmp(name, "DIR") == 0 ||
                            strcmp(name, "PATH") == 0 || strcmp(name, "KEYFILE") == 0);
}

static bool takes_any(const struct option_spec *option)
{
    return option->kind != OPTION_SWITCH;
}

static bool takes_other(const struct option_spec *option)
{
    return takes_any(option) && !takes_file(option);
}

static void put_patterns_of(struct buf *out, const struct option_spec *options,
                            bool (*wanted)(const struct option_spec *option), bool *first)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (!wanted(options))
            continue;
        buf_format(out, "%s--%s", *first ? "" : "|", options->name);
        if (options->short_name != 0)
            buf_format(out, "|-%c", options->short_name);
        *first = false;
    }
}

/* `--config|--server|-o`: a pattern of all flags of that kind; false when there is none. A flag of
 * two verbs stands in it twice, which does no harm. */
static bool put_patterns(struct buf *out, const struct program_spec *program,
                         bool (*wanted)(const struct option_spec *option))
{
    bool first = true;

    put_patterns_of(out, program->options, wanted, &first);
    for (const struct verb_spec *v = program->verbs; v != NULL && v->name != NULL; v++)
        put_patterns_of(out, v->options, wanted, &first);
    return !first;
}

/* Verbs, and the first words of those of two: what the command line's words are matched with. */
static void put_verb_patterns(struct buf *out, const struct program_spec *program)
{
    for (const struct verb_spec *v = program->verbs; v->name != NULL; v++) {
        const char *space = strchr(v->name, ' ');
        buf_format(out, "%s'%s'", v == program->verbs ? "" : "|", v->name);
        if (space != NULL)
            buf_format(out, "|'%.*s'", (int)(space - v->name), v->name);
    }
}

/* The loop of bash and zsh that finds the verb; they differ in where the words are. */
static void put_find_verb(struct buf *out, const struct program_spec *program, const char *start,
                          const char *word)
{
    if (program->verbs == NULL)
        return;
    buf_format(out, "    for ((%s; i++)); do\n        case \"%s\" in\n        ", start, word);
    if (put_patterns(out, program, takes_any))
        buf_add_text(out, ") ((i++)); continue ;;\n        ");
    buf_add_text(out, "-*) continue ;;\n        esac\n");
    buf_format(out, "        case \"${verb:+$verb }%s\" in\n        ", word);
    put_verb_patterns(out, program);
    buf_format(out,
               ") verb=\"${verb:+$verb }%s\" ;;\n        *) break ;;\n        esac\n    done\n",
               word);
}

/* What can follow `verb` words: the next words of the verbs. */
static bool next_word(const struct verb_spec *verb, const char *said, const char **out_word,
                      size_t *out_size)
{
    size_t size = strlen(said);
    const char *rest = verb->name;

    if (size > 0) {
        if (strncmp(verb->name, said, size) != 0 || verb->name[size] != ' ')
            return false;
        rest += size + 1;
    }
    *out_word = rest;
    *out_size = strcspn(rest, " ");
    return true;
}

/* The first word of a verb of two, when it is the first verb of that kind; else size 0. */
static size_t group_word(const struct program_spec *program, const struct verb_spec *verb)
{
    const char *space = strchr(verb->name, ' ');
    size_t size = space != NULL ? (size_t)(space - verb->name) + 1 : 0;

    for (const struct verb_spec *v = program->verbs; size > 0 && v != verb; v++) {
        if (strncmp(v->name, verb->name, size) == 0)
            return 0;
    }
    return size > 0 ? size - 1 : 0;
}

typedef void put_word(struct buf *out, const char *word, size_t size, const char *help);

static void put_flags(struct buf *out, const struct option_spec *options, put_word *put)
{
    for (; options != NULL && options->name != NULL; options++) {
        char flag[64] = "--";
        size_t size = strlen(options->name);
        if (size + 2 > sizeof(flag))
            continue;
        memcpy(flag + 2, options->name, size);
        put(out, flag, size + 2, options->help);
    }
}

static void put_next_words(struct buf *out, const struct program_spec *program, const char *said,
                           put_word *put)
{
    for (const struct verb_spec *v = program->verbs; v->name != NULL; v++) {
        const char *word;
        size_t size;
        bool grouped = said[0] == '\0' && strchr(v->name, ' ') != NULL;
        if ((grouped && group_word(program, v) == 0) || !next_word(v, said, &word, &size))
            continue;
        put(out, word, size, v->help);
    }
}

/* The cases of bash and zsh: what can be said at each verb. */
static void put_case(struct buf *out, const struct program_spec *program,
                     const struct verb_spec *verb, size_t name_size, put_word *put)
{
    buf_format(out, "    '%.*s') candidates=(", (int)name_size, verb->name);
    if (verb->options != NULL || verb == &no_verb)
        put_flags(out, verb->options, put);
    if (verb == &no_verb && program->verbs != NULL)
        put_next_words(out, program, "", put);
    if (verb != &no_verb && name_size < strlen(verb->name)) {
        cleanup(buf_release) struct buf said = buf_init(256);
        buf_add(&said, verb->name, name_size);
        put_next_words(out, program, buf_text(&said), put);
    }
    put_flags(out, program->options, put);
    put(out, "--help", 6, "print this help");
    buf_add_text(out, ") ;;\n");
}

static void put_cases(struct buf *out, const struct program_spec *program, put_word *put)
{
    buf_add_text(out, "    case \"$verb\" in\n");
    put_case(out, program, &no_verb, 0, put);
    for (const struct verb_spec *v = program->verbs; v != NULL && v->name != NULL; v++) {
        size_t group = group_word(program, v);
        if (group > 0)
            put_case(out, program, v, group, put);
        put_case(out, program, v, strlen(v->name), put);
    }
    buf_add_text(out, "    esac\n");
}

static void put_bash_word(struct buf *out, const char *word, size_t size, const char *help)
{
    buf_format(out, "%.*s ", (int)size, word);
}

static void put_bash(const struct program_spec *program, struct buf *out)
{
    buf_format(out, "# bash completion of %s\n", program->name);
    put_function(out, program->name);
    buf_add_text(out, "()\n{\n    local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
                      "    local previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
                      "    local verb='' i\n    local -a candidates\n\n    COMPREPLY=()\n");
    put_find_verb(out, program, "i = 1; i < COMP_CWORD", "${COMP_WORDS[i]}");
    buf_add_text(out, "    case \"$previous\" in\n    ");
    if (put_patterns(out, program, takes_file))
        buf_add_text(out, ") compopt -o default; return ;;\n    ");
    if (put_patterns(out, program, takes_other))
        buf_add_text(out, ") return ;;\n    ");
    buf_add_text(out, "esac\n");
    put_cases(out, program, put_bash_word);
    buf_add_text(
        out, "    if [[ \"$current\" != -* && -n \"$verb\" && \"${candidates[0]}\" == -* ]]; then\n"
             "        compopt -o default\n        return\n    fi\n"
             "    mapfile -t COMPREPLY < <(compgen -W \"${candidates[*]}\" -- \"$current\")\n}\n");
    buf_add_text(out, "complete -F ");
    put_function(out, program->name);
    buf_format(out, " %s\n", program->name);
}

static void put_zsh_word(struct buf *out, const char *word, size_t size, const char *help)
{
    buf_format(out, "\n        '%.*s:", (int)size, word);
    put_quoted(out, help, "\\");
    buf_add_byte(out, '\'');
}

static void put_zsh(const struct program_spec *program, struct buf *out)
{
    buf_format(out, "#compdef %s\n", program->name);
    put_function(out, program->name);
    buf_add_text(out, "()\n{\n    local verb='' i\n    local -a candidates\n\n");
    put_find_verb(out, program, "i = 2; i < CURRENT", "${words[i]}");
    buf_add_text(out, "    case \"${words[CURRENT-1]}\" in\n    ");
    if (put_patterns(out, program, takes_file))
        buf_add_text(out, ") _files; return ;;\n    ");
    if (put_patterns(out, program, takes_other))
        buf_add_text(out, ") return ;;\n    ");
    buf_add_text(out, "esac\n");
    put_cases(out, program, put_zsh_word);
    buf_add_text(out,
                 "    _describe 'command or option' candidates\n"
                 "    [[ \"${words[CURRENT]}\" != -* && -n \"$verb\" ]] && _files\n}\ncompdef ");
    put_function(out, program->name);
    buf_format(out, " %s\n", program->name);
}

/* fish: one line per word, with a condition on the verb. */
static void put_fish_line(struct buf *out, const struct program_spec *program, const char *verb,
                          size_t verb_size)
{
    buf_format(out, "complete -c %s", program->name);
    if (program->verbs != NULL && verb != NULL) {
        buf_add_text(out, " -n '_");
        put_function(out, program->name);
        buf_format(out, "_at \"%.*s\"'", (int)verb_size, verb);
    }
}

static void put_fish_options(struct buf *out, const struct program_spec *program,
                             const struct option_spec *options, const char *verb)
{
    for (; options != NULL && options->name != NULL; options++) {
        put_fish_line(out, program, verb, verb != NULL ? strlen(verb) : 0);
        buf_format(out, " -l %s", options->name);
        if (options->short_name != 0)
            buf_format(out, " -s %c", options->short_name);
        if (takes_any(options))
            buf_add_text(out, takes_file(options) ? " -r -F" : " -x");
        buf_add_text(out, " -d '");
        put_quoted(out, options->help, "");
        buf_add_text(out, "'\n");
    }
}

static void put_fish_word(struct buf *out, const struct program_spec *program, const char *said,
                          size_t said_size, const char *word, size_t size, const char *help)
{
    put_fish_line(out, program, said, said_size);
    buf_format(out, " -f -a '%.*s' -d '", (int)size, word);
    put_quoted(out, help, "");
    buf_add_text(out, "'\n");
}

static void put_fish_verbs(struct buf *out, const struct program_spec *program)
{
    buf_add_text(out, "function _");
    put_function(out, program->name);
    buf_add_text(out, "_at\n    set -l verb ''\n    set -l skip 0\n"
                      "    for word in (commandline -opc)[2..-1]\n        if test $skip = 1\n"
                      "            set skip 0\n            continue\n        end\n"
                      "        switch $word\n            case ");
    for (const struct verb_spec *v = program->verbs; v != NULL && v->name != NULL; v++) {
        for (const struct option_spec *o = v->options; o != NULL && o->name != NULL; o++) {
            if (takes_any(o))
                buf_format(out, "--%s ", o->name);
        }
    }
    for (const struct option_spec *o = program->options; o != NULL && o->name != NULL; o++) {
        if (takes_any(o))
            buf_format(out, "--%s ", o->name);
    }
    buf_add_text(
        out, "''\n                set skip 1\n            case '-*'\n            case '*'\n"
             "                set verb (string trim -- \"$verb $word\")\n        end\n    end\n"
             "    test \"$verb\" = \"$argv[1]\"; or string match -q -- \"$argv[1] *\" \"$verb\"\n"
             "    and test -n \"$argv[1]\"; or test -z \"$verb$argv[1]\"\nend\n");
    for (const struct verb_spec *v = program->verbs; v != NULL && v->name != NULL; v++) {
        const char *space = strchr(v->name, ' ');
        size_t first = space != NULL ? (size_t)(space - v->name) : strlen(v->name);
        if (space == NULL || group_word(program, v) > 0)
            put_fish_word(out, program, "", 0, v->name, first, v->help);
        if (space != NULL)
            put_fish_word(out, program, v->name, first, space + 1, strlen(space + 1), v->help);
        put_fish_options(out, program, v->options, v->name);
    }
}

static void put_fish(const struct program_spec *program, struct buf *out)
{
    buf_format(out, "# fish completion of %s\n", program->name);
    if (program->verbs != NULL)
        put_fish_verbs(out, program);
    put_fish_options(out, program, program->options, NULL);
}

int options_completion(const struct program_spec *program, const char *shell, struct buf *out,
                       struct error *err)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(program, out);
    else if (strcmp(shell, "zsh") == 0)
        put_zsh(program, out);
    else if (strcmp(shell, "fish") == 0)
        put_fish(program, out);
    else
        return error_set(err, -EINVAL, "no completion for \"%s\": bash, zsh or fish", shell);
    return buf_check(out, err);
}
