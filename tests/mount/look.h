/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * look - what the programs that look at a mount and hold it against a copy have in common.
 *
 * Nothing here gives a failure back: it is said on standard error, with the path and what errno
 * tells, and the program ends with exit code 1. Any thread.
 */
#define LOOK_PATH_SIZE 8192

/* Ends the program; `what` says what was tried, or what is wrong. */
_Noreturn void look_failed(const char *what, const char *path);
/* The same, of the byte at `at` of a file. */
_Noreturn void look_differs(const char *what, const char *path, uint64_t at);

/* A number below `limit` (not 0), the next of a sequence that the state begins. */
uint64_t look_any(uint64_t *state, uint64_t limit);

void look_join(char out[LOOK_PATH_SIZE], const char *top, const char *name);
/* For reading, with more flags of open(2). */
int look_open(const char *path, int flags);
uint64_t look_size(const char *path);
/* Reads the whole range; the end of the file before its end is a failure. */
void look_read(int fd, const char *path, uint8_t *out, size_t size, uint64_t at);
/* Both have `size` bytes that begin at `at` of the file. */
void look_compare(const char *what, const char *path, const uint8_t *wanted, const uint8_t *got,
                  size_t size, uint64_t at);
/* Runs the program at `path`, from cold pages, without arguments: it must end with 0. */
void look_run(const char *path);
