/* SPDX-License-Identifier: MIT */
#include "fs/doctor/kernel_features.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/number.h"

/* Of <linux/fuse.h> and <linux/mount.h>, newer than some headers. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define MOVE_BENEATH 0x200
#define SYS_MOVE_MOUNT 429

bool kernel_release_parse(const char *release, unsigned *out_major, unsigned *out_minor)
{
    struct span rest = span_text(release), major_text;
    uint64_t major_number, minor_number;
    size_t digits = 0;

    if (!span_cut(&rest, '.', &major_text) ||
        number_parse(major_text, 1000, &major_number, NULL) < 0)
        return false;
    while (digits < rest.size && rest.bytes[digits] >= '0' && rest.bytes[digits] <= '9')
        digits++;
    if (number_parse(span_slice(rest, 0, digits), 1000, &minor_number, NULL) < 0)
        return false;
    *out_major = (unsigned)major_number;
    *out_minor = (unsigned)minor_number;
    return true;
}

static bool is_at_least(const struct kernel_features *features, unsigned major, unsigned minor)
{
    return features->major > major || (features->major == major && features->minor >= minor);
}

/* A kernel that does not know the call says ENOTTY, one that does that nothing is mounted yet. */
static bool has_passthrough(int fuse, const struct kernel_features *features)
{
    struct backing_map map = { .fd = -1 };

    if (fuse < 0)
        return is_at_least(features, 6, 9);
    return ioctl(fuse, BACKING_OPEN, &map) == 0 || (errno != ENOTTY && errno != EOPNOTSUPP);
}

/* Flags are looked at before descriptors; who may not mount is told so before both. */
static bool has_beneath(const struct kernel_features *features)
{
    if (syscall(SYS_MOVE_MOUNT, -1, "", -1, "", MOVE_BENEATH) < 0 && errno != EPERM)
        return errno != EINVAL && errno != ENOSYS;
    return is_at_least(features, 6, 5);
}

void kernel_features_find(int fuse, struct kernel_features *out)
{
    struct utsname names;

    *out = (struct kernel_features){ .major = 0 };
    if (uname(&names) == 0) {
        (void)snprintf(out->release, sizeof(out->release), "%.64s", names.release);
        kernel_release_parse(names.release, &out->major, &out->minor);
    }
    out->resend = is_at_least(out, 6, 9);
    out->passthrough = has_passthrough(fuse, out);
    out->mount_beneath = has_beneath(out);
}
