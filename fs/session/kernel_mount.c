/* SPDX-License-Identifier: MIT */
#include "fs/session/kernel_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "fs/session/mount_table.h"

#define READ_AHEAD_KB "1024"

int kernel_mount(int fd, const char *mountpoint, const struct kernel_mount_options *options,
                 struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(8192), type = buf_init(256);
    unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME;
    int r;

    if (options->noexec)
        flags |= MS_NOEXEC;
    buf_format(&text, "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions", fd);
    if (options->allow_other)
        buf_add_text(&text, ",allow_other");
    buf_format(&type, "fuse.%s", options->subtype);
    r = buf_check(&text, err);
    if (r == 0)
        r = buf_check(&type, err);
    if (r < 0)
        return r;
    if (mount(options->source, mountpoint, buf_text(&type), flags, buf_text(&text)) < 0)
        return error_system(err, errno, "mount %s", mountpoint);
    return 0;
}

void kernel_mount_end(const char *mountpoint, uint64_t device)
{
    uint64_t found;

    /* Something else may have been mounted over or instead of ours since. */
    if (device != 0 && mount_table_device(mountpoint, &found, NULL) == 0 && found == device)
        umount2(mountpoint, MNT_DETACH);
}

void kernel_mount_raise_read_ahead(uint64_t device)
{
    cleanup_fd int fd = -1;
    char path[64];

    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(device),
             minor(device));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB)) < 0)
        errno = 0;
}

bool kernel_mount_is_over(int fd)
{
    struct pollfd polled = { .fd = fd, .events = 0 };

    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}
