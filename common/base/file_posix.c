/* SPDX-License-Identifier: MIT */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file_stat.h"
#include "common/base/memory.h"
#include "common/base/random.h"

#define IO_MAX ((size_t)1 << 30) /* what every system takes in one call */
#define COPY_STEP (256 * 1024)

#ifdef __APPLE__
#define STAT_MTIME(s) ((s)->st_mtimespec)
#define STAT_CTIME(s) ((s)->st_ctimespec)
#else
#define STAT_MTIME(s) ((s)->st_mtim)
#define STAT_CTIME(s) ((s)->st_ctim)
#endif

static enum file_kind kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return FILE_REGULAR;
    if (S_ISDIR(mode))
        return FILE_DIRECTORY;
    return S_ISLNK(mode) ? FILE_LINK : FILE_OTHER;
}

struct file_info file_info_of_stat(const struct stat *st)
{
    return (struct file_info){
        .kind = kind_of(st->st_mode),
        .mode = (uint32_t)st->st_mode & 07777,
        .size = (uint64_t)st->st_size,
        .mtime_s = (int64_t)STAT_MTIME(st).tv_sec,
        .mtime_ns = (uint32_t)STAT_MTIME(st).tv_nsec,
        .ctime_s = (int64_t)STAT_CTIME(st).tv_sec,
        .ctime_ns = (uint32_t)STAT_CTIME(st).tv_nsec,
        .device = (uint64_t)st->st_dev,
        .inode = (uint64_t)st->st_ino,
        .links = (uint64_t)st->st_nlink,
        .owner = (uint32_t)st->st_uid,
        .group = (uint32_t)st->st_gid,
    };
}

bool file_info_is_mine(const struct file_info *info)
{
    return info->owner == (uint32_t)geteuid();
}

int file_open_read(const char *path, int *out_fd, struct error *err)
{
    int fd;

    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return error_system(err, errno, "%s", path);
    *out_fd = fd;
    return 0;
}

int file_info(int fd, struct file_info *out, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return error_system(err, errno, "cannot examine an open file");
    *out = file_info_of_stat(&st);
    return 0;
}

/* offset < 0: at the file's position. */
static int read_some(int fd, int64_t offset, uint8_t *out, size_t size, size_t *out_size,
                     struct error *err)
{
    size_t done = 0;

    while (done < size) {
        size_t step = size - done < IO_MAX ? size - done : IO_MAX;
        ssize_t n = offset < 0 ? read(fd, out + done, step)
                               : pread(fd, out + done, step, (off_t)(offset + (int64_t)done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_system(err, errno, "cannot read");
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *out_size = done;
    return 0;
}

int file_read_at(int fd, uint64_t offset, void *out, size_t size, size_t *out_size,
                 struct error *err)
{
    if (offset > INT64_MAX - size)
        return error_set(err, -EINVAL, "cannot read: offset out of range");
    return read_some(fd, (int64_t)offset, out, size, out_size, err);
}

int file_read(int fd, void *out, size_t size, size_t *out_size, struct error *err)
{
    return read_some(fd, -1, out, size, out_size, err);
}

static int write_all(int fd, int64_t offset, const uint8_t *bytes, size_t size, struct error *err)
{
    size_t done = 0;

    while (done < size) {
        size_t step = size - done < IO_MAX ? size - done : IO_MAX;
        ssize_t n = offset < 0 ? write(fd, bytes + done, step)
                               : pwrite(fd, bytes + done, step, (off_t)(offset + (int64_t)done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_system(err, errno, "cannot write");
        if (n == 0)
            return error_set(err, -EIO, "cannot write: the system took nothing");
        done += (size_t)n;
    }
    return 0;
}

int file_write_at(int fd, uint64_t offset, const void *bytes, size_t size, struct error *err)
{
    if (offset > INT64_MAX - size)
        return error_set(err, -EINVAL, "cannot write: offset out of range");
    return write_all(fd, (int64_t)offset, bytes, size, err);
}

int file_write(int fd, const void *bytes, size_t size, struct error *err)
{
    return write_all(fd, -1, bytes, size, err);
}

int file_truncate(int fd, uint64_t size, struct error *err)
{
    int r;

    if (size > INT64_MAX)
        return error_set(err, -EINVAL, "cannot set the size: out of range");
    do {
        r = ftruncate(fd, (off_t)size);
    } while (r != 0 && errno == EINTR);
    return r != 0 ? error_system(err, errno, "cannot set the size") : 0;
}

int file_sync(int fd, struct error *err)
{
    return fsync(fd) != 0 ? error_system(err, errno, "cannot sync") : 0;
}

int file_set_owner(int fd, uint32_t owner, uint32_t group, struct error *err)
{
    return fchown(fd, (uid_t)owner, (gid_t)group) != 0
               ? error_system(err, errno, "cannot give it its owner")
               : 0;
}

int file_set_mode(int fd, uint32_t mode, struct error *err)
{
    return fchmod(fd, (mode_t)mode) != 0 ? error_system(err, errno, "cannot set the mode") : 0;
}

int file_set_mtime(int fd, int64_t mtime_s, struct error *err)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)mtime_s } };

    return futimens(fd, times) != 0 ? error_system(err, errno, "cannot set the time") : 0;
}

void file_sync_begin(int fd, uint64_t offset, uint64_t size)
{
#ifdef __linux__
    (void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
#endif
}

int file_read_directly(int fd, bool on)
{
#ifdef O_DIRECT
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
        return -ENOTSUP;
    return 0;
#else
    return -ENOTSUP;
#endif
}

int file_sync_data(int fd, struct error *err)
{
#ifdef __APPLE__
    return file_sync(fd, err);
#else
    return fdatasync(fd) != 0 ? error_system(err, errno, "cannot sync") : 0;
#endif
}

/* What the kernel copies by itself; *done counts. 0 also when it cannot: then the rest is read
 * and written. */
static void copy_inside(int from, int to, uint64_t size, uint64_t *done)
{
#ifdef __linux__
    while (*done < size) {
        off_t in = (off_t)*done, out = (off_t)*done;
        size_t step = size - *done < IO_MAX ? (size_t)(size - *done) : IO_MAX;
        ssize_t n = copy_file_range(from, &in, to, &out, step, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        *done += (uint64_t)n;
    }
#else
    (void)from, (void)to, (void)size, (void)done;
#endif
}

int file_copy(int from, int to, uint64_t size, struct error *err)
{
    cleanup_memory uint8_t *bytes = NULL;
    uint64_t done = 0;

    copy_inside(from, to, size, &done);
    if (done == size)
        return 0;
    bytes = memory_new(COPY_STEP);
    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    while (done < size) {
        size_t step = size - done < COPY_STEP ? (size_t)(size - done) : COPY_STEP;
        size_t n = 0;
        int r = file_read_at(from, done, bytes, step, &n, err);
        if (r == 0 && n < step)
            r = error_set(err, -EIO, "cannot copy: the file is shorter than it was");
        if (r == 0)
            r = file_write_at(to, done, bytes, n, err);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

int file_lock(int fd, struct error *err)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, -EBUSY, "locked by another process");
        if (errno != EINTR)
            return error_system(err, errno, "cannot lock");
    }
    return 0;
}

int file_map(int fd, size_t size, struct span *out_bytes, struct error *err)
{
    void *at = NULL;

    if (size > 0) {
        at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
            return error_system(err, errno, "cannot map %zu bytes", size);
    }
    *out_bytes = span_of(at, size);
    return 0;
}

void file_unmap(struct span bytes)
{
    if (bytes.size > 0)
        munmap((void *)(uintptr_t)bytes.bytes, bytes.size);
}

/* The directory part of `path`, "." when it has none; memory_free() it. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return memory_text(".");
    return memory_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

static int sync_directory_of(const char *path, struct error *err)
{
    cleanup_memory char *parent = directory_of(path);
    cleanup_fd int fd = -1;

    if (parent == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_system(err, errno, "%s", parent);
    return 0;
}

static int write_new(const char *path, struct span bytes, uint32_t mode, struct error *err)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return error_system(err, errno, "%s", path);
    if (fchmod(fd, (mode_t)mode) != 0)
        return error_system(err, errno, "%s", path);
    r = file_write(fd, bytes.bytes, bytes.size, err);
    if (r == 0)
        r = file_sync(fd, err);
    return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

int file_save(const char *path, struct span bytes, uint32_t mode, struct error *err)
{
    cleanup(buf_release) struct buf beside = buf_init(BUF_UNLIMITED);
    uint64_t number;
    int r = random_bytes(&number, sizeof(number), err);

    if (r < 0)
        return r;
    buf_format(&beside, "%s.%016llx", path, (unsigned long long)number);
    r = buf_check(&beside, err);
    if (r < 0)
        return r;
    r = write_new(buf_text(&beside), bytes, mode, err);
    if (r == 0 && rename(buf_text(&beside), path) != 0)
        r = error_system(err, errno, "%s", path);
    if (r < 0) {
        if (r != -EEXIST)
            unlink(buf_text(&beside));
        return r;
    }
    return sync_directory_of(path, err);
}

int file_make_directories(const char *path, uint32_t mode, struct error *err)
{
    cleanup_memory char *partial = memory_text(path);
    struct stat st;

    if (partial == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (char *at = partial;; at++) {
        char saved = *at;
        int failure;
        if (saved != '/' && saved != '\0')
            continue;
        *at = '\0';
        failure = at == partial || mkdir(partial, (mode_t)mode) == 0 ? 0 : errno;
        if (failure != 0 && failure != EEXIST && !(stat(partial, &st) == 0 && S_ISDIR(st.st_mode)))
            return error_system(err, failure, "%s", partial);
        *at = saved;
        if (saved == '\0')
            break;
    }
    if (stat(path, &st) != 0)
        return error_system(err, errno, "%s", path);
    return S_ISDIR(st.st_mode) ? 0 : error_set(err, -ENOTDIR, "%s: is not a directory", path);
}

int file_free_space(const char *path, uint64_t *out_bytes, struct error *err)
{
    struct statvfs vfs;

    if (statvfs(path, &vfs) != 0)
        return error_system(err, errno, "%s", path);
    *out_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}
