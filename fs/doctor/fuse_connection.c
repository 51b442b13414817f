/* SPDX-License-Identifier: MIT */
#include "fs/doctor/fuse_connection.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/number.h"
#include "fs/session/mount_table.h"

#define CONNECTIONS "/sys/fs/fuse/connections"

/* Of <linux/mount.h>, newer than some headers; the calls are those of Linux 5.2. */
#define SYS_FSOPEN 430
#define SYS_FSCONFIG 431
#define SYS_FSMOUNT 432
#define FSOPEN_CLOSE_ON_EXEC 1
#define FSMOUNT_CLOSE_ON_EXEC 1
#define FSCONFIG_CREATE 6

static int find_fusectl(void *context, const struct mount_table_entry *entry)
{
    return strcmp(entry->type, "fusectl") == 0 && strcmp(entry->mountpoint, CONNECTIONS) == 0;
}

bool fuse_connection_is_mounted(void)
{
    return mount_table_walk(find_fusectl, NULL, NULL) == 1;
}

/* It has one instance: what is mounted nowhere shows the same. */
static int mount_nowhere(void)
{
    cleanup_fd int context = (int)syscall(SYS_FSOPEN, "fusectl", FSOPEN_CLOSE_ON_EXEC);

    if (context < 0 || syscall(SYS_FSCONFIG, context, FSCONFIG_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return (int)syscall(SYS_FSMOUNT, context, FSMOUNT_CLOSE_ON_EXEC, 0);
}

static int open_fusectl(void)
{
    if (fuse_connection_is_mounted())
        return open(CONNECTIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return mount_nowhere();
}

static bool read_number(int fd, uint64_t *out)
{
    char text[32];
    size_t size = 0;

    return file_read(fd, text, sizeof(text), &size, NULL) == 0 &&
           number_parse(span_trim(span_of(text, size)), UINT64_MAX, out, NULL) == 0;
}

bool fuse_connection_waiting(uint64_t device, uint64_t *out_waiting)
{
    cleanup_fd int root = open_fusectl();
    cleanup_fd int fd = -1;
    char name[48];

    if (root < 0)
        return false;
    (void)snprintf(name, sizeof(name), "%u/waiting", minor(device));
    fd = openat(root, name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read_number(fd, out_waiting);
}

void fuse_connection_abort_command(uint64_t device, bool fusectl_is_mounted, struct buf *out)
{
    if (!fusectl_is_mounted)
        buf_add_text(out, "mount -t fusectl fusectl " CONNECTIONS " && ");
    buf_format(out, "echo 1 > " CONNECTIONS "/%u/abort", minor(device));
}
