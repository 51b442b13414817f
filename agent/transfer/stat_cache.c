/* SPDX-License-Identifier: MIT */
#include "agent/transfer/stat_cache.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/model/entry.h"

#define MAGIC "kkartifact-stat-1"
#define MAGIC_SIZE sizeof(MAGIC)
#define HEAD_SIZE (MAGIC_SIZE + 8 + 4)
#define TAIL_SIZE (2 + DIGEST_SIZE)
#define RECORD_SIZE (2 + 8 + DIGEST_SIZE) /* before the path */
#define WRITE_STEP (64 * 1024)
#define CLOCK_GRAIN_NS 20000000 /* of the coarse clock that stamps files: 10 ms at HZ=100, twice */

struct stat_cache {
    struct span bytes; /* a mapping */
    size_t at, end;    /* records */
    int64_t begun_s;
    uint32_t begun_ns;
};

struct stat_cache_writer {
    struct directory *directory;
    char *path;
    char *beside;
    int fd;
    struct buf pending;
    struct digest_stream digest;
};

CLEANUP_DEFINE(stat_cache, stat_cache_close);
CLEANUP_DEFINE(stat_cache_writer, stat_cache_writer_free);

uint64_t stat_stamp(const struct file_info *info)
{
    static const uint64_t key[2] = { 0x6b6b2d7374617400u, 0x7374616d70000001u };
    uint8_t packed[7 * 8 + 1];

    bytes_set_u64(packed, info->size);
    bytes_set_u64(packed + 8, (uint64_t)info->mtime_s);
    bytes_set_u64(packed + 16, (uint64_t)info->ctime_s);
    bytes_set_u32(packed + 24, info->mtime_ns);
    bytes_set_u32(packed + 28, info->ctime_ns);
    bytes_set_u64(packed + 32, info->device);
    bytes_set_u64(packed + 40, info->inode);
    bytes_set_u64(packed + 48, info->mode);
    packed[56] = (uint8_t)info->kind;
    return map_hash(key, span_of(packed, sizeof(packed)));
}

static bool is_whole(struct span bytes)
{
    struct digest digest;

    if (bytes.size < HEAD_SIZE + TAIL_SIZE || memcmp(bytes.bytes, MAGIC, MAGIC_SIZE) != 0)
        return false;
    digest = digest_of(bytes.bytes, bytes.size - DIGEST_SIZE);
    return memcmp(digest.bytes, bytes.bytes + bytes.size - DIGEST_SIZE, DIGEST_SIZE) == 0 &&
           bytes_u16(bytes.bytes + bytes.size - TAIL_SIZE) == 0;
}

static void load(struct stat_cache *cache, struct directory *at, const char *path)
{
    cleanup_fd int fd = -1;
    struct file_info info;

    if (directory_open_read(at, path, &fd, NULL) < 0 || file_info(fd, &info, NULL) < 0 ||
        info.size > SIZE_MAX || file_map(fd, (size_t)info.size, &cache->bytes, NULL) < 0)
        return;
    if (!is_whole(cache->bytes)) {
        file_unmap(cache->bytes);
        cache->bytes = span_of(NULL, 0);
        return;
    }
    cache->begun_s = (int64_t)bytes_u64(cache->bytes.bytes + MAGIC_SIZE);
    cache->begun_ns = bytes_u32(cache->bytes.bytes + MAGIC_SIZE + 8);
    cache->end = cache->bytes.size - TAIL_SIZE;
    cache->at = HEAD_SIZE;
}

int stat_cache_open(struct directory *at, const char *path, struct stat_cache **out_cache,
                    struct error *err)
{
    struct stat_cache *cache = memory_new(sizeof(*cache));

    if (cache == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    load(cache, at, path);
    *out_cache = cache;
    return 0;
}

struct stat_cache *stat_cache_close(struct stat_cache *cache)
{
    if (cache == NULL)
        return NULL;
    file_unmap(cache->bytes);
    return memory_free(cache);
}

void stat_cache_rewind(struct stat_cache *cache)
{
    if (cache != NULL && cache->bytes.size > 0)
        cache->at = HEAD_SIZE;
}

/* The record at the place, without moving. */
static bool look(const struct stat_cache *cache, struct span *out_path)
{
    size_t size;

    if (cache->end - cache->at < RECORD_SIZE)
        return false;
    size = bytes_u16(cache->bytes.bytes + cache->at);
    if (size == 0 || size > cache->end - cache->at - RECORD_SIZE)
        return false;
    *out_path = span_of(cache->bytes.bytes + cache->at + RECORD_SIZE, size);
    return true;
}

bool stat_cache_next(struct stat_cache *cache, struct span *out_path, uint64_t *out_stamp,
                     struct digest *out_sha256)
{
    const uint8_t *record;

    if (cache == NULL || !look(cache, out_path))
        return false;
    record = cache->bytes.bytes + cache->at;
    *out_stamp = bytes_u64(record + 2);
    memcpy(out_sha256->bytes, record + 10, DIGEST_SIZE);
    cache->at += RECORD_SIZE + out_path->size;
    return true;
}

/* Changed so late that a further change could have left the same times. */
static bool is_too_young(const struct stat_cache *cache, const struct file_info *info)
{
    int64_t limit_s = cache->begun_s;
    int64_t limit_ns = (int64_t)cache->begun_ns - CLOCK_GRAIN_NS;

    if (limit_ns < 0) {
        limit_s--;
        limit_ns += 1000000000;
    }
    return info->ctime_s > limit_s ||
           (info->ctime_s == limit_s && (int64_t)info->ctime_ns >= limit_ns);
}

bool stat_cache_find(struct stat_cache *cache, struct span path, const struct file_info *info,
                     struct digest *out_sha256)
{
    struct span there;

    while (cache != NULL && look(cache, &there)) {
        const uint8_t *record = cache->bytes.bytes + cache->at;
        int order = entry_compare_paths(there, path);
        if (order > 0)
            return false;
        if (order == 0) {
            memcpy(out_sha256->bytes, record + 10, DIGEST_SIZE);
            return bytes_u64(record + 2) == stat_stamp(info) && !is_too_young(cache, info);
        }
        cache->at += RECORD_SIZE + there.size;
    }
    return false;
}

static int flush(struct stat_cache_writer *writer, struct error *err)
{
    int r = buf_check(&writer->pending, err);

    if (r < 0)
        return r;
    digest_stream_add(&writer->digest, writer->pending.bytes, writer->pending.size);
    r = file_write(writer->fd, writer->pending.bytes, writer->pending.size, err);
    buf_clear(&writer->pending);
    return r;
}

static int begin(struct stat_cache_writer *writer, struct error *err)
{
    struct file_info info;
    int r;

    directory_remove_file(writer->directory, writer->beside, NULL);
    r = directory_create(writer->directory, writer->beside, 0600, &writer->fd, err);
    if (r == 0)
        r = file_info(writer->fd, &info, err); /* the file system's own clock */
    if (r < 0)
        return r;
    digest_stream_init(&writer->digest);
    buf_add(&writer->pending, MAGIC, MAGIC_SIZE);
    buf_add_u64(&writer->pending, (uint64_t)info.ctime_s);
    buf_add_u32(&writer->pending, info.ctime_ns);
    return flush(writer, err);
}

int stat_cache_writer_new(struct directory *at, const char *path,
                          struct stat_cache_writer **out_writer, struct error *err)
{
    cleanup(cleanup_stat_cache_writer) struct stat_cache_writer *writer =
        memory_new(sizeof(*writer));
    cleanup(buf_release) struct buf beside = buf_init(BUF_UNLIMITED);
    int r;

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    writer->fd = -1;
    writer->directory = at;
    writer->pending = buf_init(BUF_UNLIMITED);
    buf_format(&beside, "%s.new", path);
    writer->path = memory_text(path);
    writer->beside = buf_take(&beside);
    if (writer->path == NULL || writer->beside == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = begin(writer, err);
    if (r == 0)
        *out_writer = take_pointer(&writer);
    return r;
}

int stat_cache_writer_add(struct stat_cache_writer *writer, struct span path, uint64_t stamp,
                          const struct digest *sha256, struct error *err)
{
    buf_add_u16(&writer->pending, (uint16_t)path.size);
    buf_add_u64(&writer->pending, stamp);
    buf_add(&writer->pending, sha256->bytes, DIGEST_SIZE);
    buf_add_span(&writer->pending, path);
    return writer->pending.size >= WRITE_STEP ? flush(writer, err)
                                              : buf_check(&writer->pending, err);
}

int stat_cache_writer_end(struct stat_cache_writer *writer, struct error *err)
{
    struct digest digest;
    int r;

    buf_add_u16(&writer->pending, 0);
    r = flush(writer, err);
    if (r < 0)
        return r;
    digest = digest_stream_end(&writer->digest);
    r = file_write(writer->fd, digest.bytes, DIGEST_SIZE, err);
    cleanup_fd_at(&writer->fd);
    if (r == 0)
        r = directory_rename(writer->directory, writer->beside, writer->directory, writer->path,
                             err);
    if (r == 0)
        writer->beside = memory_free(writer->beside);
    return r;
}

struct stat_cache_writer *stat_cache_writer_free(struct stat_cache_writer *writer)
{
    if (writer == NULL)
        return NULL;
    cleanup_fd_at(&writer->fd);
    if (writer->beside != NULL && writer->directory != NULL)
        directory_remove_file(writer->directory, writer->beside, NULL);
    buf_release(&writer->pending);
    memory_free(writer->path);
    memory_free(writer->beside);
    return memory_free(writer);
}
