/* SPDX-License-Identifier: MIT */
#include "common/base/options.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/options_nearest.h"

struct option_value {
    const struct option_spec *spec;
    const char *value; /* NULL for a switch */
};

struct options {
    const struct verb_spec *verb; /* NULL in a program without verbs */
    struct option_value *values;  /* in the order given; room for every word */
    size_t value_count;
    const char **operands; /* the same */
    size_t operand_count;
};

CLEANUP_DEFINE(options, options_free);

/* One run over the command line. */
struct parser {
    const struct program_spec *program;
    struct options *options;
    int argc;
    char *const *argv;
    int at;              /* the word that is looked at */
    const char *pending; /* the first word of a verb of two, until the second comes */
    bool help_wanted;
    bool version_wanted;
};

struct options *options_free(struct options *options)
{
    if (options == NULL)
        return NULL;
    memory_free(options->values);
    memory_free(options->operands);
    return memory_free(options);
}

static bool name_matches(const char *name, const char *word, size_t size)
{
    return strlen(name) == size && memcmp(name, word, size) == 0;
}

/* By long name (size > 0), or by short name (word is one character, size 0). */
static const struct option_spec *find_in(const struct option_spec *table, const char *word,
                                         size_t size)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (size > 0 ? name_matches(table->name, word, size) : table->short_name == word[0])
            return table;
    }
    return NULL;
}

/* Before the verb is known every verb's flags are accepted; check_values() judges them later. */
static const struct option_spec *find_option(const struct parser *parser, const char *word,
                                             size_t size)
{
    const struct verb_spec *verb = parser->options->verb;
    const struct option_spec *found = find_in(parser->program->options, word, size);

    if (found == NULL && verb != NULL)
        found = find_in(verb->options, word, size);
    if (verb != NULL || parser->program->verbs == NULL)
        return found;
    for (verb = parser->program->verbs; found == NULL && verb->name != NULL; verb++)
        found = find_in(verb->options, word, size);
    return found;
}

static void offer_options(struct options_nearest *nearest, const struct option_spec *table)
{
    for (; table != NULL && table->name != NULL; table++)
        options_nearest_offer(nearest, table->name, strlen(table->name));
}

/* Where find_option() looks. */
static int refuse_option(const struct parser *parser, const char *word, size_t size,
                         struct error *err)
{
    struct options_nearest nearest = options_nearest_to(word, size);
    const struct verb_spec *verb = parser->options->verb;

    offer_options(&nearest, parser->program->options);
    if (verb != NULL)
        offer_options(&nearest, verb->options);
    else if (parser->program->verbs != NULL)
        for (verb = parser->program->verbs; verb->name != NULL; verb++)
            offer_options(&nearest, verb->options);
    options_nearest_offer(&nearest, "help", 4);
    options_nearest_offer(&nearest, "version", 7);
    if (nearest.name == NULL)
        return error_set(err, -EINVAL, "unknown option --%.*s", (int)size, word);
    return error_set(err, -EINVAL, "unknown option --%.*s: did you mean --%s?", (int)size, word,
                     nearest.name);
}

static int add_value(struct parser *parser, const struct option_spec *spec, const char *value,
                     struct error *err)
{
    struct options *options = parser->options;

    if (spec->kind == OPTION_TEXT && options_has(options, spec->name))
        return error_set(err, -EINVAL, "--%s is given twice", spec->name);
    options->values[options->value_count++] = (struct option_value){ spec, value };
    return 0;
}

static int take_value(struct parser *parser, const struct option_spec *spec, struct error *err)
{
    if (parser->at + 1 >= parser->argc)
        return error_set(err, -EINVAL, "--%s needs a value: %s", spec->name,
                         spec->value_name != NULL ? spec->value_name : "VALUE");
    parser->at++;
    return add_value(parser, spec, parser->argv[parser->at], err);
}

static int parse_long(struct parser *parser, const char *word, struct error *err)
{
    const char *equals = strchr(word, '=');
    size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct option_spec *spec = NULL;
    bool built_in = name_matches("help", word, size) || name_matches("version", word, size);

    if (!built_in || parser->options->verb != NULL)
        spec = find_option(parser, word, size);
    if (spec == NULL && built_in && equals == NULL) {
        if (word[0] == 'h')
            parser->help_wanted = true;
        else
            parser->version_wanted = true;
        return 0;
    }
    if (spec == NULL || size == 0)
        return refuse_option(parser, word, size, err);
    if (spec->kind == OPTION_SWITCH) {
        if (equals != NULL)
            return error_set(err, -EINVAL, "--%s takes no value", spec->name);
        return add_value(parser, spec, NULL, err);
    }
    return equals != NULL ? add_value(parser, spec, equals + 1, err)
                          : take_value(parser, spec, err);
}

/* `letters` are what follows the dash: switches, and perhaps a flag with its value at the end. */
static int parse_short(struct parser *parser, const char *letters, struct error *err)
{
    for (; *letters != '\0'; letters++) {
        const struct option_spec *spec = find_option(parser, letters, 0);
        int r;
        if (spec == NULL && *letters == 'h') {
            parser->help_wanted = true;
            continue;
        }
        if (spec == NULL)
            return error_set(err, -EINVAL, "unknown option -%c", *letters);
        if (spec->kind != OPTION_SWITCH)
            return letters[1] != '\0' ? add_value(parser, spec, letters + 1, err)
                                      : take_value(parser, spec, err);
        r = add_value(parser, spec, NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_two_words(const char *name, const char *first, const char *second)
{
    size_t size = strlen(first);

    return strncmp(name, first, size) == 0 && name[size] == ' ' &&
           strcmp(name + size + 1, second) == 0;
}

/* The first word of each verb, or of those that begin with `pending` the second. */
static int refuse_verb(const struct parser *parser, const char *word, struct error *err)
{
    struct options_nearest nearest = options_nearest_to(word, strlen(word));
    const char *first = parser->pending != NULL ? parser->pending : "";
    const char *space = parser->pending != NULL ? " " : "";
    size_t skip = strlen(first) + strlen(space);

    for (const struct verb_spec *verb = parser->program->verbs; verb->name != NULL; verb++) {
        if (skip == 0)
            options_nearest_offer(&nearest, verb->name, strcspn(verb->name, " "));
        else if (strncmp(verb->name, first, skip - 1) == 0 && verb->name[skip - 1] == ' ')
            options_nearest_offer(&nearest, verb->name + skip, strlen(verb->name + skip));
    }
    if (skip == 0)
        options_nearest_offer(&nearest, "help", 4);
    if (nearest.name == NULL)
        return error_set(err, -EINVAL, "unknown command \"%s%s%s\"", first, space, word);
    return error_set(err, -EINVAL, "unknown command \"%s%s%s\": did you mean %s%s%.*s?", first,
                     space, word, first, space, (int)nearest.name_size, nearest.name);
}

static int parse_verb(struct parser *parser, const char *word, struct error *err)
{
    const struct verb_spec *verb;
    size_t size = strlen(word);

    for (verb = parser->program->verbs; verb->name != NULL; verb++) {
        if (parser->pending != NULL ? is_two_words(verb->name, parser->pending, word)
                                    : strcmp(verb->name, word) == 0) {
            parser->options->verb = verb;
            return 0;
        }
    }
    if (parser->pending != NULL)
        return refuse_verb(parser, word, err);
    for (verb = parser->program->verbs; verb->name != NULL; verb++) {
        if (strncmp(verb->name, word, size) == 0 && verb->name[size] == ' ') {
            parser->pending = word;
            return 0;
        }
    }
    if (strcmp(word, "help") == 0) {
        parser->help_wanted = true;
        return 0;
    }
    return refuse_verb(parser, word, err);
}

static int parse_operand(struct parser *parser, const char *word, struct error *err)
{
    struct options *options = parser->options;

    if (parser->program->verbs != NULL && options->verb == NULL)
        return parse_verb(parser, word, err);
    options->operands[options->operand_count++] = word;
    return 0;
}

static int parse_words(struct parser *parser, struct error *err)
{
    bool ended = false;

    for (parser->at = 1; parser->at < parser->argc; parser->at++) {
        const char *word = parser->argv[parser->at];
        int r;
        if (ended || word[0] != '-' || word[1] == '\0') {
            r = parse_operand(parser, word, err);
        } else if (strcmp(word, "--") == 0) {
            ended = true;
            r = 0;
        } else if (word[1] == '-') {
            r = parse_long(parser, word + 2, err);
        } else {
            r = parse_short(parser, word + 1, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Flags that stood before the verb may belong to another one. */
static int check_values(struct parser *parser, struct error *err)
{
    struct options *options = parser->options;

    for (size_t i = 0; i < options->value_count; i++) {
        const char *name = options->values[i].spec->name;
        const struct option_spec *mine = find_option(parser, name, strlen(name));
        if (mine == NULL || (mine->kind == OPTION_SWITCH) != (options->values[i].value == NULL))
            return error_set(err, -EINVAL, "%s has no option --%s", options->verb->name, name);
        options->values[i].spec = mine;
    }
    return 0;
}

static int check_operands(const struct parser *parser, struct error *err)
{
    const struct options *options = parser->options;
    const struct verb_spec *verb = options->verb;
    const struct program_spec *program = parser->program;
    const char *name = verb != NULL ? verb->name : program->name;
    const char *synopsis = verb != NULL ? verb->operands : program->operands;
    size_t min = verb != NULL ? verb->operands_min : program->operands_min;
    size_t max = verb != NULL ? verb->operands_max : program->operands_max;

    if (options->operand_count < min)
        return error_set(err, -EINVAL, "%s needs %s", name, synopsis);
    if (options->operand_count > max)
        return error_set(err, -EINVAL, "%s: one operand too many: \"%s\"", name,
                         options->operands[max]);
    return 0;
}

static int finish(struct parser *parser, struct error *err)
{
    int r;

    if (parser->program->verbs != NULL && parser->options->verb == NULL) {
        if (parser->pending != NULL)
            return error_set(err, -EINVAL, "\"%s\" needs a second word; see --help",
                             parser->pending);
        return error_set(err, -EINVAL, "a command is missing; see --help");
    }
    r = check_values(parser, err);
    return r < 0 ? r : check_operands(parser, err);
}

/* Room for all that the words can hold: a word of bundled switches has one in each letter. */
static int make_options(int argc, char *const argv[], struct options **out_options,
                        struct error *err)
{
    cleanup(cleanup_options) struct options *options = memory_new(sizeof(*options));
    size_t words = 1, values = 1;

    for (int i = 1; i < argc; i++) {
        words++;
        values += argv[i][0] == '-' && argv[i][1] != '-' ? strlen(argv[i]) : 1;
    }
    if (options != NULL) {
        options->operands = memory_array(words, sizeof(*options->operands));
        options->values = memory_array(values, sizeof(*options->values));
    }
    if (options == NULL || options->operands == NULL || options->values == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_options = take_pointer(&options);
    return 0;
}

int options_parse(const struct program_spec *program, int argc, char *const argv[],
                  struct options **out_options, struct buf *out_text, struct error *err)
{
    cleanup(cleanup_options) struct options *options = NULL;
    struct parser parser = { .program = program, .argc = argc, .argv = argv };
    int r = make_options(argc, argv, &options, err);

    if (r < 0)
        return r;
    parser.options = options;
    r = parse_words(&parser, err);
    if (r < 0)
        return r;
    if (parser.help_wanted || parser.version_wanted) {
        if (parser.help_wanted)
            options_help(program, options->verb, out_text);
        else
            buf_format(out_text, "%s %s\n", program->name, program->version);
        r = buf_check(out_text, err);
        if (r == 0)
            *out_options = NULL;
        return r;
    }
    r = finish(&parser, err);
    if (r < 0)
        return r;
    *out_options = take_pointer(&options);
    return 0;
}

const struct verb_spec *options_verb(const struct options *options)
{
    return options->verb;
}

bool options_has(const struct options *options, const char *name)
{
    for (size_t i = 0; i < options->value_count; i++) {
        if (strcmp(options->values[i].spec->name, name) == 0)
            return true;
    }
    return false;
}

const char *options_list(const struct options *options, const char *name, size_t index)
{
    for (size_t i = 0; i < options->value_count; i++) {
        if (strcmp(options->values[i].spec->name, name) == 0 && index-- == 0)
            return options->values[i].value;
    }
    return NULL;
}

const char *options_get(const struct options *options, const char *name)
{
    return options_list(options, name, 0);
}

size_t options_operand_count(const struct options *options)
{
    return options->operand_count;
}

const char *options_operand(const struct options *options, size_t index)
{
    return index < options->operand_count ? options->operands[index] : NULL;
}
