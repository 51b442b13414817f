/* SPDX-License-Identifier: MIT */
#include "server/service/content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/object.h"

CLEANUP_DEFINE(content, content_close);

static void set_etag(struct content *content, const struct digest *named, const char *suffix)
{
    size_t suffix_size = strlen(suffix);

    content->etag[0] = '"';
    digest_hex(named, content->etag + 1);
    memcpy(content->etag + DIGEST_HEX_SIZE, suffix, suffix_size);
    memcpy(content->etag + DIGEST_HEX_SIZE + suffix_size, "\"", 2);
}

int content_new(struct services *services, struct object *object, const struct digest *named,
                const char *suffix, struct content **out, struct error *err)
{
    cleanup(cleanup_content) struct content *content = memory_new(sizeof(*content));

    if (content == NULL) {
        object_unref(object);
        return error_set(err, -ENOMEM, "out of memory");
    }
    content->services = services;
    content->object = object;
    content->size = object != NULL ? object_size(object) : 0;
    content->frame = buf_init(BUF_UNLIMITED);
    content->fd = -1;
    if (named != NULL)
        set_etag(content, named, suffix);
    *out = take_pointer(&content);
    return 0;
}

int content_new_frame(struct services *services, struct buf *frame, const struct digest *named,
                      const char *suffix, struct content **out, struct error *err)
{
    struct content *content;
    int r = content_new(services, NULL, named, suffix, &content, err);

    if (r < 0)
        return r;
    content->size = frame->size;
    content->frame = *frame;
    *frame = buf_init(0);
    *out = content;
    return 0;
}

int content_new_scratch(struct services *services, struct scratch *scratch,
                        const struct digest *named, const char *suffix, struct content **out,
                        struct error *err)
{
    struct content *content;
    int r = content_new(services, NULL, named, suffix, &content, err);

    if (r < 0)
        return r;
    content->size = scratch->size;
    content->scratch = *scratch;
    *scratch = (struct scratch){ NULL, 0 };
    *out = content;
    return 0;
}

int content_new_file(struct services *services, int *fd, uint64_t size, struct content **out,
                     struct error *err)
{
    cleanup_fd int own = take_fd(fd);
    struct content *content;
    int r = content_new(services, NULL, NULL, NULL, &content, err);

    if (r < 0)
        return r;
    content->size = size;
    content->fd = take_fd(&own);
    *out = content;
    return 0;
}

uint64_t content_size(const struct content *content)
{
    return content->size;
}

const char *content_etag(const struct content *content)
{
    return content->etag[0] != '\0' ? content->etag : NULL;
}

int content_descriptor(const struct content *content, uint64_t *out_base)
{
    int fd = -1;

    if (content->object != NULL) {
        fd = object_descriptor(content->object, out_base);
    } else if (content->fd >= 0) {
        fd = content->fd;
        *out_base = 0;
    }
    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
}

struct span content_bytes(const struct content *content)
{
    if (content->scratch.size > 0)
        return span_of(content->scratch.bytes, content->scratch.size);
    return buf_span(&content->frame);
}

static int read_file(const struct content *content, uint64_t offset, void *out, size_t size,
                     struct error *err)
{
    size_t got;
    int r = file_read_at(content->fd, offset, out, size, &got, err);

    return r == 0 && got < size ? error_set(err, -EIO, "the file became shorter") : r;
}

int content_read(struct content *content, uint64_t offset, void *out, size_t size,
                 struct error *err)
{
    int r;

    if (offset > content->size || size > content->size - offset)
        return error_set(err, -EINVAL, "a range beyond the end");
    if (content->fd >= 0)
        return read_file(content, offset, out, size, err);
    if (content->object == NULL) {
        memcpy(out, content_bytes(content).bytes + offset, size);
        return 0;
    }
    r = object_read(content->object, offset, out, size, err);
    if (r < 0 && content->has_blob)
        return blob_object_failed(content->services, &content->blob, r, NULL, err);
    return r;
}

struct content *content_close(struct content *content)
{
    if (content == NULL)
        return NULL;
    object_unref(content->object);
    buf_release(&content->frame);
    scratch_release(&content->scratch);
    cleanup_fd_at(&content->fd);
    return memory_free(content);
}
