/* SPDX-License-Identifier: MIT */
#include "agent/transfer/get_target.h"

#include <errno.h>

#include "common/base/directory.h"
#include "common/base/error.h"

int get_target_check(struct directory *parent, const char *path, bool is_directory, bool *out_there,
                     struct error *err)
{
    struct file_info info;
    int r = directory_info(parent, path, &info, err);

    *out_there = r == 0;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (is_directory && info.kind != FILE_DIRECTORY)
        return error_set(err, -ENOTDIR, "%s: is there, and is not a directory", path);
    if (!is_directory && info.kind == FILE_DIRECTORY)
        return error_set(err, -EISDIR, "%s: is there, and is a directory", path);
    if (info.kind == FILE_OTHER)
        return error_set(err, -EEXIST, "%s: is there, and is no file", path);
    return 0;
}
