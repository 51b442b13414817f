/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/tree_mount.h"

#include <errno.h>
#include <stdatomic.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/tree_fetch.h"
#include "common/model/record.h"
#include "common/model/tree.h"
#include "common/net/http_loop.h"
#include "fs/reads/read_log.h"

struct tree_mount {
    atomic_uint references;
    struct http_loop *loop;
    struct http_post closing;
    struct tree_fetch *fetch;
    struct manifest *manifest;
    struct read_log *reads;
    struct tree_view view;
};

static struct tree_mount *mount_free(struct tree_mount *mount)
{
    read_log_free(mount->reads);
    manifest_free(mount->manifest);
    tree_fetch_unref(mount->fetch);
    return memory_free(mount);
}

int tree_mount_new(struct tree_mount **out_mount, struct http_loop *loop, struct tree_fetch *fetch,
                   struct record *record, const char *directory, struct error *err)
{
    struct tree_mount *mount = memory_new(sizeof(*mount));
    struct tree tree;
    int r;

    if (mount == NULL) {
        record_release(record);
        tree_fetch_unref(fetch);
        return error_set(err, -ENOMEM, "out of memory");
    }
    atomic_init(&mount->references, 1);
    mount->loop = loop;
    mount->fetch = fetch;
    r = tree_open_names(tree_fetch_names(fetch), &tree, err);
    if (r == 0)
        r = manifest_new(&mount->manifest, record, &tree, directory, err);
    else
        record_release(record);
    if (r == 0) {
        mount->reads = read_log_new();
        r = mount->reads != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0) {
        mount_free(mount);
        return r;
    }
    mount->view =
        tree_view_of(&tree, manifest_size(mount->manifest), manifest_mtime(mount->manifest));
    *out_mount = mount;
    return 0;
}

struct tree_mount *tree_mount_ref(struct tree_mount *mount)
{
    atomic_fetch_add(&mount->references, 1);
    return mount;
}

static void close_on_loop(void *context)
{
    mount_free(context);
}

struct tree_mount *tree_mount_unref(struct tree_mount *mount)
{
    if (mount == NULL || atomic_fetch_sub(&mount->references, 1) != 1)
        return NULL;
    mount->closing = (struct http_post){ .function = close_on_loop, .context = mount };
    http_loop_post_at(mount->loop, &mount->closing);
    return NULL;
}

const struct tree_view *tree_mount_view(const struct tree_mount *mount)
{
    return &mount->view;
}

struct tree_fetch *tree_mount_fetch(const struct tree_mount *mount)
{
    return mount->fetch;
}

struct manifest *tree_mount_manifest(const struct tree_mount *mount)
{
    return mount->manifest;
}

struct read_log *tree_mount_reads(const struct tree_mount *mount)
{
    return mount->reads;
}

uint64_t tree_mount_bytes(const struct tree_mount *mount)
{
    return tree_fetch_names(mount->fetch).size;
}
