/* SPDX-License-Identifier: MIT */
#include "agent/transfer/kept_files.h"

#include "agent/transfer/cache_trim.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/random.h"
#include "common/base/volume.h"

#define KEPT "kept"
#define PATH_SIZE 128

static int name_kept(struct buf *out, const struct digest *sha256)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(sha256, hex);
    buf_format(out, KEPT "/%s", hex);
    return buf_check(out, NULL);
}

bool kept_files_open(struct directory *cache, const struct digest *sha256, uint64_t size,
                     int *out_fd)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    cleanup_fd int fd = -1;
    struct file_info info;

    if (cache == NULL || name_kept(&path, sha256) < 0 ||
        directory_open_read(cache, buf_text(&path), &fd, NULL) < 0 ||
        file_info(fd, &info, NULL) < 0 || info.size != size)
        return false;
    *out_fd = take_fd(&fd);
    return true;
}

static bool has_room(struct directory *cache, uint64_t size)
{
    struct volume_space space;

    return volume_space(cache, &space, NULL) == 0 && space.bytes >= size + KEPT_FILES_FREE;
}

static int copy(struct directory *cache, const char *path, int from, uint64_t size)
{
    cleanup_fd int fd = -1;
    int r = directory_create(cache, path, 0600, &fd, NULL);

    return r < 0 ? r : file_copy(from, fd, size, NULL);
}

void kept_files_put(struct directory *cache, const struct digest *sha256, int fd, uint64_t size)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    cleanup(buf_release) struct buf beside = buf_init(PATH_SIZE);
    cleanup_fd int there = -1;
    uint64_t number;

    if (cache == NULL || size < KEPT_FILES_MIN || size > KEPT_FILES_MAX ||
        name_kept(&path, sha256) < 0)
        return;
    if (kept_files_open(cache, sha256, size, &there)) {
        directory_set_mtime(cache, buf_text(&path), clock_now_s(), NULL);
        return;
    }
    if (!has_room(cache, size) || random_bytes(&number, sizeof(number), NULL) < 0 ||
        directory_make_all(cache, KEPT, 0700, NULL) < 0)
        return;
    buf_format(&beside, KEPT "/new-%016llx", (unsigned long long)number);
    if (copy(cache, buf_text(&beside), fd, size) < 0 ||
        directory_rename(cache, buf_text(&beside), cache, buf_text(&path), NULL) < 0)
        directory_remove_file(cache, buf_text(&beside), NULL);
}

void kept_files_remove(struct directory *cache, const struct digest *sha256)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);

    if (cache != NULL && name_kept(&path, sha256) == 0)
        directory_remove_file(cache, buf_text(&path), NULL);
}

void kept_files_trim(struct directory *cache, uint64_t bytes)
{
    cache_trim(cache, KEPT, SIZE_MAX, bytes);
}
