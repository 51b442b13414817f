/* SPDX-License-Identifier: MIT */
#pragma once

/* interrupt_signal - for interrupt_posix.c and interrupt_windows.c: a signal came, on a thread
 * that may take locks. */
void interrupt_arrived(void);
/* The terminal is gone. */
void interrupt_hung_up(void);
