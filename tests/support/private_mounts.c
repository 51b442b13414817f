/* SPDX-License-Identifier: MIT */
#include "tests/support/private_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        r = -errno;
    close(fd);
    return r;
}

/* One user and one group are root; there are no others. */
static int become_root(void)
{
    unsigned uid = geteuid(), gid = getegid();
    char map[64];
    int r;

    if (unshare(CLONE_NEWUSER) < 0)
        return -errno;
    r = write_file("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "0 %u 1", uid);
    if (r == 0)
        r = write_file("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof(map), "0 %u 1", gid);
    return r == 0 ? write_file("/proc/self/gid_map", map) : r;
}

int private_mounts_begin(void)
{
    int r = geteuid() != 0 ? become_root() : 0;

    if (r < 0)
        return r;
    if (unshare(CLONE_NEWNS) < 0)
        return -errno;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}
