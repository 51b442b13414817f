/* SPDX-License-Identifier: MIT */
#include "common/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"

void cleanup_memory_at(void *at)
{
    void *pointer;

    /* `at` points at a pointer of some type: copied, since its type is not void *. */
    memcpy(&pointer, at, sizeof(pointer));
    memory_free(pointer);
}

void cleanup_fd_at(int *at)
{
    int saved = errno;

    if (*at >= 0)
        close(*at);
    *at = -1;
    errno = saved;
}

int take_fd(int *at)
{
    int fd = *at;

    *at = -1;
    return fd;
}
