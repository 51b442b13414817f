/* SPDX-License-Identifier: MIT */
#include "server/service/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

/* Some file systems have no O_TMPFILE: a name that is taken away at once does the same. */
int scratch_file(const char *directory, int *out_fd, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int fd = directory != NULL ? open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                                          : memfd_create("scratch", MFD_CLOEXEC);
    int r;

    if (directory == NULL)
        directory = "memory";
    else if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        buf_format(&path, "%s/scratch-XXXXXX", directory);
        r = buf_check(&path, err);
        if (r < 0)
            return r;
        buf_text(&path);
        fd = mkostemp((char *)path.bytes, O_CLOEXEC);
        if (fd >= 0)
            unlink((char *)path.bytes);
    }
    if (fd < 0)
        return error_system(err, errno, "scratch file in %s", directory);
    *out_fd = take_fd(&fd);
    return 0;
}

static int reserve(int fd, uint64_t size, struct error *err)
{
    int r;

    do {
        r = posix_fallocate(fd, 0, (off_t)size);
    } while (r == EINTR);
    if (r != 0)
        return error_system(err, r, "scratch file of %llu bytes", (unsigned long long)size);
    return 0;
}

int scratch_map(const char *directory, uint64_t size, struct scratch *out, struct error *err)
{
    return scratch_map_file(size > SCRATCH_SMALL ? directory : NULL, size, out, err);
}

int scratch_map_file(const char *directory, uint64_t size, struct scratch *out, struct error *err)
{
    cleanup_fd int fd = -1;
    void *bytes;
    int r;

    if (size == 0) {
        *out = (struct scratch){ NULL, 0 };
        return 0;
    }
    if (size > SIZE_MAX / 2)
        return error_set(err, -EFBIG, "scratch of %llu bytes", (unsigned long long)size);
    if (directory != NULL) {
        r = scratch_file(directory, &fd, err);
        if (r < 0)
            return r;
        r = reserve(fd, size, err);
        if (r < 0)
            return r;
    }
    bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
                 fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (bytes == MAP_FAILED)
        return error_system(err, errno, "map %llu bytes", (unsigned long long)size);
    *out = (struct scratch){ bytes, (size_t)size };
    return 0;
}

void scratch_release(struct scratch *scratch)
{
    if (scratch->bytes != NULL)
        munmap(scratch->bytes, scratch->size);
    *scratch = (struct scratch){ NULL, 0 };
}
