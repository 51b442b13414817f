/* SPDX-License-Identifier: MIT */
#include "agent/cli/interrupt.h"
#include "agent/main/verbs.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/base/platform.h"
#include "common/model/problem.h"

CLEANUP_DEFINE(options, options_free);

static int run(const struct options *options, struct error *err)
{
    struct command command = { .program = &verbs_program, .options = options };

    command.output.json = options_has(options, "json");
    command.output.quiet = options_has(options, "quiet");
    command.output.verbose = options_has(options, "verbose");
    return verbs_function(options_verb(options)->id)(&command, err);
}

int main(int argc, char *argv[])
{
    cleanup(cleanup_options) struct options *options = NULL;
    cleanup(buf_release) struct buf text = buf_init(1 << 20);
    struct error err = { 0 };
    int exit_code, failure = platform_guard_standard();

    if (failure != 0)
        return EXIT_OTHER; /* with nobody to be told */
    if (interrupt_start(&err) < 0) {
        output_error(err.text);
        return EXIT_OTHER;
    }
    if (options_parse(&verbs_program, argc, argv, &options, &text, &err) < 0) {
        output_error(err.text);
        return EXIT_USAGE;
    }
    exit_code = options != NULL                 ? run(options, &err)
                : output_write(&text, &err) < 0 ? EXIT_LOCAL
                                                : EXIT_DONE;
    if (exit_code != EXIT_DONE && exit_code != EXIT_DIFFERENT && err.text[0] != '\0')
        output_error(err.text);
    return exit_code;
}
