/* SPDX-License-Identifier: MIT */
#include "server/service/pack_download.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/pack.h"
#include "server/service/content_state.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

/* The fastest: the pack is made while somebody waits for it. */
#define LEVEL 1

struct pack_download {
    struct services *services;
    struct version_fact version;
    struct digest *wanted;
    size_t count, next;
    bool compress, ended;
    struct pack_writer *writer;
    uint8_t *member;  /* PACK_DOWNLOAD_MEMBER_MAX bytes */
    struct buf ready; /* of the pack, not read yet from `taken` on */
    size_t taken;
};

CLEANUP_DEFINE(pack_download, pack_download_free);
CLEANUP_DEFINE(content, content_close);

static int prepare(struct pack_download *download, const struct digest *wanted, size_t count,
                   struct error *err)
{
    download->wanted = memory_copy(wanted, count * sizeof(*wanted));
    download->member = memory_resize(NULL, PACK_DOWNLOAD_MEMBER_MAX, 1);
    download->count = count;
    download->ready = buf_init(BUF_UNLIMITED);
    if (download->wanted == NULL || download->member == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return pack_writer_new(&download->writer, LEVEL, sink_to_buf(&download->ready), err);
}

static int compare(const void *a, const void *b)
{
    return digest_compare(a, b);
}

/* One named again and again would make a large answer of a small request. */
static int refuse_twice(const struct digest *wanted, size_t count, struct refusal *why,
                        struct error *err)
{
    cleanup_memory struct digest *sorted = memory_copy(wanted, count * sizeof(*wanted));

    if (sorted == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    qsort(sorted, count, sizeof(*sorted), compare);
    for (size_t i = 1; i < count; i++)
        if (digest_equal(&sorted[i - 1], &sorted[i]))
            return refusal_at(why, "", error_set(err, -EINVAL, "a blob is named twice"));
    return 0;
}

int pack_download_open(struct services *services, const struct identity *identity,
                       const char *project, const char *app, const char *reference,
                       const struct digest *wanted, size_t count, bool compress,
                       struct pack_download **out_download, struct refusal *why, struct error *err)
{
    cleanup(cleanup_pack_download) struct pack_download *download = memory_new(sizeof(*download));
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    int r;

    if (download == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    download->services = services;
    download->compress = compress;
    r = content_open_version(services, identity, project, app, reference, &download->version,
                             &image, why, err);
    if (r < 0)
        return r;
    if (count > PACK_DOWNLOAD_COUNT_MAX)
        return refusal_set(why, REFUSAL_TOO_LARGE,
                           error_set(err, -EFBIG, "at most %d blobs at a time",
                                     PACK_DOWNLOAD_COUNT_MAX));
    for (size_t i = 0; i < count; i++)
        if (!content_is_member(&download->version, image, &wanted[i]))
            return refusal_set(why, REFUSAL_NOT_FOUND,
                               error_set(err, -ENOENT, "a blob is not of this version"));
    r = refuse_twice(wanted, count, why, err);
    if (r == 0)
        r = prepare(download, wanted, count, err);
    if (r < 0)
        return r;
    *out_download = take_pointer(&download);
    return 0;
}

/* The next one; one that cannot be given is left out. */
static int add_member(struct pack_download *download, struct error *err)
{
    const struct digest *sha256 = &download->wanted[download->next++];
    cleanup(cleanup_content) struct content *content = NULL;
    struct span bytes;
    int r =
        content_open_member(download->services, &download->version, sha256, &content, NULL, err);

    if (r == 0 && content_size(content) > PACK_DOWNLOAD_MEMBER_MAX)
        return 0;
    if (r == 0)
        r = content_read(content, 0, download->member, (size_t)content_size(content), err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    bytes = span_of(download->member, (size_t)content_size(content));
    if (download->compress)
        return pack_writer_add(download->writer, sha256, bytes, err);
    return pack_writer_add_stored(download->writer, sha256, bytes.size, PACK_RAW, bytes, err);
}

static int make_some(struct pack_download *download, struct error *err)
{
    int r = 0;

    buf_clear(&download->ready);
    download->taken = 0;
    while (r == 0 && download->ready.size == 0 && !download->ended) {
        if (download->next < download->count) {
            r = add_member(download, err);
        } else {
            r = pack_writer_end(download->writer, err);
            download->ended = true;
        }
    }
    return r;
}

int pack_download_read(struct pack_download *download, void *out, size_t size, size_t *out_size,
                       struct error *err)
{
    size_t filled = 0;

    while (filled < size) {
        size_t left = download->ready.size - download->taken, part;

        if (left == 0) {
            int r = download->ended ? 0 : make_some(download, err);

            if (r < 0)
                return r;
            left = download->ready.size - download->taken;
            if (left == 0)
                break;
        }
        part = left < size - filled ? left : size - filled;
        memcpy((uint8_t *)out + filled, download->ready.bytes + download->taken, part);
        download->taken += part;
        filled += part;
    }
    *out_size = filled;
    return 0;
}

struct pack_download *pack_download_free(struct pack_download *download)
{
    if (download == NULL)
        return NULL;
    pack_writer_free(download->writer);
    buf_release(&download->ready);
    memory_free(download->wanted);
    memory_free(download->member);
    return memory_free(download);
}
