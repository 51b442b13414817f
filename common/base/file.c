/* SPDX-License-Identifier: MIT */
#include "common/base/file.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define LOAD_STEP (64 * 1024)

bool file_info_unchanged(const struct file_info *before, const struct file_info *after)
{
    return before->kind == after->kind && before->size == after->size &&
           before->mtime_s == after->mtime_s && before->mtime_ns == after->mtime_ns &&
           before->ctime_s == after->ctime_s && before->ctime_ns == after->ctime_ns &&
           before->device == after->device && before->inode == after->inode;
}

/* -EFBIG unless the file ends here. */
static int expect_end(int fd, size_t limit, struct error *err)
{
    uint8_t beyond;
    size_t size = 0;
    int r = file_read(fd, &beyond, 1, &size, err);

    if (r == 0 && size > 0)
        return error_set(err, -EFBIG, "larger than %zu bytes", limit);
    return r;
}

static int load_fd(int fd, struct buf *out, struct error *err)
{
    for (;;) {
        size_t room = out->maximum - out->size;
        size_t step = room < LOAD_STEP ? room : LOAD_STEP;
        size_t size = 0;
        uint8_t *at;
        int r;
        if (room == 0)
            return expect_end(fd, out->maximum, err);
        at = buf_reserve(out, step);
        if (at == NULL)
            return buf_check(out, err);
        r = file_read(fd, at, step, &size, err);
        if (r < 0 || size == 0)
            return r;
        buf_added(out, size);
    }
}

int file_load(const char *path, struct buf *out, struct error *err)
{
    cleanup_fd int opened = -1;
    int fd = 0;
    int r = buf_check(out, err);

    if (r < 0)
        return r;
    if (strcmp(path, "-") != 0) {
        r = file_open_read(path, &opened, err);
        if (r < 0)
            return r;
        fd = opened;
    }
    r = load_fd(fd, out, err);
    return r < 0 ? error_prefix(err, r, "%s", strcmp(path, "-") == 0 ? "standard input" : path) : 0;
}
