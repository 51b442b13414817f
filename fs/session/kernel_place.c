/* SPDX-License-Identifier: MIT */
#include "fs/session/kernel_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/mount_table.h"

/* By number: the C library has these calls since glibc 2.36 only, and its <sys/mount.h> does not
 * go together with the kernel's header everywhere. */
#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x200
#endif
#define DETACH 2 /* MNT_DETACH of <sys/mount.h> */

static int set_text(int context, const char *name, const char *value)
{
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, name, value, 0);
}

static int set_flag(int context, const char *name)
{
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, name, NULL, 0);
}

static int configure(int context, int fd, const struct kernel_mount_options *options)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", fd);
    if (set_text(context, "source", options->source) < 0 ||
        set_text(context, "subtype", options->subtype) < 0 || set_text(context, "fd", number) < 0 ||
        set_text(context, "rootmode", "40000") < 0 || set_text(context, "user_id", "0") < 0 ||
        set_text(context, "group_id", "0") < 0 || set_flag(context, "default_permissions") < 0 ||
        (options->allow_other && set_flag(context, "allow_other") < 0) ||
        set_flag(context, "ro") < 0)
        return -errno;
    return syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

/* From what the kernel has of the root already, without a question. */
static int device_of(int mount, uint64_t *out_device)
{
    struct statx found;

    if (statx(mount, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found) < 0)
        return -errno;
    *out_device = makedev(found.stx_dev_major, found.stx_dev_minor);
    return 0;
}

int kernel_place_make(int fd, const struct kernel_mount_options *options, int *out_mount,
                      uint64_t *out_device, struct error *err)
{
    unsigned flags = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME;
    cleanup_fd int context = (int)syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC);
    cleanup_fd int mount = -1;
    int r;

    if (options->noexec)
        flags |= MOUNT_ATTR_NOEXEC;
    if (context < 0)
        return error_system(err, errno, "fsopen");
    r = configure(context, fd, options);
    if (r < 0)
        return error_system(err, -r, "fsconfig");
    mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, flags);
    if (mount < 0)
        return error_system(err, errno, "fsmount");
    r = device_of(mount, out_device);
    if (r < 0)
        return error_system(err, -r, "the new mount");
    *out_mount = take_fd(&mount);
    return 0;
}

static int move(int mount, const char *target, unsigned flags, struct error *err)
{
    if (syscall(SYS_move_mount, mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH | flags) < 0)
        return error_system(err, errno, "move_mount %s", target);
    return 0;
}

int kernel_place_on(int mount, const char *target, struct error *err)
{
    return move(mount, target, 0, err);
}

int kernel_place_beneath(int mount, const char *target, struct error *err)
{
    return move(mount, target, MOVE_MOUNT_BENEATH, err);
}

int kernel_place_take_off(const char *target, uint64_t device, struct error *err)
{
    uint64_t found = 0;
    int r = mount_table_device(target, &found, err);

    if (r < 0)
        return r;
    if (found != device)
        return error_set(err, -EBUSY, "something else is mounted at %s", target);
    if (syscall(SYS_umount2, target, DETACH) < 0)
        return error_system(err, errno, "umount %s", target);
    return 0;
}
