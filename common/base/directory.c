/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/directory_path.h"
#include "common/base/error.h"
#include "common/base/memory.h"

int directory_path_check(const char *path, struct error *err)
{
    const char *at = path;

    while (*at != '\0' || at != path) {
        size_t size = strcspn(at, "/");
        if (size == 0 || (size == 1 && at[0] == '.') || (size == 2 && at[0] == '.' && at[1] == '.'))
            return error_set(err, -EINVAL, "\"%s\" is not a path below a directory", path);
        if (at[size] == '\0')
            return 0;
        at += size + 1;
    }
    return 0;
}

int directory_make_all(struct directory *at, const char *path, uint32_t mode, struct error *err)
{
    cleanup_memory char *partial = NULL;
    struct file_info info;
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    if (path[0] == '\0' ||
        (directory_info(at, path, &info, NULL) == 0 && info.kind == FILE_DIRECTORY))
        return 0;
    partial = memory_text(path);
    if (partial == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (char *end = partial;; end++) {
        char saved = *end;
        if (saved != '/' && saved != '\0')
            continue;
        *end = '\0';
        r = directory_make(at, partial, mode, err);
        *end = saved;
        if (r < 0 && r != -EEXIST)
            return r;
        if (saved == '\0')
            break;
    }
    if (r == -EEXIST) {
        r = directory_info(at, path, &info, err);
        if (r == 0 && info.kind != FILE_DIRECTORY)
            r = error_set(err, -ENOTDIR, "%s: is not a directory", path);
    }
    return r;
}
