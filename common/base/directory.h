/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/file.h"

struct error;

/*
 * directory - everything below one open directory, and nothing beside it.
 *
 * Paths are relative, components joined by '/', without ".", "..", empty
 * components or NUL (-EINVAL); they are resolved beneath the descriptor and never
 * through a symbolic link (-ELOOP): Linux by openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS) with a component-wise fall-back, macOS component-wise,
 * Windows by long UTF-16 paths with reparse points refused. "" is the directory
 * itself where that makes sense. A struct directory may be used by any thread.
 */
struct directory;

int directory_open(const char *path, struct directory **out_directory, struct error *err);
/* A directory below; "" gives a second handle of the same. */
int directory_open_below(struct directory *at, const char *path, struct directory **out_directory,
                         struct error *err);
struct directory *directory_close(struct directory *directory); /* NULL is fine; returns NULL */

/* The directory that holds the one that `path` leads to, and its name there (memory_free() it).
 * Links on the way are followed: the path is the operator's own. -EINVAL for the root of all;
 * -ENOTSUP on Windows. */
int directory_open_parent(const char *path, struct directory **out_parent, char **out_name,
                          struct error *err);

/* The path from the root of all, without links, "." and ".."; memory_free() it. The directory is
 * there. */
int directory_real_path(const char *path, char **out, struct error *err);

/* From now on `directory` and what is opened below it resolve by components, as on a kernel without
 * openat2; no effect elsewhere. */
void directory_use_walk(struct directory *directory);

/* POSIX: the descriptor, owned by the directory, for calls not wrapped here; -1 on Windows. */
int directory_fd(const struct directory *directory);

/* What stands at `path` itself (a link is not followed). */
int directory_info(struct directory *at, const char *path, struct file_info *out,
                   struct error *err);

/* Regular files only (-EINVAL), so that opening never blocks. */
int directory_open_read(struct directory *at, const char *path, int *out_fd, struct error *err);
/* A new file for writing and reading, with exactly these permission bits; -EEXIST when the name
 * is taken. */
int directory_create(struct directory *at, const char *path, uint32_t mode, int *out_fd,
                     struct error *err);
/* An existing file for reading and writing. */
int directory_open_write(struct directory *at, const char *path, int *out_fd, struct error *err);

/* -EEXIST. The process's umask takes bits away, here and below. */
int directory_make(struct directory *at, const char *path, uint32_t mode, struct error *err);
/* With missing parents; 0 when it is there. */
int directory_make_all(struct directory *at, const char *path, uint32_t mode, struct error *err);
int directory_remove_file(struct directory *at, const char *path, struct error *err);
int directory_remove_empty(struct directory *at, const char *path, struct error *err);
/* The whole subtree, links not followed; 0 when absent. Not atomic. */
int directory_remove_all(struct directory *at, const char *path, struct error *err);

/* Replaces what is at `to` (files and links; an empty directory by a directory). */
int directory_rename(struct directory *at, const char *from, struct directory *to_at,
                     const char *to, struct error *err);
/* Same, but -EEXIST when `to` is there. */
int directory_rename_new(struct directory *at, const char *from, struct directory *to_at,
                         const char *to, struct error *err);

/* What stands at the two paths changes places, whatever it is, at one instant. -ENOTSUP where the
 * system or the file system cannot (Linux and macOS mostly can); -EBUSY: one is a mount point. */
int directory_exchange(struct directory *at, const char *path, struct directory *other_at,
                       const char *other, struct error *err);

/* The target as text; -EFBIG above 4095 bytes. memory_free() it. */
int directory_read_link(struct directory *at, const char *path, char **out_target,
                        struct error *err);
int directory_make_link(struct directory *at, const char *target, const char *path,
                        struct error *err);

/* Not through links. mode: permission bits; a no-op where the system has none. Where somebody else
 * may write, what stands at a path can be changed between a look at it and this: then open it, and
 * look and set with "" (or file.h). */
int directory_set_mode(struct directory *at, const char *path, uint32_t mode, struct error *err);
/* As file_set_owner(); of a link its own. */
int directory_set_owner(struct directory *at, const char *path, uint32_t owner, uint32_t group,
                        struct error *err);
int directory_set_mtime(struct directory *at, const char *path, int64_t mtime_s, struct error *err);

/* Whether names may be made and removed right in it, as far as the system tells beforehand. */
bool directory_may_write(struct directory *directory);

/* Makes the entries themselves (creations, renames) durable. */
int directory_sync(struct directory *directory, struct error *err);

/* Calls `each` for every entry of `path` but . and .. , in no order, until it returns non-zero,
 * which is then returned. kind may be FILE_OTHER when the system did not tell and info must be
 * asked. */
typedef int directory_each(void *context, const char *name, enum file_kind kind, struct error *err);
int directory_list(struct directory *at, const char *path, directory_each *each, void *context,
                   struct error *err);
