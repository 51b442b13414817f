/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/error.h"

/*
 * daemon - going into the background, so that the one who started it learns how it went.
 *
 * The first process waits until the second says that it is ready, or what went wrong, and
 * ends with that.
 */

/* In the first process: does not return but by exit codes: >= 0 is the exit code, *err its
 * words. In the second: -1, and *out_ready is where daemon_ready or daemon_failed tell. Before
 * any thread. */
int daemon_split(int *out_ready, struct error *err);

/* Ready: the first process ends with 0. stderr goes to log_path (NULL: nowhere). Nothing in a
 * process that was not split (*ready is -1). */
void daemon_ready(int *ready, const char *log_path);
void daemon_failed(int *ready, int exit_code, const struct error *err);
