/* SPDX-License-Identifier: MIT */
#include "server/service/tree_names.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/zstd.h"
#include "server/db/blobs.h"
#include "server/service/context.h"
#include "server/service/object.h"
#include "server/service/tree_image.h"
#include "server/storage/blob_store.h"

void tree_names_key(const char *key, char *out)
{
    size_t size = strlen(key);

    memcpy(out, key, size);
    memcpy(out + size, ".n", 3);
}

static int keep(struct services *services, const char *key, struct span frame, struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    int r = blob_store_create(services->store, key, frame.size, &writer, err);

    if (r == -EEXIST) {
        /* Half of one, from a crash, or another thread at work: a busy one is left alone. */
        uint64_t offset = 0;

        r = blob_store_resume(services->store, key, frame.size, &offset, &writer, err);
        if (r == -EBADMSG)
            blob_store_remove(services->store, key, NULL);
    }
    if (r == 0)
        r = blob_writer_write(writer, frame.bytes, frame.size, err);
    if (r == 0)
        r = blob_writer_commit(take_pointer(&writer), err);
    return r;
}

int tree_names_open(struct services *services, const struct tree_image *image,
                    struct object **out_object, struct buf *out_frame, struct error *err)
{
    const struct tree *tree = tree_image_tree(image);
    char key[BLOB_STORAGE_KEY_SIZE + 2];
    int r;

    tree_names_key(tree_image_key(image), key);
    r = object_open(services, key, UINT64_MAX, out_object, err);
    if (r == 0)
        return 0;
    r = zstd_compress(span_slice(tree->image, 0, (size_t)tree->header.names_part_size),
                      ZSTD_LEVEL_DEFAULT, out_frame, err);
    if (r < 0)
        return r;
    if (keep(services, key, buf_span(out_frame), NULL) == 0 &&
        object_open(services, key, UINT64_MAX, out_object, NULL) == 0) {
        buf_clear(out_frame);
        return 0;
    }
    *out_object = NULL;
    return 0;
}
