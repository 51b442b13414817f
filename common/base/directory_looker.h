/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/file.h"

struct directory;
struct error;

/*
 * directory_looker - looks at many paths below a directory, or does something to them, one after
 * the other.
 *
 * The parent of the last path stays open: what stands beside it is reached by its
 * name alone, one system call instead of three. Paths are resolved as by
 * directory_info(), never through a link; but a directory that is renamed or replaced
 * while it is the parent that stays open is seen as it was until a path of another parent
 * is asked for. One thread.
 */
struct directory_looker;

/* `at` stays the caller's and outlives the looker. */
int directory_looker_new(struct directory *at, struct directory_looker **out_looker,
                         struct error *err);
struct directory_looker *directory_looker_free(struct directory_looker *looker); /* NULL is fine */

/* As directory_info(): its errors, and "" is the directory itself. */
int directory_looker_info(struct directory_looker *looker, const char *path, struct file_info *out,
                          struct error *err);

/* Where a call of directory.h finds `path`: the parent, which is open now, and the last name, which
 * lies in `path`. When the parent cannot be opened, the directory itself and the whole path, so
 * that the call tells what is wrong. Valid until the next use of the looker. */
struct looker_spot {
    struct directory *at;
    const char *name;
};
int directory_looker_spot(struct directory_looker *looker, const char *path,
                          struct looker_spot *out, struct error *err); /* -ENOMEM */
