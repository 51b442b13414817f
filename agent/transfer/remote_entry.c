/* SPDX-License-Identifier: MIT */
#include "agent/transfer/remote_entry.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/name_search.h"
#include "agent/transfer/remote_tree.h"
#include "agent/transfer/transfer.h"
#include "agent/transfer/tree_pages.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/listing.h"
#include "common/model/names.h"
#include "common/model/times.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"

#define SMALL_TREE (64 << 10)
#define IS_DIRECTORY 1 /* what was found: all that is below is wanted, too */
#define IS_NOT_THERE 2

/* A record of the image, checked as far as it is used. */
struct node {
    enum entry_kind kind;
    uint32_t mode;
    int64_t mtime;
    uint64_t a;
    uint32_t b;
    uint16_t name_size;
    uint8_t name[COMPONENT_MAX_SIZE];
};

struct search {
    struct tree_pages pages;
    struct tree_header header;
    struct span path;
    struct node node; /* the last one that was read */
    struct buf listing, times;
    struct listing_writer *listing_writer;
    struct times_writer *times_writer;
    struct digest digests[2]; /* of the file: sha256, verity */
};

static void search_release(struct search *search)
{
    tree_pages_release(&search->pages);
    buf_release(&search->listing);
    buf_release(&search->times);
    memory_free(search->listing_writer);
    memory_free(search->times_writer);
}

static int refuse(struct error *err)
{
    return error_set(err, -EBADMSG, "the tree breaks its format");
}

static int read_header(struct search *search, const struct record *version, struct error *err)
{
    uint8_t bytes[TREE_HEADER_SIZE];
    int r = tree_pages_read(&search->pages, 0, bytes, sizeof(bytes), err);

    if (r == 0)
        r = tree_check_header(span_of(bytes, sizeof(bytes)), &search->header, err);
    if (r == 0 && (search->header.image_size != version->tree_size ||
                   !digest_equal(&search->header.content, &version->content) ||
                   !digest_equal(&search->header.times, &version->times)))
        r = error_set(err, -EBADMSG, "the tree is not that of the version's content");
    return r;
}

static int read_section(struct search *search, const struct tree_section *section, uint64_t offset,
                        void *out, size_t size, struct error *err)
{
    if (offset > section->size || size > section->size - offset)
        return refuse(err);
    return tree_pages_read(&search->pages, section->offset + offset, out, size, err);
}

static int read_node(struct search *search, uint64_t index, struct node *out, struct error *err)
{
    uint8_t at[TREE_RECORD_SIZE];
    int r = read_section(search, &search->header.records, index * TREE_RECORD_SIZE, at, sizeof(at),
                         err);

    if (r < 0)
        return r;
    out->name_size = bytes_u16(at + 4);
    out->kind = (enum entry_kind)(bytes_u16(at + 6) >> 12);
    out->mode = bytes_u16(at + 6) & 0xfff;
    out->a = bytes_u64(at + 8);
    out->mtime = (int64_t)bytes_u64(at + 16);
    out->b = bytes_u32(at + 28);
    if (out->name_size > sizeof(out->name) ||
        (out->kind != ENTRY_DIRECTORY && out->kind != ENTRY_FILE && out->kind != ENTRY_LINK))
        return refuse(err);
    return read_section(search, &search->header.names, bytes_u32(at), out->name, out->name_size,
                        err);
}

static struct span name_of(const struct node *node)
{
    return span_of(node->name, node->name_size);
}

static int find_child(struct search *search, struct span name, struct error *err)
{
    const uint64_t first = (uint32_t)search->node.a, count = search->node.a >> 32;
    struct name_search names = name_search_init(name, first, first + count);
    uint64_t at;

    while (name_search_next(&names, &at)) {
        int r = read_node(search, at, &search->node, err);

        if (r < 0)
            return r;
        if (name_search_tell(&names, name_of(&search->node)))
            return 0;
    }
    return IS_NOT_THERE;
}

/* The entry that was found, for the small tree. */
static int add_entry(struct search *search, struct span path, struct error *err)
{
    const struct node *node = &search->node;
    struct entry entry = { .kind = node->kind, .mode = node->mode, .path = path };
    uint8_t target[TARGET_MAX_SIZE];
    int r = 0;

    if (node->kind == ENTRY_FILE) {
        r = read_section(search, &search->header.digests, (uint64_t)node->b * TREE_DIGESTS_SIZE,
                         search->digests, sizeof(search->digests), err);
        entry.size = node->a;
        entry.sha256 = search->digests[0];
    } else if (node->kind == ENTRY_LINK) {
        if (node->a >> 32 > sizeof(target))
            return refuse(err);
        entry.target = span_of(target, (size_t)(node->a >> 32));
        r = read_section(search, &search->header.targets, (uint32_t)node->a, target,
                         entry.target.size, err);
    }
    if (r == 0)
        r = listing_writer_add(search->listing_writer, &entry, err);
    return r < 0 ? r : times_writer_add(search->times_writer, node->mtime, err);
}

/* Down the path. 0: to a file or a link; IS_DIRECTORY, IS_NOT_THERE. */
static int walk(struct search *search, struct error *err)
{
    struct span rest = search->path, name;
    int r = read_node(search, TREE_ROOT, &search->node, err);

    while (r == 0 && rest.size > 0) {
        span_cut(&rest, '/', &name);
        r = search->node.kind == ENTRY_DIRECTORY ? find_child(search, name, err) : IS_NOT_THERE;
        if (r == 0)
            r = add_entry(search,
                          span_of(search->path.bytes,
                                  (size_t)(name.bytes + name.size - search->path.bytes)),
                          err);
    }
    return r == 0 && search->node.kind == ENTRY_DIRECTORY ? IS_DIRECTORY : r;
}

static int give_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                       struct error *err)
{
    *out = ((const struct search *)context)->digests[1];
    return 0;
}

static int build(struct search *search, struct remote_tree *out, struct error *err)
{
    struct listing_totals totals;
    struct digest digest;
    uint64_t size;
    int r = listing_writer_end(search->listing_writer, &totals, err);

    if (r == 0)
        r = times_writer_end(search->times_writer, &digest, err);
    out->part = buf_init(BUF_UNLIMITED);
    if (r == 0)
        r = tree_build(buf_span(&search->listing), buf_span(&search->times), give_verity, search,
                       sink_to_buf(&out->part), &digest, &size, err);
    return r < 0 ? r : tree_open(buf_span(&out->part), &out->image.tree, err);
}

static int find(struct transfer *transfer, struct span path, struct remote_tree *out,
                struct error *err)
{
    cleanup(search_release) struct search search = { .path = path,
                                                     .listing = buf_init(BUF_UNLIMITED),
                                                     .times = buf_init(BUF_UNLIMITED) };
    int r = tree_pages_init(&search.pages, transfer, &out->version.record, err);

    search.listing_writer = memory_new(sizeof(*search.listing_writer));
    search.times_writer = memory_new(sizeof(*search.times_writer));
    if (search.listing_writer == NULL || search.times_writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = listing_writer_init(search.listing_writer, sink_to_buf(&search.listing), err);
    if (r == 0)
        r = times_writer_init(search.times_writer, sink_to_buf(&search.times), err);
    if (r == 0)
        r = read_header(&search, &out->version.record, err);
    if (r == 0)
        r = walk(&search, err);
    return r != 0 ? r : build(&search, out, err);
}

int remote_entry_fetch(struct transfer *transfer, const char *project, const char *app,
                       const char *version, struct span path, struct remote_tree *out,
                       struct error *err)
{
    cleanup(remote_tree_release) struct remote_tree tree = { 0 };
    struct error told = { 0 };
    int r;

    if (path.size == 0)
        return remote_tree_fetch(transfer, project, app, version, out, err);
    transfer_meter(transfer, METER_ASKING, 0, 0);
    r = api_version_get(transfer->client, project, app, version, &tree.version, err);
    if (r < 0)
        return r;
    r = tree.version.record.tree_size > SMALL_TREE ? find(transfer, path, &tree, &told)
                                                   : IS_DIRECTORY;
    if (r == IS_NOT_THERE)
        return error_set(err, -ENOENT, "%s/%s/%s has no entry \"%.*s\"", project, app,
                         tree.version.record.version, (int)path.size, (const char *)path.bytes);
    if (r == -ECANCELED || r == -ENOMEM)
        return error_set(err, r, "%s", told.text);
    if (r != 0)
        return remote_tree_fetch(transfer, project, app, tree.version.record.version, out, err);
    *out = tree;
    tree = (struct remote_tree){ 0 };
    return 0;
}
