/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

/* A whole page: what is mapped is never beyond the file's end (SIGBUS). */
#define EPOCH_FILE_SIZE 4096

struct sqlite_epoch {
    _Atomic uint64_t *shared; /* EPOCH_KINDS of them */
    _Atomic uint64_t own[EPOCH_KINDS];
    void *mapping;
};

static int file_map(struct sqlite_epoch *epoch, const char *path, struct error *err)
{
    cleanup(buf_release) struct buf name = buf_init(PATH_MAX);
    cleanup_fd int fd = -1;
    int r;

    buf_format(&name, "%s-epoch", path);
    r = buf_check(&name, err);
    if (r < 0)
        return r;
    fd = open(buf_text(&name), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_system(err, errno, "%s", buf_text(&name));
    /* Blocks are there before they are mapped: a full disk is an error here and not a signal later.
     */
    r = posix_fallocate(fd, 0, EPOCH_FILE_SIZE);
    if (r != 0)
        return error_system(err, r, "%s", buf_text(&name));
    epoch->mapping = mmap(NULL, EPOCH_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (epoch->mapping == MAP_FAILED) {
        epoch->mapping = NULL;
        return error_system(err, errno, "%s", buf_text(&name));
    }
    epoch->shared = epoch->mapping;
    return 0;
}

int sqlite_epoch_open(const char *path, struct sqlite_epoch **out, struct error *err)
{
    struct sqlite_epoch *epoch = memory_new(sizeof(*epoch));
    int r;

    if (epoch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    epoch->shared = epoch->own;
    if (path != NULL) {
        r = file_map(epoch, path, err);
        if (r < 0) {
            sqlite_epoch_close(epoch);
            return r;
        }
    }
    *out = epoch;
    return 0;
}

struct sqlite_epoch *sqlite_epoch_close(struct sqlite_epoch *epoch)
{
    if (epoch == NULL)
        return NULL;
    if (epoch->mapping != NULL)
        munmap(epoch->mapping, EPOCH_FILE_SIZE);
    return memory_free(epoch);
}

uint64_t sqlite_epoch_get(struct sqlite_epoch *epoch, enum epoch_kind kind)
{
    return atomic_load_explicit(&epoch->shared[kind], memory_order_acquire);
}

void sqlite_epoch_advance(struct sqlite_epoch *epoch, enum epoch_kind kind)
{
    atomic_fetch_add_explicit(&epoch->shared[kind], 1, memory_order_acq_rel);
}
