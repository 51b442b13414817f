/* SPDX-License-Identifier: MIT */
#include "fs/main/former_mount.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "fs/session/mount_table.h"

static int run_fusermount(const char *mountpoint, bool lazy, struct error *err)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", "--", mountpoint, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return error_system(err, errno, "fusermount3");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, -EBUSY, "fusermount3 could not unmount %s%s", mountpoint,
                         lazy ? "" : "; if programs still use it, --lazy takes it away now");
    return 0;
}

int former_mount_remove(const char *mountpoint, bool lazy, struct error *err)
{
    if (geteuid() != 0)
        return run_fusermount(mountpoint, lazy, err);
    if (umount2(mountpoint, lazy ? MNT_DETACH : 0) == 0)
        return 0;
    if (errno != EBUSY)
        return error_system(err, errno, "%s", mountpoint);
    return error_set(err, -EBUSY,
                     "%s is busy: programs still use it; end them, or take it away now with --lazy",
                     mountpoint);
}

/* STATFS is always asked of the daemon; without one the kernel says ENOTCONN at once. */
static bool is_dead(const char *mountpoint)
{
    struct statfs system;

    return statfs(mountpoint, &system) < 0 && errno == ENOTCONN;
}

int former_mount_clear(const char *mountpoint, const char *server, struct error *err)
{
    for (;;) {
        cleanup_memory char *type = NULL, *source = NULL;
        int r = mount_table_type(mountpoint, &type, err);

        if (r == -ENOENT || (r == 0 && strcmp(type, FORMER_MOUNT_TYPE) != 0))
            return 0;
        if (r == 0)
            r = mount_table_source(mountpoint, &source, err);
        if (r < 0)
            return r;
        if (!is_dead(mountpoint))
            return strcmp(source, server) != 0
                       ? 0
                       : error_set(err, -EBUSY, "%s is already mounted at %s", server, mountpoint);
        log_warning("%s: the mount there has no daemon any more; it is taken away", mountpoint);
        r = former_mount_remove(mountpoint, true, err);
        if (r < 0)
            return r;
    }
}
