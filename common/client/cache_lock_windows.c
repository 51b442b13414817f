/* SPDX-License-Identifier: MIT */
#include "common/client/cache_lock.h"

#include <errno.h>
#include <io.h>
#include <windows.h>

int cache_lock_try(int fd)
{
    HANDLE handle = (HANDLE)_get_osfhandle(fd);
    OVERLAPPED at = { .Offset = 0xfffffffe, .OffsetHigh = 0x7fffffff }; /* beyond the data */

    if (!LockFileEx(handle, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at))
        return -EBUSY;
    return 0;
}
