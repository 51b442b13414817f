/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/traced_task.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

size_t task_read(pid_t task, uint64_t address, void *out, size_t size)
{
    struct iovec here = { out, size }, there = { (void *)(uintptr_t)address, size };
    ssize_t n = process_vm_readv(task, &here, 1, &there, 1, 0);

    return n < 0 ? 0 : (size_t)n;
}

void task_text(pid_t task, uint64_t address, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    while (at + 1 < size) {
        size_t step = 256 - (address + at) % 256; /* never over the end of a page */
        size_t got;

        if (step > size - 1 - at)
            step = size - 1 - at;
        got = task_read(task, address + at, out + at, step);
        out[at + got] = '\0';
        if (got == 0 || memchr(out + at, '\0', got) != NULL)
            return;
        at += got;
    }
}

void task_link(pid_t task, const char *what, int fd, char out[TRACED_PATH_SIZE])
{
    char path[64];
    ssize_t size;

    if (fd < 0)
        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)task, what);
    else
        (void)snprintf(path, sizeof(path), "/proc/%d/%s/%d", (int)task, what, fd);
    size = readlink(path, out, TRACED_PATH_SIZE - 1);
    out[size < 0 ? 0 : size] = '\0';
}

bool task_fd_inode(pid_t task, int fd, uint64_t *out)
{
    char path[64];
    struct stat info;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task, fd);
    if (fd < 0 || stat(path, &info) != 0)
        return false;
    *out = info.st_ino;
    return true;
}

uint64_t task_fd_position(pid_t task, int fd)
{
    char path[64];
    unsigned long long position = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)task, fd);
    file = fopen(path, "re");
    if (file == NULL || fscanf(file, "pos: %llu", &position) != 1)
        err(1, "%s", path);
    fclose(file);
    return position;
}
