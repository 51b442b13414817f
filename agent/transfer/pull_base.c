/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_base.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pull_plan.h"
#include "agent/transfer/stat_cache.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

void pull_base_release(struct pull_blob *blobs, size_t count)
{
    for (size_t i = 0; blobs != NULL && i < count; i++) {
        if (blobs[i].base != NULL)
            memory_free(blobs[i].base->path);
        blobs[i].base = memory_free(blobs[i].base);
    }
}

/* A path as text; one of a tree has no NUL. NULL without memory. */
static char *text_of(struct span path)
{
    char *text = memory_resize(NULL, path.size + 1, 1);

    if (text == NULL)
        return NULL;
    memcpy(text, path.bytes, path.size);
    text[path.size] = '\0';
    return text;
}

static int name_blob(const struct tree *tree, uint32_t index, struct pull_blob *blob)
{
    uint8_t bytes[PATH_MAX_SIZE];

    blob->base = memory_new(sizeof(*blob->base));
    if (blob->base != NULL)
        blob->base->path = text_of(tree_path(tree, index, bytes));
    return blob->base == NULL || blob->base->path == NULL ? -ENOMEM : 0;
}

/* Each large one gets the path that it is written to first; *out_count of them. */
static int name_blobs(const struct pull_base_options *options, struct pull_blob *blobs,
                      size_t count, size_t *out_count)
{
    size_t writes = pull_plan_write_count(options->plan), at = 0;

    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pull_write *write = NULL;

        for (; at < writes; at++) {
            write = pull_plan_write(options->plan, at);
            if (digest_equal(&write->sha256, &blobs[i].sha256))
                break;
        }
        if (blobs[i].is_here || blobs[i].size < PULL_BASE_BLOB_MIN || at == writes)
            continue;
        if (name_blob(options->tree, write->index, &blobs[i]) < 0)
            return -ENOMEM;
        (*out_count)++;
    }
    return 0;
}

/* The large blob that the version has at a path, when it wants a base. */
static struct pull_blob *wanting_at(const struct tree *tree, struct span path,
                                    struct pull_blob *blobs, size_t count)
{
    struct pull_blob *blob;
    struct tree_record record;
    struct digest sha256;
    uint32_t index;

    if (tree_find_path(tree, path, &index) < 0)
        return NULL;
    record = tree_record(tree, index);
    if (record.kind != ENTRY_FILE || record.size < PULL_BASE_BLOB_MIN)
        return NULL;
    sha256 = tree_sha256(tree, record.digest_index);
    blob = pull_blob_find(blobs, count, &sha256);
    return blob != NULL && blob->base != NULL && !blob->base->is_known ? blob : NULL;
}

/* The file at `path`, if it is as it was noted. */
static int take_base(const struct pull_base_options *options, struct pull_base *base,
                     struct span path, uint64_t stamp, const struct digest *sha256)
{
    cleanup_memory char *text = text_of(path);
    struct file_info info;

    if (text == NULL)
        return -ENOMEM;
    if (directory_info(options->dest, text, &info, NULL) < 0 || info.kind != FILE_REGULAR ||
        info.size == 0 || stat_stamp(&info) != stamp)
        return 0;
    memory_free(base->path);
    *base = (struct pull_base){ .path = take_pointer(&text),
                                .is_known = true,
                                .sha256 = *sha256,
                                .size = info.size,
                                .stamp = stamp };
    return 0;
}

int pull_base_find(const struct pull_base_options *options, struct pull_blob *blobs, size_t count,
                   struct error *err)
{
    struct digest sha256;
    struct span path;
    uint64_t stamp;
    size_t wanting = 0;
    int r = name_blobs(options, blobs, count, &wanting);

    stat_cache_rewind(options->cache);
    while (r == 0 && wanting > 0 && stat_cache_next(options->cache, &path, &stamp, &sha256)) {
        struct pull_blob *blob = wanting_at(options->tree, path, blobs, count);

        if (blob == NULL || digest_equal(&sha256, &blob->sha256))
            continue;
        r = take_base(options, blob->base, path, stamp, &sha256);
        wanting -= r == 0 && blob->base->is_known;
    }
    return r < 0 ? error_set(err, r, "out of memory") : 0;
}
