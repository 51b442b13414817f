/* SPDX-License-Identifier: MIT */
#include "common/base/volume.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"

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

#ifdef __linux__
static bool clones(struct directory *directory, const char *from_name, const char *to_name)
{
    static const char bytes[4096] = "x"; /* a block: less may be kept in the inode */
    cleanup_fd int from = -1, to = -1;

    return directory_create(directory, from_name, 0600, &from, NULL) == 0 &&
           directory_create(directory, to_name, 0600, &to, NULL) == 0 &&
           file_write(from, bytes, sizeof(bytes), NULL) == 0 && ioctl(to, FICLONE, from) == 0;
}
#endif

bool volume_shares(struct directory *directory)
{
#ifdef __linux__
    static const char from[] = "shares-1", to[] = "shares-2";
    bool shares;

    directory_remove_file(directory, from, NULL);
    directory_remove_file(directory, to, NULL);
    shares = clones(directory, from, to);
    directory_remove_file(directory, from, NULL);
    directory_remove_file(directory, to, NULL);
    return shares;
#else
    return false;
#endif
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
