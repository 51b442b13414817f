/* SPDX-License-Identifier: MIT */
#pragma once

struct job;

/*
 * in_use - the server is told that a version was pulled and is in use here: who cleans up there
 * then leaves it alone, and `hosts` and `wait` know.
 *
 * The pull is done: what fails is a warning at most. A server that knows nothing of this is no
 * failure.
 */
void in_use_say(struct job *job, const char *project, const char *app, const char *version,
                const char *path);
