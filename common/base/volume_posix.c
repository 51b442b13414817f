/* SPDX-License-Identifier: MIT */
#include "common/base/volume.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/base/error.h"

int volume_space(struct directory *directory, struct volume_space *out, struct error *err)
{
    struct statvfs vfs;

    if (fstatvfs(directory_fd(directory), &vfs) != 0)
        return error_system(err, errno, "cannot examine the file system");
    out->bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    /* btrfs and others make inodes as they go, and say that they have none at all. */
    out->files = vfs.f_files == 0 ? UINT64_MAX : (uint64_t)vfs.f_favail;
    return 0;
}

int volume_sync(struct directory *directory, struct error *err)
{
#ifdef __linux__
    if (syncfs(directory_fd(directory)) == 0)
        return 0;
    if (errno != ENOSYS)
        return error_system(err, errno, "cannot sync the file system");
#endif
    return error_set(err, -ENOTSUP, "a file system cannot be synced as a whole here");
}
