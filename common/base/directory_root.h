/* SPDX-License-Identifier: MIT */
#pragma once

#include <wchar.h>

struct directory;

/* directory_root - the long and absolute path of a directory on Windows, for calls not wrapped by
 * directory.h; the directory's. */
const wchar_t *directory_root(const struct directory *directory);
