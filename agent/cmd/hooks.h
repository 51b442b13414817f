/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;
struct job;
struct pull_change;

/*
 * hooks - the user's commands around a pull: --pre before its first change, --post behind it.
 *
 * Run by the system's shell (shell.h) with KKARTIFACT_PROJECT, _APP, _VERSION, _PREVIOUS, _DEST and
 * _CONTENT in their environment, and never the token. What they print goes to stderr. One that
 * fails: -EIO (exit 1), or -ECANCELED when it was interrupted.
 */
struct hooks {
    struct job *job;
    const char *pre, *post; /* NULL: none */
    const char *dest;       /* as the user named it */
    bool refused;           /* the last --pre failed: nothing was changed */
};

int hooks_before(void *context, const struct pull_change *change, struct error *err);
int hooks_after(struct hooks *hooks, const struct pull_change *change, struct error *err);
