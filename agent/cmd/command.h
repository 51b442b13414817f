/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/cli/output.h"

struct error;
struct options;
struct program_spec;

/*
 * command - a verb of the agent: one file each, named after it.
 *
 * A command gets the parsed command line, writes its result to stdout, and returns
 * the exit code of problem.h. With a code other than 0 err tells why, unless the
 * code is EXIT_DIFFERENT: then the result has told it.
 */
struct command {
    const struct program_spec *program;
    const struct options *options;
    struct output output;
};

typedef int command_function(struct command *command, struct error *err);

command_function command_init;
command_function command_push;
command_function command_pull;
command_function command_list;
command_function command_show;
command_function command_diff;
command_function command_get;
command_function command_verify;
command_function command_promote;
command_function command_rollback;
command_function command_delete;
command_function command_restore;
command_function command_copy;
command_function command_hosts;
command_function command_wait;
command_function command_cleanup;
command_function command_version;
command_function command_completion;
