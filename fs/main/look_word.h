/* SPDX-License-Identifier: MIT */
#pragma once

/* look_word - the process that looks for a looker (fs/look/looker.h), `kkartifact-fs --look
 * DEVICE...`: it writes a line for each version that is in use. Returns the exit code. */
int look_word(int count, char *const devices[]);
