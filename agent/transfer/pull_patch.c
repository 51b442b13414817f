/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_patch.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hash_behind.h"
#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/delta.h"

#define BUFFER_SIZE (256 * 1024)

CLEANUP_DEFINE(delta_reader, delta_reader_free);

struct patching {
    const struct pull_patch *patch;
    int base_fd, made_fd;
    uint64_t offset;
    struct digest_stream digest;
    struct hash_behind *hash; /* instead, of a large one; or NULL */
    bool disk_failed;
};

static int read_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    const struct patching *patching = context;
    size_t got = 0;
    int r = file_read_at(patching->base_fd, offset, out, size, &got, err);

    if (r < 0 || got == size)
        return r;
    if (!patching->patch->blob->base->is_changed)
        return error_set(err, -ESTALE, "the file is shorter than it was");
    memset((uint8_t *)out + got, 0, size - got);
    return 0;
}

static int write_made(void *context, const void *bytes, size_t size, struct error *err)
{
    struct patching *patching = context;
    int r = transfer_stopped(patching->patch->transfer, err);

    if (r < 0)
        return r;
    r = file_write_at(patching->made_fd, patching->offset, bytes, size, err);
    patching->disk_failed = r < 0;
    if (r < 0)
        return r;
    patching->offset += size;
    if (patching->hash != NULL)
        hash_behind_moved(patching->hash, patching->offset);
    else
        digest_stream_add(&patching->digest, bytes, size);
    return 0;
}

static int open_base(struct patching *patching, struct error *err)
{
    const struct pull_patch *patch = patching->patch;
    const struct pull_base *base = patch->blob->base;
    struct file_info info;
    int r = directory_open_read(patch->dest, base->path, &patching->base_fd, err);

    if (r == 0)
        r = file_info(patching->base_fd, &info, err);
    if (r == 0 && stat_stamp(&info) != base->stamp)
        r = error_set(err, -ESTALE, "%s: is not what it was", base->path);
    return r;
}

static int feed(struct delta_reader *reader, int fd, struct error *err)
{
    cleanup_memory uint8_t *buffer = memory_resize(NULL, BUFFER_SIZE, 1);
    uint64_t offset = 0;
    size_t got = BUFFER_SIZE;
    int r = buffer == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    while (r == 0 && got > 0) {
        r = file_read_at(fd, offset, buffer, BUFFER_SIZE, &got, err);
        if (r == 0)
            r = delta_reader_feed(reader, buffer, got, err);
        offset += got;
    }
    return r < 0 ? r : delta_reader_end(reader, err);
}

/* Of a base that was changed the delta alone tells how large it was. */
static int read_base_size(int fd, const struct pull_base *base, uint64_t *out, struct error *err)
{
    uint8_t bytes[DELTA_HEADER_SIZE];
    struct delta_header header = { .base_size = base->size };
    size_t got = 0;
    int r = 0;

    if (base->is_changed)
        r = file_read_at(fd, 0, bytes, sizeof(bytes), &got, err);
    if (r == 0 && base->is_changed)
        r = delta_header_parse(span_of(bytes, got), &header, err);
    if (r == 0 && header.base_size / 2 > base->size)
        r = error_set(err, -ESTALE, "the file is not half of what it was");
    if (r == 0)
        *out = header.base_size;
    return r;
}

static int make(struct patching *patching, struct error *err)
{
    const struct pull_blob *blob = patching->patch->blob;
    struct delta_header expected = { .base = blob->base->sha256,
                                     .target = blob->sha256,
                                     .target_size = blob->size };
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    cleanup_fd int fd = -1;
    struct digest digest;
    int r;

    if (hash_behind_pays(blob->size)) /* without a thread it goes as well */
        hash_behind_new(patching->made_fd, &patching->hash, NULL);
    r = directory_open_read(patching->patch->stage, patching->patch->delta, &fd, err);
    if (r == 0)
        r = read_base_size(fd, blob->base, &expected.base_size, err);
    if (r == 0)
        r = delta_reader_new(&reader, &expected, (struct delta_source){ read_base, patching },
                             (struct sink){ write_made, patching }, PULL_PATCH_MAX, err);
    if (r == 0)
        r = feed(reader, fd, err);
    if (r == 0 && patching->hash != NULL)
        r = hash_behind_end(patching->hash, &digest, err);
    if (r < 0)
        return r;
    if (patching->hash == NULL)
        digest = digest_stream_end(&patching->digest);
    if (digest_equal(&digest, &blob->sha256))
        return 0;
    return blob->base->is_changed
               ? PULL_PATCH_CHANGED
               : error_set(err, -EBADMSG, "what the delta makes does not match its digest");
}

int pull_patch_apply(const struct pull_patch *patch, bool *out_disk_failed, struct error *err)
{
    struct patching patching = { .patch = patch, .base_fd = -1, .made_fd = -1 };
    int r;

    *out_disk_failed = false;
    digest_stream_init(&patching.digest);
    r = open_base(&patching, err);
    if (r == 0) {
        directory_remove_file(patch->stage, patch->made, NULL);
        r = directory_create(patch->stage, patch->made, 0600, &patching.made_fd, err);
        patching.disk_failed = r < 0;
    }
    if (r == 0)
        r = make(&patching, err);
    hash_behind_free(patching.hash);
    *out_disk_failed = patching.disk_failed;
    cleanup_fd_at(&patching.base_fd);
    if (patching.made_fd >= 0) {
        cleanup_fd_at(&patching.made_fd);
        if (r < 0)
            directory_remove_file(patch->stage, patch->made, NULL);
    }
    return r;
}
