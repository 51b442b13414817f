/* SPDX-License-Identifier: MIT */
#include "common/base/volume.h"

#include <errno.h>
#include <windows.h>

#include "common/base/directory_root.h"
#include "common/base/error.h"
#include "common/base/widepath.h"

int volume_space(struct directory *directory, struct volume_space *out, struct error *err)
{
    ULARGE_INTEGER available;

    if (!GetDiskFreeSpaceExW(directory_root(directory), &available, NULL, NULL))
        return widepath_failed(GetLastError(), "cannot examine the file system", err);
    *out = (struct volume_space){ available.QuadPart, UINT64_MAX };
    return 0;
}

bool volume_shares(struct directory *directory)
{
    return false; /* file_copy() writes every byte here */
}

int volume_sync(struct directory *directory, struct error *err)
{
    return error_set(err, -ENOTSUP, "a file system cannot be synced as a whole here");
}
