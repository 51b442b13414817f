/* SPDX-License-Identifier: MIT */
#include "common/client/cache_lock.h"

#include <errno.h>
#include <sys/file.h>

int cache_lock_try(int fd)
{
    int r;

    do
        r = flock(fd, LOCK_EX | LOCK_NB);
    while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : -EBUSY;
}
