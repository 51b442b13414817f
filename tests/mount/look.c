/* SPDX-License-Identifier: MIT */
#include "tests/mount/look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not exit(3): other threads may be in the middle of anything. */
static _Noreturn void end(void)
{
    fflush(stdout);
    _exit(1);
}

_Noreturn void look_failed(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    end();
}

_Noreturn void look_differs(const char *what, const char *path, uint64_t at)
{
    fprintf(stderr, "%s %s: wrong at byte %" PRIu64 "\n", what, path, at);
    end();
}

uint64_t look_any(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % limit;
}

void look_join(char out[LOOK_PATH_SIZE], const char *top, const char *name)
{
    if (snprintf(out, LOOK_PATH_SIZE, "%s/%s", top, name) >= LOOK_PATH_SIZE)
        abort();
}

int look_open(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

    if (fd < 0)
        look_failed("open", path);
    return fd;
}

uint64_t look_size(const char *path)
{
    struct stat info;

    if (stat(path, &info) < 0)
        look_failed("stat", path);
    return (uint64_t)info.st_size;
}

void look_read(int fd, const char *path, uint8_t *out, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, out + done, size - done, (off_t)(at + done));

        if (got < 0)
            look_failed("read", path);
        if (got == 0)
            look_differs("short read of", path, at + done);
        done += (size_t)got;
    }
}

void look_compare(const char *what, const char *path, const uint8_t *wanted, const uint8_t *got,
                  size_t size, uint64_t at)
{
    size_t same = 0;

    if (memcmp(wanted, got, size) == 0)
        return;
    while (same < size && wanted[same] == got[same])
        same++;
    look_differs(what, path, at + same);
}

void look_run(const char *path)
{
    char *arguments[] = { (char *)(uintptr_t)path, NULL }, *environment[] = { NULL };
    int fd = look_open(path, 0), status;
    pid_t pid;

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    errno = posix_spawn(&pid, path, NULL, NULL, arguments, environment);
    if (errno != 0)
        look_failed("run", path);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            look_failed("waitpid", path);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "%s ended with status %#x\n", path, (unsigned)status);
        end();
    }
}
