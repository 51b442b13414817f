/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

struct error;

/*
 * shell - one command line of the user's, run by the system's shell to its end: `sh -c` or, on
 * Windows, `cmd /c`.
 *
 * It has no input, what it prints goes to our stderr, no other file of ours is open in it (where
 * the system's library can close them), and its environment is ours with what is
 * said. It is a group of processes of its own, so that a Ctrl-C reaches us first: when `stop` is
 * set, the group is asked to end (SIGTERM; on Windows it is ended), and waited for.
 */
struct shell_variable {
    const char *name;
    const char *value; /* NULL: it has none */
};

/* 0, and *out_status is the exit status, 128 + n when signal n ended it. A failure: it was not
 * run. `variables` ends with name NULL. stop may be NULL. */
int shell_run(const char *command, const struct shell_variable *variables, const atomic_bool *stop,
              int *out_status, struct error *err);
