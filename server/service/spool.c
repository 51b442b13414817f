/* SPDX-License-Identifier: MIT */
#include "server/service/spool.h"

#include <errno.h>
#include <sys/mman.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "server/service/scratch.h"

void spool_init(struct spool *spool, const char *directory)
{
    *spool = (struct spool){ .directory = directory, .head = buf_init(BUF_UNLIMITED), .fd = -1 };
}

void spool_release(struct spool *spool)
{
    if (spool->mapping != NULL)
        munmap(spool->mapping, (size_t)spool->size);
    spool->mapping = NULL;
    buf_release(&spool->head);
    cleanup_fd_at(&spool->fd);
    spool->fd = -1;
    spool->size = 0;
}

static int spill(struct spool *spool, struct error *err)
{
    int r = scratch_file(spool->directory, &spool->fd, err);

    if (r == 0)
        r = file_write(spool->fd, spool->head.bytes, spool->head.size, err);
    buf_release(&spool->head);
    return r;
}

int spool_add(struct spool *spool, struct span bytes, struct error *err)
{
    int r = 0;

    if (spool->fd < 0 && spool->directory != NULL && spool->size + bytes.size > SCRATCH_SMALL)
        r = spill(spool, err);
    if (r == 0 && spool->fd >= 0) {
        r = file_write(spool->fd, bytes.bytes, bytes.size, err);
    } else if (r == 0) {
        buf_add_span(&spool->head, bytes);
        r = buf_check(&spool->head, err);
    }
    if (r < 0)
        return r;
    spool->size += bytes.size;
    return 0;
}

int spool_bytes(struct spool *spool, struct span *out, struct error *err)
{
    if (spool->fd < 0) {
        *out = buf_span(&spool->head);
        return 0;
    }
    if (spool->mapping == NULL) {
        void *mapping = mmap(NULL, (size_t)spool->size, PROT_READ, MAP_SHARED, spool->fd, 0);

        if (mapping == MAP_FAILED)
            return error_system(err, errno, "map a spooled body");
        spool->mapping = mapping;
    }
    *out = span_of(spool->mapping, (size_t)spool->size);
    return 0;
}
