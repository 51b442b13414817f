/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/cmd/command.h"

/*
 * verbs - the agent's table of verbs and flags; help, completions and the check of
 * the man page come from it.
 */
extern const struct program_spec verbs_program;

/* The function of a verb by its id (struct verb_spec). */
command_function *verbs_function(int id);
