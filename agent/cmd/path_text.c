/* SPDX-License-Identifier: MIT */
#include "agent/cmd/path_text.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"

bool path_is_separator(char c)
{
#ifdef _WIN32
    if (c == '\\')
        return true;
#endif
    return c == '/';
}

size_t path_trim(const char *path, size_t size)
{
    while (size > 1 && path_is_separator(path[size - 1]))
        size--;
    return size;
}

size_t path_last_name(const char *path, size_t size)
{
    while (size > 0 && !path_is_separator(path[size - 1]))
        size--;
    return size;
}

int path_open(const char *path, size_t size, struct directory **out, struct error *err)
{
    cleanup_memory char *part = size == 0 ? memory_text(".") : memory_copy(path, size);

    return part == NULL ? error_set(err, -ENOMEM, "out of memory") : directory_open(part, out, err);
}
