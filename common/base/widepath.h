/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <wchar.h>

struct error;

/*
 * widepath - names as Windows takes them: UTF-16, absolute, backslashes, with the
 * prefix that lifts the limit of 260 characters. Windows only. Texts are UTF-8 on
 * our side; memory_free() what is given out.
 */

/* The operator's own path, relative or not. -EINVAL: no UTF-8. */
int widepath_of(const char *path, wchar_t **out_wide, struct error *err);

/* `path` of directory.h below `root` (itself from widepath_of). -EINVAL: a component that Windows
 * would take for something else (a colon, a device's name, a final dot or space ...). */
int widepath_below(const wchar_t *root, const char *path, wchar_t **out_wide, struct error *err);

/* UTF-16 as UTF-8, unpaired halves included as they are; NULL when memory is out. */
char *widepath_text(const wchar_t *wide, size_t count);

/* Reports GetLastError() `code` about `what` as a negative errno. */
int widepath_failed(unsigned long code, const char *what, struct error *err);
