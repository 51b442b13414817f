/* SPDX-License-Identifier: MIT */
#include "common/base/options.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

enum { VERB_PUSH, VERB_TOKEN_CREATE, VERB_TOKEN_LIST, VERB_SHOW };

static const struct option_spec push_options[] = {
    { "version", 0, OPTION_TEXT, "V", "the version's name" },
    { "label", 'l', OPTION_LIST, "K=V", "a label" },
    { "dry-run", 'n', OPTION_SWITCH, NULL, "only say what would be done: nobody's files change" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec token_options[] = {
    { "name", 0, OPTION_TEXT, "NAME", "who it is for" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct option_spec every_options[] = {
    { "config", 'c', OPTION_TEXT, "FILE", "settings" },
    { "quiet", 'q', OPTION_SWITCH, NULL, "say less" },
    { NULL, 0, OPTION_SWITCH, NULL, NULL },
};

static const struct verb_spec verbs[] = {
    { "push", "[DIR]", 0, 1, "send a tree", push_options, VERB_PUSH },
    { "token create", "", 0, 0, "make a token", token_options, VERB_TOKEN_CREATE },
    { "token list", "", 0, 0, "list tokens", NULL, VERB_TOKEN_LIST },
    { "show", "P/A/V", 1, 1, "show a version", NULL, VERB_SHOW },
    { NULL, NULL, 0, 0, NULL, NULL, 0 },
};

static const struct program_spec program = {
    .name = "kk-try",
    .summary = "Tries things",
    .verbs = verbs,
    .options = every_options,
    .version = "1.2",
};

static const struct program_spec plain = {
    .name = "kk-plain",
    .summary = "Has no verbs",
    .options = every_options,
    .version = "3",
    .operands = "FILE...",
    .operands_min = 1,
    .operands_max = 2,
};

CLEANUP_DEFINE(options, options_free);

static int parse_words(const struct program_spec *spec, struct options **out, struct buf *text,
                       struct error *err, const char *const *words)
{
    char *argv[16] = { NULL };
    int argc = 1;

    argv[0] = (char *)(uintptr_t) "program";
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return options_parse(spec, argc, argv, out, text, err);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void flags_stand_anywhere(void **state)
{
    cleanup(cleanup_options) struct options *options = NULL;
    cleanup(buf_release) struct buf text = buf_init(4096);

    assert_int_equal(parse_words(&program, &options, &text, NULL,
                                 WORDS("--config=x=y", "-n", "--label", "a=1", "push", "-ql", "b=2",
                                       "dir", "--version", "9", "-lc=3")),
                     0);
    assert_int_equal(options_verb(options)->id, VERB_PUSH);
    assert_string_equal(options_get(options, "config"), "x=y");
    assert_true(options_has(options, "dry-run"));
    assert_true(options_has(options, "quiet"));
    assert_null(options_get(options, "quiet"));
    assert_string_equal(options_list(options, "label", 0), "a=1");
    assert_string_equal(options_list(options, "label", 1), "b=2");
    assert_string_equal(options_list(options, "label", 2), "c=3");
    assert_null(options_list(options, "label", 3));
    assert_string_equal(options_get(options, "version"), "9");
    assert_int_equal(options_operand_count(options), 1);
    assert_string_equal(options_operand(options, 0), "dir");
    assert_null(options_operand(options, 1));
    assert_int_equal(text.size, 0);
}

static void verbs_of_two_words(void **state)
{
    cleanup(cleanup_options) struct options *options = NULL;
    cleanup(cleanup_options) struct options *early = NULL;
    cleanup(buf_release) struct buf text = buf_init(4096);

    assert_int_equal(parse_words(&program, &options, &text, NULL,
                                 WORDS("token", "--quiet", "create", "--name", "ci")),
                     0);
    assert_int_equal(options_verb(options)->id, VERB_TOKEN_CREATE);
    assert_string_equal(options_get(options, "name"), "ci");
    assert_int_equal(parse_words(&program, &early, &text, NULL,
                                 WORDS("--name", "x", "token", "create")),
                     0);
    assert_string_equal(options_get(early, "name"), "x");
}

static void a_double_dash_ends_flags(void **state)
{
    cleanup(cleanup_options) struct options *options = NULL;
    cleanup(cleanup_options) struct options *dash = NULL;
    cleanup(buf_release) struct buf text = buf_init(4096);

    assert_int_equal(parse_words(&program, &options, &text, NULL, WORDS("push", "--", "--quiet")),
                     0);
    assert_string_equal(options_operand(options, 0), "--quiet");
    assert_false(options_has(options, "quiet"));
    assert_int_equal(parse_words(&program, &dash, &text, NULL, WORDS("push", "-")), 0);
    assert_string_equal(options_operand(dash, 0), "-");
}

static void assert_refused(const struct program_spec *spec, const char *says,
                           const char *const *words)
{
    struct options *options = (struct options *)(uintptr_t)8;
    cleanup(buf_release) struct buf text = buf_init(4096);
    struct error err = { 0 };

    assert_int_equal(parse_words(spec, &options, &text, &err, words), -EINVAL);
    assert_ptr_equal(options, (struct options *)(uintptr_t)8);
    if (strstr(err.text, says) == NULL)
        assert_string_equal(err.text, says);
}

static void wrong_words_are_named(void **state)
{
    const char *nothing[] = { NULL };

    assert_refused(&program, "unknown option --bad", WORDS("push", "--bad"));
    assert_refused(&program, "unknown option --bad", WORDS("--bad=3", "push"));
    assert_refused(&program, "unknown option --", WORDS("push", "--=x"));
    assert_refused(&program, "unknown option -x", WORDS("push", "-qx"));
    assert_refused(&program, "--label needs a value: K=V", WORDS("push", "--label"));
    assert_refused(&program, "--config needs a value: FILE", WORDS("push", "-qc"));
    assert_refused(&program, "--quiet takes no value", WORDS("push", "--quiet=yes"));
    assert_refused(&program, "--config is given twice", WORDS("-c", "a", "push", "--config", "b"));
    assert_refused(&program, "unknown command \"pish\"", WORDS("pish"));
    assert_refused(&program, "unknown command \"token frob\"", WORDS("token", "frob"));
    assert_refused(&program, "\"token\" needs a second word", WORDS("token"));
    assert_refused(&program, "a command is missing", nothing);
    assert_refused(&program, "show needs P/A/V", WORDS("show"));
    assert_refused(&program, "one operand too many: \"c\"", WORDS("push", "b", "c"));
    assert_refused(&program, "show has no option --label", WORDS("--label", "x", "show", "p"));
    assert_refused(&program, "unknown option --label", WORDS("show", "--label", "x", "p"));
    assert_refused(&plain, "needs FILE...", nothing);
    assert_refused(&plain, "too many: \"c\"", WORDS("a", "b", "c"));
}

static void what_was_meant_is_told(void **state)
{
    assert_refused(&program, "command \"psuh\": did you mean push?", WORDS("psuh"));
    assert_refused(&program, "did you mean help?", WORDS("hlep"));
    assert_refused(&program, "command \"tokne\": did you mean token?", WORDS("tokne", "create"));
    assert_refused(&program, "\"token crate\": did you mean token create?",
                   WORDS("token", "crate"));
    assert_refused(&program, "did you mean --dry-run?", WORDS("push", "--dryrun"));
    assert_refused(&program, "did you mean --dry-run?", WORDS("push", "--dry"));
    assert_refused(&program, "option --lable: did you mean --label?", WORDS("--lable=x", "push"));
    assert_refused(&program, "did you mean --help?", WORDS("push", "--hepl"));
    assert_refused(&plain, "did you mean --config?", WORDS("--confg", "a"));
    assert_refused(&program, "unknown command \"nothing\"", WORDS("help", "nothing"));
    assert_refused(
        &program,
        "unknown option --a-very-long-word-that-is-no-flag-of-this-program-nor-of-another",
        WORDS("push", "--a-very-long-word-that-is-no-flag-of-this-program-nor-of-another"));
}

static void nothing_is_told_of_far_words(void **state)
{
    const char *const lines[] = { "frob", "x", "commit", "--queue", "--z" };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct options *options = NULL;
        struct error err = { 0 };
        assert_int_equal(parse_words(&program, &options, NULL, &err, WORDS(lines[i])), -EINVAL);
        assert_null(strstr(err.text, "did you mean"));
    }
}

static void assert_prints(const struct program_spec *spec, const char *says,
                          const char *const *words)
{
    struct options *options = (struct options *)(uintptr_t)8;
    cleanup(buf_release) struct buf text = buf_init(8192);

    assert_int_equal(parse_words(spec, &options, &text, NULL, words), 0);
    assert_null(options);
    if (strstr(buf_text(&text), says) == NULL)
        assert_string_equal(buf_text(&text), says);
}

static void help_and_version(void **state)
{
    assert_prints(&program, "Usage: kk-try COMMAND", WORDS("--help"));
    assert_prints(&program, "token create", WORDS("-h"));
    assert_prints(&program, "Usage: kk-try push [DIR] [OPTION]...", WORDS("push", "--help"));
    assert_prints(&program, "Usage: kk-try show P/A/V", WORDS("--help", "show"));
    assert_prints(&program, "  -l, --label K=V  a label (may be repeated)\n", WORDS("push", "-h"));
    assert_prints(&program, "kk-try 1.2\n", WORDS("--version"));
    assert_prints(&program, "kk-try 1.2\n", WORDS("show", "--version"));
    assert_prints(&plain, "Usage: kk-plain FILE... [OPTION]...", WORDS("--help"));
    assert_prints(&program, "Usage: kk-try COMMAND", WORDS("help"));
    assert_prints(&program, "Usage: kk-try push [DIR] [OPTION]...", WORDS("help", "push"));
    assert_prints(&program, "Usage: kk-try token create", WORDS("help", "token", "create"));
    assert_prints(&program, "Usage: kk-try COMMAND", WORDS("help", "token"));
}

static void completions(void **state)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };

    for (size_t i = 0; i < 3; i++) {
        cleanup(buf_release) struct buf text = buf_init(1 << 20);
        assert_int_equal(options_completion(&program, shells[i], &text, NULL), 0);
        assert_non_null(strstr(buf_text(&text), "dry-run"));
        assert_non_null(strstr(buf_text(&text), "create"));
        assert_int_equal(options_completion(&plain, shells[i], &text, NULL), 0);
    }
    cleanup(buf_release) struct buf text = buf_init(1 << 20);
    assert_int_equal(options_completion(&program, "csh", &text, NULL), -EINVAL);
    assert_int_equal(text.size, 0);
    cleanup(buf_release) struct buf small = buf_init(10);
    assert_int_equal(options_completion(&program, "bash", &small, NULL), -EFBIG);
}

static int parse_once(void)
{
    cleanup(cleanup_options) struct options *options = NULL;
    cleanup(buf_release) struct buf text = buf_init(4096);
    int r = parse_words(&program, &options, &text, NULL, WORDS("push", "-n", "x"));

    if (r == 0) {
        struct options *none = NULL;
        r = parse_words(&program, &none, &text, NULL, WORDS("--help"));
    }
    return r;
}

static void no_memory(void **state)
{
    assert_survives_no_memory(parse_once());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_stand_anywhere),
        cmocka_unit_test(verbs_of_two_words),
        cmocka_unit_test(a_double_dash_ends_flags),
        cmocka_unit_test(wrong_words_are_named),
        cmocka_unit_test(what_was_meant_is_told),
        cmocka_unit_test(nothing_is_told_of_far_words),
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(completions),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
