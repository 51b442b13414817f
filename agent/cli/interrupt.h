/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>

struct error;

/*
 * interrupt - the user's Ctrl-C, SIGTERM and SIGHUP, as a flag.
 *
 * A thread of its own waits for them: the first sets the flag and calls what is set
 * here, the second ends the process with 130 at once. Start it before any other
 * thread. The flag is the program's one global besides the log's.
 */
int interrupt_start(struct error *err);

/* From now on SIGHUP is no interruption: for what runs without a terminal. */
void interrupt_ignore_hangup(void);

const atomic_bool *interrupt_flag(void);

/* Called once, on the interrupt's thread, with the first signal; function NULL: nothing. When
 * the signal came before, it is called at once. */
void interrupt_on(void (*function)(void *context), void *context);
