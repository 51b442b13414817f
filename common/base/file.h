/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;
struct buf;

/*
 * file - open files: whole reads and writes, syncing, what they are.
 *
 * A descriptor is an int, opened close-on-exec and binary; release it with
 * cleanup_fd. Paths here are the operator's own (configuration, token files,
 * data directories); a name that came from outside goes through directory.h.
 * Calls are restarted after signals. Errors are the system's.
 */
enum file_kind { FILE_REGULAR, FILE_DIRECTORY, FILE_LINK, FILE_OTHER };

/* Enough to see that a file has changed. Where a system lacks one it is 0. */
struct file_info {
    enum file_kind kind;
    uint32_t mode; /* permission bits, st_mode & 07777 */
    uint64_t size;
    int64_t mtime_s; /* rounded down */
    uint32_t mtime_ns;
    int64_t ctime_s;
    uint32_t ctime_ns;
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    uint32_t owner, group; /* numbers */
};

int file_open_read(const char *path, int *out_fd, struct error *err);
int file_info(int fd, struct file_info *out, struct error *err);

/* Same kind, size, mtime, ctime, inode: nobody has written in between (as far as times can
 * tell). */
bool file_info_unchanged(const struct file_info *before, const struct file_info *after);

/* Up to `size` bytes; *out_size < size only at the end. */
int file_read_at(int fd, uint64_t offset, void *out, size_t size, size_t *out_size,
                 struct error *err);
int file_read(int fd, void *out, size_t size, size_t *out_size,
              struct error *err); /* at its position */
/* All of it. */
int file_write_at(int fd, uint64_t offset, const void *bytes, size_t size, struct error *err);
int file_write(int fd, const void *bytes, size_t size, struct error *err);
int file_truncate(int fd, uint64_t size, struct error *err);
int file_sync(int fd, struct error *err);      /* data and metadata: durable */
int file_sync_data(int fd, struct error *err); /* data and size */

/* Has a range written out soon, waiting for nothing: a later sync is shorter. A hint; a no-op where
 * the system has no such call. */
void file_sync_begin(int fd, uint64_t offset, uint64_t size);

/* Whether reads come from the disk itself, past the memory that the system keeps of it: then
 * offsets, sizes and memory are multiples of 4096. -ENOTSUP where there is no such way. */
int file_read_directly(int fd, bool on);

/* The first `size` bytes of `from` become those of `to`, both from offset 0; inside the file system
 * where it can. -EIO when `from` is shorter. */
int file_copy(int from, int to, uint64_t size, struct error *err);

/* Whether it belongs to whoever runs this program; true where a system has no numbers for that. */
bool file_info_is_mine(const struct file_info *info);

/* Owner and group by their numbers, permission bits: no-ops where the system has none. -EPERM: only
 * root may give away. The first takes set-uid and set-gid away, so it comes before the second. */
int file_set_owner(int fd, uint32_t owner, uint32_t group, struct error *err);
int file_set_mode(int fd, uint32_t mode, struct error *err);

/* Whole seconds. -EINVAL: a time that the system cannot hold. */
int file_set_mtime(int fd, int64_t mtime_s, struct error *err);

/* Takes the lock of an open file for this opening of it, until it is closed; -EBUSY when another
 * has it. */
int file_lock(int fd, struct error *err);

/* The first `size` bytes as memory to read; size 0 gives an empty span. Reading behind a file's
 * end that moved down since ends the process, so: only files that nobody shortens. */
int file_map(int fd, size_t size, struct span *out_bytes, struct error *err);
void file_unmap(struct span bytes); /* of file_map(); an empty one is fine */

/* Appends the whole file to *out, whose maximum is the limit (-EFBIG). Standard input for "-". */
int file_load(const char *path, struct buf *out, struct error *err);

/* Replaces `path` by these bytes: a new file beside it, synced, renamed over it. */
int file_save(const char *path, struct span bytes, uint32_t mode, struct error *err);

/* Makes a directory and its missing parents. 0 when it is there. */
int file_make_directories(const char *path, uint32_t mode, struct error *err);

/* Bytes free for this user on the file system that holds `path`. */
int file_free_space(const char *path, uint64_t *out_bytes, struct error *err);
