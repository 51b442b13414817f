/* SPDX-License-Identifier: MIT */
/*
 * store_faults - for tests: a disk that fails and dawdles, and a clock that jumps, under a program
 * that knows nothing of it.
 *
 *     LD_PRELOAD=libstore_faults.so STORE_FAULTS=FILE STORE_FAULTS_BELOW=DIR program ...
 *
 * Calls on files below DIR fail before they do anything, or do what they should a while later: so
 * many of a million each. FILE is a struct control, mapped: whoever writes into it is heard by the
 * next call (tests/functional/support/faulty_disk.py does). What the program takes for the time is
 * `clock_s` seconds later than it is. Reading fails with EIO, what needs room with EIO or ENOSPC.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MILLION 1000000u

/* As faulty_disk.py packs it. */
struct control {
    _Atomic uint64_t seed;
    _Atomic uint64_t fail, delay; /* of a million calls */
    _Atomic uint64_t delay_us;    /* at most */
    _Atomic int64_t clock_s;
    _Atomic uint64_t calls, failed, delayed; /* so far, by all programs with this file */
};

static struct control *control; /* NULL: nothing fails */
static const char *below;
static size_t below_size;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("STORE_FAULTS");
    void *mapping;
    int fd;

    below = getenv("STORE_FAULTS_BELOW");
    if (path == NULL || below == NULL)
        return;
    below_size = strlen(below);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    mapping = fd < 0 ? MAP_FAILED
                     : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED) {
        fprintf(stderr, "store_faults: %s: %s\n", path, strerror(errno));
        abort();
    }
    close(fd);
    control = mapping;
}

/* The call of the C library that one of ours stands before. */
#define NEXT(function, symbol)                                        \
    ({                                                                \
        static __typeof__(function) *found;                           \
        if (found == NULL)                                            \
            found = (__typeof__(function) *)dlsym(RTLD_NEXT, symbol); \
        found;                                                        \
    })

/* ------------------------------------------------------------ which calls */

/* splitmix64 */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool is_below(const char *path)
{
    return strncmp(path, below, below_size) == 0 &&
           (path[below_size] == '/' || path[below_size] == '\0');
}

static bool is_ours(int fd)
{
    char name[48], path[PATH_MAX];
    ssize_t size;

    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    size = readlink(name, path, sizeof(path) - 1);
    if (size < 0)
        return false;
    path[size] = '\0';
    return is_below(path);
}

static bool is_ours_at(int fd, const char *path)
{
    return path[0] == '/' ? is_below(path) : fd != AT_FDCWD && is_ours(fd);
}

static void dawdle(uint64_t us)
{
    const struct timespec wait = { .tv_sec = (time_t)(us / MILLION),
                                   .tv_nsec = (long)(us % MILLION) * 1000 };

    nanosleep(&wait, NULL);
}

/* A call of a file of ours: true when it is to fail, with errno set. */
static bool strikes(bool needs_room)
{
    uint64_t chance = mixed(atomic_load(&control->seed) + atomic_fetch_add(&control->calls, 1));
    uint64_t longest = atomic_load(&control->delay_us);

    if (chance % MILLION < atomic_load(&control->fail)) {
        atomic_fetch_add(&control->failed, 1);
        errno = needs_room && (chance >> 40) % 2 != 0 ? ENOSPC : EIO;
        return true;
    }
    chance = mixed(chance);
    if (chance % MILLION < atomic_load(&control->delay) && longest > 0) {
        atomic_fetch_add(&control->delayed, 1);
        dawdle((chance >> 20) % longest);
    }
    return false;
}

static bool is_idle(void)
{
    return control == NULL ||
           (atomic_load(&control->fail) == 0 && atomic_load(&control->delay) == 0);
}

static bool fails(int fd, bool needs_room)
{
    return !is_idle() && is_ours(fd) && strikes(needs_room);
}

static bool fails_at(int fd, const char *path, bool needs_room)
{
    return !is_idle() && is_ours_at(fd, path) && strikes(needs_room);
}

/* ------------------------------------------------------------ the calls */

/* The names with 64 are those that a program with large files has; here the headers give them. */

int openat(int at, const char *path, int flags, ...)
{
    const bool makes = (flags & O_CREAT) != 0;
    mode_t mode = 0;

    if (makes) {
        va_list more;

        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    if (fails_at(at, path, makes))
        return -1;
    return NEXT(openat, "openat64")(at, path, flags, mode);
}

/* openat2() has no function of its own. */
long syscall(long number, ...)
{
    long values[6];
    va_list more;

    va_start(more, number);
    for (unsigned i = 0; i < 6; i++)
        values[i] = va_arg(more, long);
    va_end(more);
    if (number == SYS_openat2 && fails_at((int)values[0], (const char *)values[1], false))
        return -1;
    return NEXT(syscall, "syscall")(number, values[0], values[1], values[2], values[3], values[4],
                                    values[5]);
}

int mkdirat(int at, const char *path, mode_t mode)
{
    return fails_at(at, path, true) ? -1 : NEXT(mkdirat, "mkdirat")(at, path, mode);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    if (fails_at(to_at, to, true))
        return -1;
    return NEXT(renameat, "renameat")(from_at, from, to_at, to);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    if (fails_at(to_at, to, true))
        return -1;
    return NEXT(renameat2, "renameat2")(from_at, from, to_at, to, flags);
}

int unlinkat(int at, const char *path, int flags)
{
    return fails_at(at, path, false) ? -1 : NEXT(unlinkat, "unlinkat")(at, path, flags);
}

ssize_t read(int fd, void *out, size_t size)
{
    return fails(fd, false) ? -1 : NEXT(read, "read")(fd, out, size);
}

ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
    return fails(fd, false) ? -1 : NEXT(pread, "pread64")(fd, out, size, offset);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return fails(fd, true) ? -1 : NEXT(write, "write")(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return fails(fd, true) ? -1 : NEXT(pwrite, "pwrite64")(fd, bytes, size, offset);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
    return fails(from, false) ? -1 : NEXT(sendfile, "sendfile64")(to, from, offset, size);
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t size,
                        unsigned flags)
{
    if (fails(to, true))
        return -1;
    return NEXT(copy_file_range, "copy_file_range")(from, from_offset, to, to_offset, size, flags);
}

int ftruncate(int fd, off_t size)
{
    return fails(fd, true) ? -1 : NEXT(ftruncate, "ftruncate64")(fd, size);
}

int fsync(int fd)
{
    return fails(fd, true) ? -1 : NEXT(fsync, "fsync")(fd);
}

int fdatasync(int fd)
{
    return fails(fd, true) ? -1 : NEXT(fdatasync, "fdatasync")(fd);
}

int syncfs(int fd)
{
    return fails(fd, true) ? -1 : NEXT(syncfs, "syncfs")(fd);
}

int sync_file_range(int fd, off_t offset, off_t size, unsigned flags)
{
    if (fails(fd, true))
        return -1;
    return NEXT(sync_file_range, "sync_file_range")(fd, offset, size, flags);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const int r = NEXT(clock_gettime, "clock_gettime")(clock, out);

    if (r == 0 && control != NULL && clock == CLOCK_REALTIME)
        out->tv_sec += atomic_load(&control->clock_s);
    return r;
}
