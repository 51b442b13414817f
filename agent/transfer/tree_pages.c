/* SPDX-License-Identifier: MIT */
#include "agent/transfer/tree_pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_client.h"
#include "common/model/record.h"

#define PAGE_SIZE_BYTES MERKLE_BLOCK_SIZE
#define KEPT_SIZE (sizeof(uint64_t) + PAGE_SIZE_BYTES)

int tree_pages_init(struct tree_pages *pages, struct transfer *transfer,
                    const struct record *version, struct error *err)
{
    struct tree_pages made = { .transfer = transfer,
                               .path = buf_init(4096),
                               .verity = version->tree,
                               .upper = buf_init(BUF_UNLIMITED),
                               .bottoms = buf_init(TREE_PAGES_MAX * KEPT_SIZE),
                               .pages = buf_init(TREE_PAGES_MAX * KEPT_SIZE) };
    int r = merkle_shape_of(version->tree_size, &made.shape, err);

    api_path_version(&made.path, version->project, version->app, version->version);
    buf_add_text(&made.path, "/tree");
    if (r == 0)
        r = buf_check(&made.path, err);
    *pages = made;
    return r;
}

void tree_pages_release(struct tree_pages *pages)
{
    buf_release(&pages->path);
    buf_release(&pages->upper);
    buf_release(&pages->bottoms);
    buf_release(&pages->pages);
}

/* Bytes of the image, or of its merkle object; not checked yet. */
static int fetch(struct tree_pages *pages, const char *what, struct merkle_range range,
                 struct buf *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(api_result_release) struct api_result result = api_result_init();
    char text[64];
    const struct http_header header = { "Range", text };
    struct api_call_spec spec = {
        .method = HTTP_GET, .headers = &header, .header_count = 1, .body_maximum = range.size
    };
    int r;

    snprintf(text, sizeof(text), "bytes=%" PRIu64 "-%" PRIu64, range.offset,
             range.offset + range.size - 1);
    buf_add_span(&path, buf_span(&pages->path));
    buf_add_text(&path, what);
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = api_call_run(pages->transfer->client, &spec, &result, err);
    if (r < 0)
        return r;
    if (result.status != 206 || result.body.size != range.size)
        return error_set(err, -EBADMSG, "the server gave another range of the tree");
    buf_add_span(out, buf_span(&result.body));
    return buf_check(out, err);
}

static struct span find(const struct buf *kept, uint64_t number)
{
    for (size_t at = 0; at < kept->size; at += KEPT_SIZE) {
        if (memcmp(kept->bytes + at, &number, sizeof(number)) == 0)
            return span_of(kept->bytes + at + sizeof(number), PAGE_SIZE_BYTES);
    }
    return span_of(NULL, 0);
}

/* The last page may be shorter: zeros follow it. */
static int keep(struct buf *kept, uint64_t number, struct span bytes, struct error *err)
{
    buf_add(kept, &number, sizeof(number));
    buf_add_span(kept, bytes);
    buf_add_zeros(kept, PAGE_SIZE_BYTES - bytes.size);
    return buf_check(kept, err);
}

static int need_upper(struct tree_pages *pages, struct error *err)
{
    cleanup(buf_release) struct buf upper = buf_init(BUF_UNLIMITED);
    struct merkle_range range = merkle_upper_range(&pages->shape);
    int r;

    if (pages->upper.size == range.size)
        return 0;
    r = fetch(pages, "/merkle", range, &upper, err);
    if (r == 0)
        r = merkle_check_upper(&pages->shape, &pages->verity, buf_span(&upper), err);
    if (r == 0)
        buf_add_span(&pages->upper, buf_span(&upper));
    return r < 0 ? r : buf_check(&pages->upper, err);
}

static int need_bottom(struct tree_pages *pages, uint64_t piece, struct error *err)
{
    cleanup(buf_release) struct buf bottom = buf_init(PAGE_SIZE_BYTES);
    const struct merkle_range range = { pages->shape.bottom_offset + piece * MERKLE_BLOCK_SIZE,
                                        MERKLE_BLOCK_SIZE };
    int r = need_upper(pages, err);

    if (r < 0 || find(&pages->bottoms, piece).size > 0)
        return r;
    r = fetch(pages, "/merkle", range, &bottom, err);
    if (r == 0)
        r = merkle_check_bottom(&pages->shape, &pages->verity, buf_span(&pages->upper), piece,
                                buf_span(&bottom), err);
    return r < 0 ? r : keep(&pages->bottoms, piece, buf_span(&bottom), err);
}

static int need_page(struct tree_pages *pages, uint64_t number, struct error *err)
{
    cleanup(buf_release) struct buf page = buf_init(PAGE_SIZE_BYTES);
    const uint64_t offset = number * PAGE_SIZE_BYTES, piece = offset / MERKLE_PIECE_SIZE;
    int r;

    if (find(&pages->pages, number).size > 0)
        return 0;
    r = need_bottom(pages, piece, err);
    if (r == 0)
        r = fetch(pages, "", merkle_data_range(&pages->shape, offset, 1), &page, err);
    if (r == 0)
        r = merkle_check_blocks(&pages->shape, find(&pages->bottoms, piece), offset,
                                buf_span(&page), err);
    return r < 0 ? r : keep(&pages->pages, number, buf_span(&page), err);
}

int tree_pages_read(struct tree_pages *pages, uint64_t offset, void *out, size_t size,
                    struct error *err)
{
    uint8_t *to = out;

    if (pages->shape.level_count == 0 || offset > pages->shape.data_size ||
        size > pages->shape.data_size - offset)
        return error_set(err, -EBADMSG, "the tree ends before what it points to");
    while (size > 0) {
        size_t at = (size_t)(offset % PAGE_SIZE_BYTES), part = PAGE_SIZE_BYTES - at;
        int r = need_page(pages, offset / PAGE_SIZE_BYTES, err);

        if (r < 0)
            return r;
        if (part > size)
            part = size;
        memcpy(to, find(&pages->pages, offset / PAGE_SIZE_BYTES).bytes + at, part);
        offset += part;
        to += part;
        size -= part;
    }
    return 0;
}
