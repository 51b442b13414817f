/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hint_cache.h"

#include <string.h>

#include "agent/transfer/cache_trim.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/random.h"

#define HINTS "hints"
#define PATH_SIZE 128

static int name_hint(struct buf *out, const struct digest *sha256, const char *kind)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(sha256, hex);
    buf_format(out, HINTS "/%s.%s", hex, kind);
    return buf_check(out, NULL);
}

bool hint_cache_get(struct directory *cache, const struct digest *sha256, const char *kind,
                    struct buf *out)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    cleanup_fd int fd = -1;
    struct file_info info;
    struct digest digest;
    size_t got = 0;
    uint8_t *at;

    if (cache == NULL || name_hint(&path, sha256, kind) < 0 ||
        directory_open_read(cache, buf_text(&path), &fd, NULL) < 0 ||
        file_info(fd, &info, NULL) < 0 || info.size < DIGEST_SIZE ||
        info.size > HINT_CACHE_LARGEST + DIGEST_SIZE)
        return false;
    at = buf_reserve(out, (size_t)info.size);
    if (at == NULL || file_read_at(fd, 0, at, (size_t)info.size, &got, NULL) < 0 ||
        got != info.size)
        return false;
    digest = digest_of(at, got - DIGEST_SIZE);
    if (memcmp(digest.bytes, at + got - DIGEST_SIZE, DIGEST_SIZE) != 0)
        return false;
    buf_added(out, got - DIGEST_SIZE);
    directory_set_mtime(cache, buf_text(&path), clock_now_s(), NULL);
    return true;
}

static int write_hint(struct directory *cache, const char *path, struct span hint)
{
    struct digest digest = digest_of_span(hint);
    cleanup_fd int fd = -1;
    int r = directory_create(cache, path, 0600, &fd, NULL);

    if (r == 0)
        r = file_write(fd, hint.bytes, hint.size, NULL);
    return r < 0 ? r : file_write(fd, digest.bytes, DIGEST_SIZE, NULL);
}

void hint_cache_put(struct directory *cache, const struct digest *sha256, const char *kind,
                    struct span hint)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    cleanup(buf_release) struct buf beside = buf_init(PATH_SIZE);
    uint64_t number;

    if (cache == NULL || hint.size > HINT_CACHE_LARGEST || name_hint(&path, sha256, kind) < 0 ||
        random_bytes(&number, sizeof(number), NULL) < 0 ||
        directory_make_all(cache, HINTS, 0700, NULL) < 0)
        return;
    buf_format(&beside, HINTS "/new-%016llx", (unsigned long long)number);
    if (write_hint(cache, buf_text(&beside), hint) < 0 ||
        directory_rename(cache, buf_text(&beside), cache, buf_text(&path), NULL) < 0)
        directory_remove_file(cache, buf_text(&beside), NULL);
}

void hint_cache_trim(struct directory *cache, size_t files, uint64_t bytes)
{
    cache_trim(cache, HINTS, files, bytes);
}
