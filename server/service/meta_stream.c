/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/meta_yaml.h"
#include "server/service/context.h"
#include "server/service/listings.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"
#include "server/service/version_record.h"

struct meta_stream {
    struct tree_image *image;
    struct tree_walk walk;
    struct buf ready;    /* text that is not handed out yet */
    size_t ready_offset; /* of it */
    bool ended;
};

CLEANUP_DEFINE(meta_stream, meta_stream_close);

static int open_image(struct services *services, const struct version *version,
                      struct tree_image **out, struct refusal *why, struct error *err)
{
    const struct version_fact fact = {
        .id = version->id,
        .content = version->content,
        .times = version->times,
        .tree = version->tree,
        .tree_size = version->tree_size,
        .tree_blob_id = version->tree_blob_id,
    };

    return tree_image_open(services, &fact, out, why, err);
}

static int begin(struct meta_stream *stream, const struct version *version, struct error *err)
{
    cleanup(record_release) struct record record;
    const struct tree *tree = tree_image_tree(stream->image);
    int r;

    record_init(&record);
    r = version_record_of(version, &record, err);
    if (r < 0)
        return r;
    tree_walk_init(&stream->walk, tree, TREE_ROOT);
    meta_yaml_write_head(&record, tree->header.record_count > 1, &stream->ready);
    return buf_check(&stream->ready, err);
}

int meta_stream_open(struct services *services, const struct identity *identity,
                     const char *project, const char *app, const char *reference,
                     struct meta_stream **out, struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    cleanup(cleanup_meta_stream) struct meta_stream *stream = memory_new(sizeof(*stream));
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (stream == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    stream->ready = buf_init(BUF_UNLIMITED);
    if (r == 0)
        r = version_resolve(services, identity, project, app, reference, &version, why, err);
    if (r == 0)
        r = open_image(services, &version, &stream->image, why, err);
    if (r == 0)
        r = begin(stream, &version, err);
    if (r < 0)
        return r;
    *out = take_pointer(&stream);
    return 0;
}

/* Entries until there is as much text as is asked for. */
static int fill(struct meta_stream *stream, size_t size, struct error *err)
{
    const struct tree *tree = tree_image_tree(stream->image);
    struct digest verity = { { 0 } };
    struct entry entry;

    while (!stream->ended && stream->ready.size - stream->ready_offset < size) {
        if (!tree_walk_next(&stream->walk, &entry)) {
            stream->ended = true;
            break;
        }
        if (entry.kind == ENTRY_FILE)
            verity = tree_verity(tree, tree_record(tree, stream->walk.index).digest_index);
        meta_yaml_write_entry(&entry, &verity, &stream->ready);
    }
    return buf_check(&stream->ready, err);
}

int meta_stream_read(struct meta_stream *stream, void *out, size_t size, size_t *out_size,
                     struct error *err)
{
    size_t given;
    int r;

    if (stream->ready_offset == stream->ready.size) {
        buf_clear(&stream->ready);
        stream->ready_offset = 0;
    }
    r = fill(stream, size, err);
    if (r < 0)
        return r;
    given = stream->ready.size - stream->ready_offset;
    if (given > size)
        given = size;
    if (given > 0)
        memcpy(out, stream->ready.bytes + stream->ready_offset, given);
    stream->ready_offset += given;
    *out_size = given;
    return 0;
}

struct meta_stream *meta_stream_close(struct meta_stream *stream)
{
    if (stream == NULL)
        return NULL;
    tree_image_unref(stream->image);
    buf_release(&stream->ready);
    return memory_free(stream);
}
