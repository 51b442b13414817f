/* SPDX-License-Identifier: MIT */
#include "server/api/content_answer.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/http/http_answer.h"
#include "server/service/content.h"

/* A range of a content that only content_read() gives. */
struct part {
    struct content *content;
    uint64_t offset, left;
};

static int part_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct part *part = context;
    size_t piece = part->left < size ? (size_t)part->left : size;
    int r = piece > 0 ? content_read(part->content, part->offset, out, piece, err) : 0;

    if (r < 0)
        return r;
    part->offset += piece;
    part->left -= piece;
    *out_size = piece;
    return 0;
}

static void part_close(void *context)
{
    struct part *part = context;

    content_close(part->content);
    memory_free(part);
}

static void content_release(void *owner)
{
    content_close(owner);
}

/* Takes the content. */
static int answer_reads(struct http_exchange *exchange, struct content *content, uint64_t offset,
                        uint64_t size, struct error *err)
{
    struct part *part = memory_new(sizeof(*part));

    if (part == NULL) {
        content_close(content);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *part = (struct part){ content, offset, size };
    return http_content_source(exchange, &(struct http_source){ part, part_read, part_close }, err);
}

static int answer_bytes(struct http_exchange *exchange, struct content *content, uint64_t offset,
                        uint64_t size, struct error *err)
{
    const struct span bytes = content_bytes(content);
    uint64_t base = 0;
    int fd, r;

    if (bytes.size > 0)
        return http_content_memory(exchange, span_slice(bytes, (size_t)offset, (size_t)size),
                                   content, content_release, err);
    fd = content_descriptor(content, &base);
    if (fd < 0)
        return answer_reads(exchange, content, offset, size, err);
    r = http_content_file(exchange, &fd, base + offset, err);
    content_close(content);
    return r;
}

int content_answer(struct http_exchange *exchange, struct content *content, const char *media_type,
                   const char *cache_control, struct error *err)
{
    const struct http_content about = { media_type, content_etag(content), content_size(content),
                                        cache_control };
    uint64_t offset = 0, size = 0;
    bool needed = false;
    int r = http_content_begin(exchange, &about, &needed, &offset, &size, err);

    if (r == 0 && needed)
        return answer_bytes(exchange, content, offset, size, err);
    content_close(content);
    return r;
}
