/* SPDX-License-Identifier: MIT */
#include "agent/cmd/dest.h"

#include <errno.h>
#include <string.h>

#include "agent/cmd/path_text.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

CLEANUP_DEFINE(directory, directory_close);

static size_t find_kept(const char *path)
{
    size_t size = path_trim(path, strlen(path));

    while (size > 0) {
        cleanup(cleanup_directory) struct directory *at = NULL;
        if (path_open(path, size, &at, NULL) == 0 || path_last_name(path, size) == size)
            return size;
        size = path_last_name(path, size);
        size = size > 1 ? path_trim(path, size) : size;
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
    size_t size = dest->path != NULL ? path_trim(dest->path, strlen(dest->path)) : 0;
    int r = 0;

    while (r == 0 && size > dest->kept) {
        cleanup(cleanup_directory) struct directory *parent = NULL;
        cleanup_memory char *name = NULL;
        size_t start = path_last_name(dest->path, size);

        name = memory_copy(dest->path + start, size - start);
        r = name == NULL ? -ENOMEM : path_open(dest->path, start, &parent, NULL);
        if (r == 0)
            r = directory_remove_empty(parent, name, NULL);
        size = path_trim(dest->path, start);
    }
}

void dest_release(struct dest *dest)
{
    dest->path = memory_free(dest->path);
}
