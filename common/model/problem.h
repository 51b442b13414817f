/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "common/base/span.h"

/*
 * problem - one table of what can go wrong between client and server: the stable
 * code of an RFC 9457 body, its HTTP status, the errno that stands for it inside
 * the programs, and the exit code of the agent and the mount.
 *
 * Exit codes: 0 done, 1 other, 2 usage, 3 configuration, 4 not allowed, 5 not found,
 * 6 conflict, 7 server not reached, 8 integrity, 9 local file system,
 * 20 differences, 130 interrupted.
 */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_CONFIGURATION = 3,
    EXIT_NOT_ALLOWED = 4,
    EXIT_NOT_FOUND = 5,
    EXIT_CONFLICT = 6,
    EXIT_UNREACHABLE = 7,
    EXIT_INTEGRITY = 8,
    EXIT_LOCAL = 9,
    EXIT_DIFFERENT = 20,
    EXIT_INTERRUPTED = 130,
};

struct problem {
    const char *code;  /* "not-found" */
    int status;        /* 404 */
    int error;         /* -ENOENT: what a client makes of it */
    int exit_code;     /* enum exit_code */
    const char *title; /* "Not found", one for each code */
};

/* The whole table, ends with code NULL. */
const struct problem *problem_table(void);

/* NULL when there is no such code. */
const struct problem *problem_by_code(struct span code);
/* What a server answers for an errno of its service (negative): never NULL, "internal" for the
 * rest. */
const struct problem *problem_by_error(int error);
/* What a client makes of a status without a problem body (a proxy's): never NULL for >= 400. */
const struct problem *problem_by_status(int status);

/* The exit code for a negative errno that a library call of a client returned, where nothing better
 * is known: e.g. -EACCES and -EPERM 4, -ENOENT 5, -EEXIST 6, -EAGAIN 7, -EBADMSG 8, -ENOSPC 9,
 * -ECANCELED 130. 0 for 0. */
int problem_exit_code(int error);
