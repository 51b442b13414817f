/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_base.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/range_fetch.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/client/api_client.h"
#include "common/model/chunk_list.h"
#include "common/model/chunk_list_fetch.h"
#include "common/model/delta_plan.h"
#include "common/model/merkle.h"
#include "common/net/url.h"

struct push_base {
    struct push_base_options options;
    push_base_done *done;
    struct api_call *call;
    struct range_fetch *ranges;

    struct digest sha256;
    uint64_t size;

    enum push_base_kind kind;
    struct span own;
    struct buf object; /* the base's, from the hint cache, or its tree as it comes */

    struct chunk_list own_list, list;
    struct chunk_list_fetch *fetch; /* the list's memory, unless it is `object` */

    struct merkle_shape shape;
    struct buf wanted; /* struct range_fetch_range: bottom blocks that differ */
};

const char *push_base_hint(enum push_base_kind kind)
{
    return kind == PUSH_BASE_LIST ? "chunks" : "merkle";
}

int push_base_new(const struct push_base_options *options, struct push_base **out_base,
                  struct error *err)
{
    struct push_base *base = memory_new(sizeof(*base));

    if (base == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    base->options = *options;
    base->object = buf_init(HINT_CACHE_LARGEST + DIGEST_SIZE);
    base->wanted = buf_init(BUF_UNLIMITED);
    *out_base = base;
    return 0;
}

struct push_base *push_base_free(struct push_base *base)
{
    if (base == NULL)
        return NULL;
    base->done = NULL;
    if (base->call != NULL)
        api_call_cancel(base->call);
    range_fetch_cancel(base->ranges);
    chunk_list_fetch_free(base->fetch);
    buf_release(&base->object);
    buf_release(&base->wanted);
    return memory_free(base);
}

static void end(struct push_base *base, int r, const struct error *err)
{
    push_base_done *done = base->done;

    base->done = NULL;
    done(base->options.context, r, err);
}

/* Which one it is -------------------------------------------------------------- */

/* "<64 hex digits>" of the ETag, and the size. */
static int read_headers(struct push_base *base, const struct http_headers *headers,
                        struct error *err)
{
    const char *etag = http_headers_get(headers, "ETag");
    const char *length = http_headers_get(headers, "Content-Length");

    if (etag == NULL || strlen(etag) != DIGEST_HEX_SIZE + 1 || etag[0] != '"' ||
        etag[DIGEST_HEX_SIZE] != '"' || length == NULL ||
        digest_parse(span_of(etag + 1, DIGEST_HEX_SIZE - 1), &base->sha256, NULL) < 0 ||
        number_parse(span_text(length), MERKLE_MAX_DATA, &base->size, NULL) < 0)
        return error_set(err, -EBADMSG, "the server's answer: no digest and size of a file");
    return 0;
}

static void on_found(void *context, const struct api_answer *answer)
{
    struct push_base *base = context;
    struct error err = answer->err;
    int r = answer->code;

    base->call = NULL;
    if (base->done == NULL)
        return;
    if (r == 0)
        r = read_headers(base, answer->headers, &err);
    if (r == 0 && base->size < CHUNK_LIST_MIN_SIZE)
        r = error_set(&err, -ENOENT, "it is too small");
    end(base, r, &err);
}

int push_base_find(struct push_base *base, const char *path, push_base_done *done,
                   struct error *err)
{
    cleanup(buf_release) struct buf url = buf_init(64 * 1024);
    struct api_call_spec spec = { .method = HTTP_HEAD, .done = on_found, .context = base };
    int r;

    api_path_version(&url, base->options.project, base->options.app, base->options.version);
    buf_add_text(&url, "/files/");
    url_add_path(&url, span_text(path));
    spec.path = buf_text(&url);
    r = buf_check(&url, err);
    if (r == 0)
        r = api_call_start(base->options.client, &spec, &base->call, err);
    if (r == 0)
        base->done = done;
    return r;
}

void push_base_set(struct push_base *base, const struct digest *sha256, uint64_t size)
{
    base->sha256 = *sha256;
    base->size = size;
}

void push_base_tell(const struct push_base *base, struct digest *out_sha256, uint64_t *out_size)
{
    *out_sha256 = base->sha256;
    *out_size = base->size;
}

/* Ranges of its list or tree --------------------------------------------------- */

static int start_ranges(struct push_base *base, const struct range_fetch_range *ranges,
                        size_t count, range_fetch_give *give, range_fetch_done *done,
                        struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    struct range_fetch_options options = { .client = base->options.client,
                                           .ranges = ranges,
                                           .count = count,
                                           .give = give,
                                           .done = done,
                                           .context = base };
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&base->sha256, hex);
    api_path_blob(&path, base->options.project, base->options.app, base->options.version, hex);
    buf_add_text(&path, base->kind == PUSH_BASE_LIST ? "/chunks" : "/merkle");
    options.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : range_fetch_start(&options, &base->ranges, err);
}

/* The list --------------------------------------------------------------------- */

static int give_list(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct push_base *base = context;

    if (base->fetch == NULL)
        return chunk_list_fetch_new(&base->fetch, bytes, &base->own_list, HINT_CACHE_LARGEST, err);
    return chunk_list_fetch_give(base->fetch, offset, bytes, err);
}

static int end_list(struct push_base *base, struct error *err)
{
    int r = chunk_list_fetch_end(base->fetch, &base->list, err);

    if (r == 0 && (base->list.shape.size != base->size ||
                   !digest_equal(&base->list.shape.sha256, &base->sha256)))
        r = error_set(err, -EBADMSG, "the chunk list is another blob's");
    return r;
}

/* A round of ranges came: the next one, or the end. */
static void on_list_round(void *context, int r, const struct error *cause)
{
    struct push_base *base = context;
    const struct chunk_list_range *wanted;
    struct error err = *cause;
    size_t count = 0;

    base->ranges = NULL;
    if (r == 0)
        count = chunk_list_fetch_wanted(base->fetch, &wanted);
    if (r == 0 && count > 0) {
        cleanup_memory struct range_fetch_range *ranges = memory_array(count, sizeof(*ranges));

        if (ranges == NULL)
            r = error_set(&err, -ENOMEM, "out of memory");
        for (size_t i = 0; r == 0 && i < count; i++)
            ranges[i] = (struct range_fetch_range){ wanted[i].offset, wanted[i].size };
        if (r == 0)
            r = start_ranges(base, ranges, count, give_list, on_list_round, &err);
        if (r == 0)
            return;
    }
    if (r == 0)
        r = end_list(base, &err);
    end(base, r, &err);
}

static bool list_is_kept(struct push_base *base)
{
    return hint_cache_get(base->options.cache, &base->sha256, push_base_hint(PUSH_BASE_LIST),
                          &base->object) &&
           chunk_list_open(buf_span(&base->object), &base->list, NULL) == 0 &&
           base->list.shape.size == base->size &&
           digest_equal(&base->list.shape.sha256, &base->sha256);
}

static int fetch_list(struct push_base *base, struct error *err)
{
    const struct range_fetch_range header = { 0, CHUNK_LIST_HEADER_SIZE };
    int r = chunk_list_open(base->own, &base->own_list, err);

    if (r < 0)
        return r;
    if (list_is_kept(base)) {
        end(base, 0, NULL);
        return 0;
    }
    return start_ranges(base, &header, 1, give_list, on_list_round, err);
}

/* The tree --------------------------------------------------------------------- */

static int give_tree(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct push_base *base = context;

    memcpy(base->object.bytes + offset, bytes.bytes, bytes.size);
    return 0;
}

static void on_tree_bottoms(void *context, int r, const struct error *err)
{
    struct push_base *base = context;

    base->ranges = NULL;
    end(base, r, err);
}

static int want_bottom(void *context, uint64_t piece, struct error *err)
{
    struct push_base *base = context;
    struct range_fetch_range range = { base->shape.bottom_offset + piece * MERKLE_BLOCK_SIZE,
                                       MERKLE_BLOCK_SIZE };

    buf_add(&base->wanted, &range, sizeof(range));
    return buf_check(&base->wanted, err);
}

/* What stands above the bottom is there. */
static int fetch_bottoms(struct push_base *base, struct error *err)
{
    struct span upper = span_of(base->object.bytes, (size_t)base->shape.bottom_offset);
    int r = base->shape.level_count == 1
                ? want_bottom(base, 0, err)
                : delta_plan_bottoms(&base->shape, upper, &base->shape,
                                     span_slice(base->own, 0, upper.size), want_bottom, base, err);

    if (r < 0)
        return r;
    if (base->wanted.size == 0) {
        end(base, 0, NULL);
        return 0;
    }
    return start_ranges(base, (const struct range_fetch_range *)(void *)base->wanted.bytes,
                        base->wanted.size / sizeof(struct range_fetch_range), give_tree,
                        on_tree_bottoms, err);
}

static void on_tree_upper(void *context, int r, const struct error *cause)
{
    struct push_base *base = context;
    struct error err = *cause;

    base->ranges = NULL;
    if (r == 0)
        r = fetch_bottoms(base, &err);
    if (r < 0)
        end(base, r, &err);
}

static int fetch_tree(struct push_base *base, struct error *err)
{
    struct range_fetch_range upper = { 0, 0 };
    int r = merkle_shape_of(base->size, &base->shape, err);

    if (r < 0)
        return r;
    if (base->shape.object_size != base->own.size)
        return error_set(err, -EINVAL, "trees of two sizes");
    if (hint_cache_get(base->options.cache, &base->sha256, push_base_hint(PUSH_BASE_TREE),
                       &base->object) &&
        base->object.size == base->own.size) {
        end(base, 0, NULL);
        return 0;
    }
    buf_clear(&base->object);
    buf_add_zeros(&base->object, base->own.size);
    r = buf_check(&base->object, err);
    if (r < 0)
        return r;
    upper.size = base->shape.bottom_offset;
    return upper.size == 0 ? fetch_bottoms(base, err)
                           : start_ranges(base, &upper, 1, give_tree, on_tree_upper, err);
}

/* ------------------------------------------------------------------------------- */

int push_base_fetch(struct push_base *base, enum push_base_kind kind, struct span own,
                    push_base_done *done, struct error *err)
{
    int r;

    base->done = done;
    base->kind = kind;
    base->own = own;
    buf_clear(&base->object);
    r = kind == PUSH_BASE_LIST ? fetch_list(base, err) : fetch_tree(base, err);
    if (r < 0)
        base->done = NULL;
    return r;
}

int push_base_plan(const struct push_base *base, struct delta_plan *out, struct error *err)
{
    if (base->kind == PUSH_BASE_LIST)
        return delta_plan_of_lists(&base->list, &base->own_list, out, err);
    return delta_plan_of_trees(&base->shape, buf_span(&base->object), &base->shape, base->own, out,
                               err);
}
