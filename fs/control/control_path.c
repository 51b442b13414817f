/* SPDX-License-Identifier: MIT */
#include "fs/control/control_path.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"

static void add_directory(struct buf *out)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (geteuid() == 0)
        buf_add_text(out, "/run/kkartifact");
    else if (runtime != NULL && runtime[0] == '/')
        buf_format(out, "%s/kkartifact", runtime);
    else
        buf_format(out, "/tmp/kkartifact-%u", (unsigned)geteuid());
}

int control_path_directory(struct buf *out, struct error *err)
{
    struct stat found;
    int r;

    add_directory(out);
    r = buf_check(out, err);
    if (r == 0)
        r = file_make_directories(buf_text(out), 0700, err);
    if (r < 0)
        return r;
    if (lstat(buf_text(out), &found) < 0)
        return error_system(err, errno, "%s", buf_text(out));
    if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 022) != 0)
        return error_set(err, -EACCES, "%s belongs to someone else, or others may write there",
                         buf_text(out));
    return 0;
}

void control_path_socket(struct buf *out, const char *directory, uint64_t device)
{
    buf_format(out, "%s/%u-%u.sock", directory, major(device), minor(device));
}

void control_path_holder(struct buf *out, const char *directory, uint64_t device)
{
    buf_format(out, "%s/%u-%u.holder", directory, major(device), minor(device));
}

void control_path_log(struct buf *out, const char *directory, uint64_t device)
{
    buf_format(out, "%s/%u-%u-%d.log", directory, major(device), minor(device), (int)getpid());
}
