/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * banned - calls that have hurt C programs too often, made uncompilable.
 *
 * Forced into every translation unit by the build (-include). The standard
 * headers come first so that their own declarations are not touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Elsewhere some of these are macros, or used by system headers included later; what Linux
 * refuses is
 * in no shared file. */
#ifdef __linux__
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atoll gets
#pragma GCC poison gmtime localtime ctime asctime strncpy strncat
#endif
