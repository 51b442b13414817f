/* SPDX-License-Identifier: MIT */
#include "server/main/data_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define PATH_MAX_TEXT 4096

CLEANUP_DEFINE(directory, directory_close);

int data_directory_lock(const char *path, int *out_fd, struct error *err)
{
    cleanup(buf_release) struct buf name = buf_init(PATH_MAX_TEXT);
    cleanup_fd int fd = -1;
    int r;

    buf_format(&name, "%s/.serving", path);
    r = buf_check(&name, err);
    if (r < 0)
        return r;
    fd = open(buf_text(&name), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EROFS)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_system(err, errno, "%s", buf_text(&name));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return error_set(err, -EBUSY, "the data directory %s is served by another process", path);
    *out_fd = take_fd(&fd);
    return 0;
}

/* The longest part of it that is there, without links, and the rest as it stands; ends with "/". */
static int resolve(const char *path, struct buf *out, struct error *err)
{
    cleanup_memory char *head = memory_text(path);
    char *real = NULL;
    size_t size = strlen(path);

    if (head == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    while (size > 0 && (real = realpath(head, NULL)) == NULL && errno == ENOENT) {
        while (size > 0 && head[size - 1] == '/')
            size--;
        while (size > 0 && head[size - 1] != '/')
            size--;
        head[size] = '\0';
    }
    if (real == NULL && size == 0)
        real = realpath(path[0] == '/' ? "/" : ".", NULL);
    if (real == NULL)
        return error_system(err, errno, "%s", path);
    buf_format(out, "%s/%s/", strcmp(real, "/") == 0 ? "" : real, path + size);
    free(real);
    while (out->size > 1 && out->bytes[out->size - 2] == '/')
        out->size--;
    return buf_check(out, err);
}

int data_directory_overlap(const char *one, const char *other, bool *out, struct error *err)
{
    cleanup(buf_release) struct buf left = buf_init(2 * PATH_MAX_TEXT);
    cleanup(buf_release) struct buf right = buf_init(2 * PATH_MAX_TEXT);
    size_t size;
    int r = resolve(one, &left, err);

    if (r == 0)
        r = resolve(other, &right, err);
    if (r < 0)
        return r;
    size = left.size < right.size ? left.size : right.size;
    *out = memcmp(left.bytes, right.bytes, size) == 0;
    return 0;
}

/* directory_each */
static int look(void *context, const char *name, enum file_kind kind, struct error *err)
{
    static const char *const known[] = { "blobs", "scratch", "delta", ".serving", "lost+found" };
    bool *empty = context;

    if (strcmp(name, "lost+found") != 0)
        *empty = false;
    if (strncmp(name, "kkartifact.db", strlen("kkartifact.db")) == 0)
        return 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i]) == 0)
            return 0;
    }
    return error_set(err, -EEXIST, "\"%s\" does not belong into a data directory", name);
}

int data_directory_look(const char *path, struct error *err)
{
    cleanup(cleanup_directory) struct directory *directory = NULL;
    bool empty = true;
    int r = directory_open(path, &directory, err);

    if (r == -ENOENT)
        return 1;
    if (r == 0)
        r = directory_list(directory, "", look, &empty, err);
    if (r < 0)
        return error_prefix(err, r, "%s", path);
    return empty;
}
