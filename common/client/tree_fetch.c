/* SPDX-License-Identifier: MIT */
#include "common/client/tree_fetch.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/client/blob_fetch_private.h"
#include "common/client/tree_fetch_private.h"
#include "common/model/tree.h"

/* One who waits for the whole image. */
struct tree_waiter {
    struct tree_waiter *next;
    blob_read_done *done;
    void *context;
};

void tree_fetch_destroy(struct tree_fetch *tree)
{
    blob_object_unref(tree->image);
    buf_release(&tree->names);
    memory_free(tree);
}

struct tree_fetch *tree_fetch_ref(struct tree_fetch *tree)
{
    atomic_fetch_add(&tree->refs, 1);
    return tree;
}

struct tree_fetch *tree_fetch_unref(struct tree_fetch *tree)
{
    if (tree != NULL && atomic_fetch_sub(&tree->refs, 1) == 1)
        tree_fetch_destroy(tree);
    return NULL;
}

/* The whole image ------------------------------------------------------------ */

static void end_waiters(struct tree_fetch *tree, int code, const struct error *err)
{
    struct tree_waiter *waiter = tree->waiters;

    tree->waiters = NULL;
    while (waiter != NULL) {
        struct tree_waiter *next = waiter->next;

        waiter->done(waiter->context, code, code == 0 ? NULL : err);
        memory_free(waiter);
        waiter = next;
    }
}

/* On a worker: reads the image from the cache and checks all of it. */
static void check_image(void *context)
{
    struct tree_fetch *tree = context;
    size_t size = (size_t)tree->facts.tree_size;
    cleanup_memory uint8_t *image = memory_resize(NULL, size, 1);
    struct tree whole;
    int r = -ENOMEM;

    if (image == NULL)
        error_set(&tree->check_err, r, "out of memory");
    else
        r = blob_fetch_try_cached(tree->image, 0, image, size);
    if (r == -EAGAIN)
        error_set(&tree->check_err, r, "the tree image is not in the cache any more");
    if (r == 0)
        r = tree_open(span_of(image, size), &whole, &tree->check_err);
    if (r == 0 && !digest_equal(&whole.header.content, &tree->facts.content))
        r = error_set(&tree->check_err, -EBADMSG, "the tree image is of another content");
    tree->check_result = r;
    http_loop_post_at(tree->engine->loop, &tree->checked);
}

static void completing_ended(struct tree_fetch *tree, int code, const struct error *err)
{
    tree->is_completing = false;
    if (code == 0)
        atomic_store(&tree->complete, true);
    else if (code == -EBADMSG)
        object_note_failure(tree->image, err);
    end_waiters(tree, code, err);
    tree_fetch_unref(tree);
}

static void image_checked(void *context)
{
    struct tree_fetch *tree = context;
    struct error err = tree->check_err;

    tree->engine->jobs--;
    completing_ended(tree, tree->check_result, &err);
}

static void queue_check(struct tree_fetch *tree)
{
    tree->checked = (struct http_post){ .function = image_checked, .context = tree };
    tree->engine->jobs++;
    workers_submit(tree->engine->pool, check_image, tree);
}

static void image_here(void *context, int result, const struct error *err)
{
    struct tree_fetch *tree = context;

    if (result < 0)
        completing_ended(tree, result, err);
    else
        queue_check(tree);
}

int tree_fetch_complete(struct tree_fetch *tree, uint64_t deadline_ms, blob_read_done *done,
                        void *context, struct error *err)
{
    struct tree_waiter *waiter;
    int r;

    waiter = memory_new(sizeof(*waiter));
    if (waiter == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *waiter = (struct tree_waiter){ .next = tree->waiters, .done = done, .context = context };
    if (!tree->is_completing) {
        r = blob_fetch_complete(tree->image, deadline_ms, image_here, tree, err);
        if (r < 0) {
            memory_free(waiter);
            return r;
        }
        tree->is_completing = true;
        tree_fetch_ref(tree);
    }
    tree->waiters = waiter;
    return 0;
}

/* What it knows ---------------------------------------------------------------- */

const char *tree_fetch_project(const struct tree_fetch *tree)
{
    return tree->project;
}

const char *tree_fetch_app(const struct tree_fetch *tree)
{
    return tree->app;
}

const char *tree_fetch_version(const struct tree_fetch *tree)
{
    return tree->version;
}

const struct known_version *tree_fetch_facts(const struct tree_fetch *tree)
{
    return &tree->facts;
}

struct span tree_fetch_names(const struct tree_fetch *tree)
{
    return span_of(tree->names.bytes, tree->names_size);
}

static uint64_t digests_offset(const struct tree_fetch *tree, uint32_t index)
{
    return tree->header.digests.offset + (uint64_t)index * TREE_DIGESTS_SIZE;
}

int tree_fetch_digest(struct tree_fetch *tree, uint32_t index, struct digest *out_sha256,
                      struct digest *out_verity)
{
    uint8_t bytes[TREE_DIGESTS_SIZE];
    uint64_t offset = digests_offset(tree, index);
    int r;

    if (index >= tree->header.file_count)
        return -EINVAL;
    if (offset + TREE_DIGESTS_SIZE <= tree->names.size) {
        memcpy(bytes, tree->names.bytes + offset, sizeof(bytes));
    } else {
        r = blob_fetch_try_cached(tree->image, offset, bytes, sizeof(bytes));
        if (r < 0)
            return r;
    }
    memcpy(out_sha256->bytes, bytes, DIGEST_SIZE);
    memcpy(out_verity->bytes, bytes + DIGEST_SIZE, DIGEST_SIZE);
    return 0;
}

int tree_fetch_object(struct tree_fetch *tree, const struct digest *sha256,
                      const struct digest *verity, uint64_t size, struct blob_object **out_object,
                      struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(TREE_PATH_MAXIMUM);
    struct blob_source source = { 0 };
    char hex[DIGEST_HEX_SIZE];
    int r;

    source.key.kind = BLOB_CONTENT;
    source.key.name = *sha256;
    source.key.verity = *verity;
    source.key.size = size;
    digest_hex(sha256, hex);
    api_path_blob(&path, tree->project, tree->app, tree->version, hex);
    r = buf_check(&path, err);
    source.path = buf_text(&path);
    return r < 0 ? r : blob_fetch_object(tree->engine, &source, out_object, err);
}

struct blob_object *tree_fetch_image(const struct tree_fetch *tree)
{
    return tree->image;
}

bool tree_fetch_is_complete(const struct tree_fetch *tree)
{
    return atomic_load(&((struct tree_fetch *)tree)->complete);
}

/* Digest pages ------------------------------------------------------------------ */

struct digest_wait {
    struct tree_fetch *tree;
    uint8_t bytes[TREE_DIGESTS_SIZE];
    tree_digest_done *done;
    void *context;
};

static void digest_here(void *context, int result, const struct error *err)
{
    struct digest_wait *wait = context;
    struct digest sha256, verity;

    memcpy(sha256.bytes, wait->bytes, DIGEST_SIZE);
    memcpy(verity.bytes, wait->bytes + DIGEST_SIZE, DIGEST_SIZE);
    wait->done(wait->context, result, &sha256, &verity, err);
    tree_fetch_unref(wait->tree);
    memory_free(wait);
}

int tree_fetch_digest_start(struct tree_fetch *tree, uint32_t index, uint64_t deadline_ms,
                            tree_digest_done *done, void *context, struct error *err)
{
    struct digest_wait *wait;
    int r;

    if (index >= tree->header.file_count)
        return error_set(err, -EINVAL, "no such file in the tree");
    wait = memory_new(sizeof(*wait));
    if (wait == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    wait->tree = tree_fetch_ref(tree);
    wait->done = done;
    wait->context = context;
    r = blob_fetch_read(tree->image, digests_offset(tree, index), wait->bytes, sizeof(wait->bytes),
                        deadline_ms, digest_here, wait, NULL, err);
    if (r < 0) {
        tree_fetch_unref(tree);
        memory_free(wait);
    }
    return r;
}
