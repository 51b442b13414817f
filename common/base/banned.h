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

/* Elsewhere, and for clang with fortified headers, some of these are macros, or used by system
 * headers included later. gcc on Linux sees every file, and refuses them for all. */
#if defined(__linux__) && !(defined(__clang__) && defined(_FORTIFY_SOURCE))
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atoll gets
#pragma GCC poison gmtime localtime ctime asctime strncpy strncat
#endif
