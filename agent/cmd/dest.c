/* SPDX-License-Identifier: MIT */
#include "agent/cmd/dest.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

CLEANUP_DEFINE(directory, directory_close);

static bool is_separator(char c)
{
#ifdef _WIN32
    if (c == '\\')
        return true;
#endif
    return c == '/';
}

/* Without the separators at the end. */
static size_t trim(const char *path, size_t size)
{
    while (size > 1 && is_separator(path[size - 1]))
        size--;
    return size;
}

/* Where the last name of the first `size` bytes begins. */
static size_t last_name(const char *path, size_t size)
{
    while (size > 0 && !is_separator(path[size - 1]))
        size--;
    return size;
}

/* The directory that the first `size` bytes lead to. */
static int open_part(const char *path, size_t size, struct directory **out)
{
    cleanup_memory char *part = size == 0 ? memory_text(".") : memory_copy(path, size);

    return part == NULL ? -ENOMEM : directory_open(part, out, NULL);
}

static size_t find_kept(const char *path)
{
    size_t size = trim(path, strlen(path));

    while (size > 0) {
        cleanup(cleanup_directory) struct directory *at = NULL;
        if (open_part(path, size, &at) == 0 || last_name(path, size) == size)
            return size;
        size = last_name(path, size);
        size = size > 1 ? trim(path, size) : size;
    }
    return 0;
}

int dest_make(const char *path, struct dest *out, struct error *err)
{
    cleanup(dest_release) struct dest dest = { .path = memory_text(path) };
    int r;

    if (dest.path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    dest.kept = find_kept(path);
    r = file_make_directories(path, 0755, err);
    if (r < 0) {
        dest_unmake(&dest);
        return r;
    }
    *out = dest;
    dest = (struct dest){ 0 };
    return 0;
}

void dest_unmake(const struct dest *dest)
{
    size_t size = dest->path != NULL ? trim(dest->path, strlen(dest->path)) : 0;
    int r = 0;

    while (r == 0 && size > dest->kept) {
        cleanup(cleanup_directory) struct directory *parent = NULL;
        cleanup_memory char *name = NULL;
        size_t start = last_name(dest->path, size);

        name = memory_copy(dest->path + start, size - start);
        r = name == NULL ? -ENOMEM : open_part(dest->path, start, &parent);
        if (r == 0)
            r = directory_remove_empty(parent, name, NULL);
        size = trim(dest->path, start);
    }
}

void dest_release(struct dest *dest)
{
    dest->path = memory_free(dest->path);
}
