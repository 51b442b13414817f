/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdbool.h>

/*
 * platform - the few calls whose shape differs between Linux, macOS and
 * Windows. platform_posix.c and platform_windows.c each provide all of them;
 * the build takes one. Files and directories have modules of their own
 * (file.h, directory.h) with the same split.
 */

#define PLATFORM_ENTROPY_MAX 256
int platform_entropy(void *out, size_t size); /* size <= PLATFORM_ENTROPY_MAX; 0 or -1 */

/* A thread that blocks every signal. 0 or a positive errno. */
int platform_thread_start(pthread_t *out_thread, void *(*main)(void *), void *context);

/* Opens the null device over each of stdin, stdout and stderr that whoever started us has closed,
 * so that no file gets their numbers and with them what is written for people. It is opened the
 * wrong way round: reading there, and writing a result, is still an error. First of all in main().
 * 0 or a positive errno. */
int platform_guard_standard(void);

/* Processors this process may use, at least 1. */
size_t platform_cpu_count(void);

bool platform_is_terminal(int fd);
int platform_terminal_columns(int fd); /* 80 when unknown */

/* The host's name for records, cut to `size`, always terminated; "unknown" when it has none. */
void platform_host_name(char *out, size_t size);
