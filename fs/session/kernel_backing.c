/* SPDX-License-Identifier: MIT */
#include "fs/session/kernel_backing.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

/* Of <linux/fuse.h>, which is older than this on some systems. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

/* INIT: a header of 40 bytes, then version (2 numbers), read-ahead, and the flags, lower half
 * first. */
#define FLAGS_OFFSET 52
#define FLAG_EXTENDED ((uint32_t)1 << 30)
#define FLAG_PASSTHROUGH ((uint32_t)1 << (37 - 32)) /* of the upper half */

bool kernel_backing_is_offered(struct span init)
{
    uint32_t flags[2];

    if (init.size < FLAGS_OFFSET + sizeof(flags))
        return false;
    memcpy(flags, init.bytes + FLAGS_OFFSET, sizeof(flags));
    return (flags[0] & FLAG_EXTENDED) != 0 && (flags[1] & FLAG_PASSTHROUGH) != 0;
}

int kernel_backing_open(int fuse, int file, uint32_t *out_id)
{
    struct backing_map map = { .fd = file };
    int id = ioctl(fuse, BACKING_OPEN, &map);

    if (id <= 0)
        return id < 0 ? -errno : -EIO;
    *out_id = (uint32_t)id;
    return 0;
}

int kernel_backing_close(int fuse, uint32_t id)
{
    return ioctl(fuse, BACKING_CLOSE, &id) < 0 ? -errno : 0;
}
