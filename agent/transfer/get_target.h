/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct directory;
struct error;

/*
 * get_target - whether what stands where something is to go may be replaced, as cp judges it.
 *
 * A directory goes into a directory, a file in the place of a file or link. Else -ENOTDIR, -EISDIR
 * or -EEXIST, with the path. *out_there: something stands there.
 */
int get_target_check(struct directory *parent, const char *path, bool is_directory, bool *out_there,
                     struct error *err);
