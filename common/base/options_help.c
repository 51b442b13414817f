/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/options.h"

#define COLUMN_MAX 34

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* "  -o, --options VALUE": returns its width, writes it when out is not NULL. */
static size_t put_flag(const struct option_spec *option, struct buf *out)
{
    size_t width = 8 + strlen(option->name);

    if (out != NULL && option->short_name != 0)
        buf_format(out, "  -%c, --%s", option->short_name, option->name);
    else if (out != NULL)
        buf_format(out, "      --%s", option->name);
    if (option->value_name != NULL) {
        width += 1 + strlen(option->value_name);
        if (out != NULL)
            buf_format(out, " %s", option->value_name);
    }
    return width;
}

static size_t put_verb(const struct verb_spec *verb, struct buf *out)
{
    size_t width = 2 + strlen(verb->name);

    if (out != NULL)
        buf_format(out, "  %s", verb->name);
    if (!is_empty(verb->operands)) {
        width += 1 + strlen(verb->operands);
        if (out != NULL)
            buf_format(out, " %s", verb->operands);
    }
    return width;
}

/* Help stands in one column, on a line of its own behind what is too wide. */
static void put_help(struct buf *out, size_t width, size_t column, const char *help)
{
    if (width + 2 > column)
        buf_format(out, "\n%*s%s", (int)column, "", help);
    else
        buf_format(out, "%*s%s", (int)(column - width), "", help);
}

static size_t wider(size_t column, size_t width)
{
    return width + 2 > column && width + 2 <= COLUMN_MAX ? width + 2 : column;
}

static void put_options(struct buf *out, const char *title, const struct option_spec *options)
{
    size_t column = 16;

    if (options == NULL || options->name == NULL)
        return;
    for (const struct option_spec *o = options; o->name != NULL; o++)
        column = wider(column, put_flag(o, NULL));
    buf_format(out, "\n%s:\n", title);
    for (const struct option_spec *o = options; o->name != NULL; o++) {
        size_t width = put_flag(o, out);
        put_help(out, width, column, o->help);
        buf_add_text(out, o->kind == OPTION_LIST ? " (may be repeated)\n" : "\n");
    }
}

static void put_verbs(struct buf *out, const struct verb_spec *verbs)
{
    size_t column = 16;

    for (const struct verb_spec *v = verbs; v->name != NULL; v++)
        column = wider(column, put_verb(v, NULL));
    buf_add_text(out, "\nCommands:\n");
    for (const struct verb_spec *v = verbs; v->name != NULL; v++) {
        size_t width = put_verb(v, out);
        put_help(out, width, column, v->help);
        buf_add_byte(out, '\n');
    }
}

static void put_usage(struct buf *out, const char *program, const char *verb, const char *operands)
{
    buf_format(out, "Usage: %s", program);
    if (!is_empty(verb))
        buf_format(out, " %s", verb);
    if (!is_empty(operands))
        buf_format(out, " %s", operands);
    buf_add_text(out, " [OPTION]...\n\n");
}

void options_help(const struct program_spec *program, const struct verb_spec *verb, struct buf *out)
{
    if (verb != NULL) {
        put_usage(out, program->name, verb->name, verb->operands);
        buf_format(out, "%s.\n", verb->help);
        put_options(out, "Options", verb->options);
        put_options(out, "Options of every command", program->options);
        return;
    }
    if (program->verbs != NULL) {
        put_usage(out, program->name, "COMMAND", NULL);
        buf_format(out, "%s.\n", program->summary);
        put_verbs(out, program->verbs);
        put_options(out, "Options of every command", program->options);
        buf_format(out, "\n%s help COMMAND tells more.\n", program->name);
        return;
    }
    put_usage(out, program->name, NULL, program->operands);
    buf_format(out, "%s.\n", program->summary);
    put_options(out, "Options", program->options);
}
