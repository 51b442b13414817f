/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

struct journal;

/*
 * recorder - writes down what a process, its threads and its children change below a directory.
 *
 * It traces them (ptrace), so that it sees each call of the kernel, whoever makes it: the C library
 * has ways of its own into it. A call that can change a file and is not known here becomes a
 * CHANGE_UNKNOWN when it touches the directory, as does a shared mapping that can be written.
 * The first changes of a journal tell what is in the directory when the process stands still for
 * the first time.
 */

/* Records until the process and its children are gone. `begun` is called once all that follows is
 * seen; NULL: nothing. The status of the process, as waitpid tells it. Ends the program when the
 * process cannot be traced. The caller has no other children. */
int recorder_run(pid_t pid, const char *directory, void (*begun)(void *context), void *context,
                 struct journal *journal);

/* In the process that is recorded: a CHANGE_MARK of that name. */
void recorder_mark(const char *text);
