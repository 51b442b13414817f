/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/client/known_versions.h"
#include "common/client/tree_fetch.h"
#include "common/model/record.h"
#include "common/model/tree.h"
#include "fs/tree_mount/manifest_text.h"

#define MEMORY_MAX ((size_t)1024 * 1024)       /* no file for less */
#define NO_FILE_MAX ((size_t)32 * 1024 * 1024) /* in memory at most, where no file can be made */
#define CHUNK_SIZE ((size_t)128 * 1024)

struct manifest {
    struct record record;
    char *directory;
    uint64_t size;
    pthread_mutex_t lock; /* of what is made once */
    bool made;
    int fd; /* -1: the bytes are in memory */
    struct buf bytes;
};

int manifest_new(struct manifest **out_manifest, struct record *record, const struct tree *tree,
                 const char *directory, struct error *err)
{
    struct manifest *manifest = memory_new(sizeof(*manifest));
    int r = 0;

    if (manifest == NULL) {
        record_release(record);
        return error_set(err, -ENOMEM, "out of memory");
    }
    manifest->record = *record;
    record_init(record);
    manifest->fd = -1;
    manifest->bytes = buf_init(NO_FILE_MAX);
    pthread_mutex_init(&manifest->lock, NULL);
    if (directory != NULL) {
        manifest->directory = memory_text(directory);
        if (manifest->directory == NULL)
            r = error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = manifest_text_size(&manifest->record, tree, &manifest->size, err);
    if (r < 0) {
        manifest_free(manifest);
        return r;
    }
    *out_manifest = manifest;
    return 0;
}

struct manifest *manifest_free(struct manifest *manifest)
{
    if (manifest == NULL)
        return NULL;
    record_release(&manifest->record);
    memory_free(manifest->directory);
    buf_release(&manifest->bytes);
    if (manifest->fd >= 0)
        close(manifest->fd);
    pthread_mutex_destroy(&manifest->lock);
    return memory_free(manifest);
}

uint64_t manifest_size(const struct manifest *manifest)
{
    return manifest->size;
}

int64_t manifest_mtime(const struct manifest *manifest)
{
    return manifest->record.has_created_at ? manifest->record.created_at_s : 0;
}

/* What is written is collected, and goes to the file, if there is one, in large pieces. */
static int drain(const struct manifest *manifest, struct buf *out, bool all, struct error *err)
{
    int r = buf_check(out, err);

    if (r < 0 || manifest->fd < 0 || (!all && out->size < CHUNK_SIZE))
        return r;
    r = file_write(manifest->fd, out->bytes, out->size, err);
    buf_clear(out);
    return r;
}

static int write_entry(struct manifest *manifest, struct tree_fetch *fetch, const struct tree *tree,
                       uint32_t index, struct entry *entry, struct buf *out, struct error *err)
{
    struct digest verity;
    int r;

    if (entry->kind != ENTRY_FILE) {
        manifest_text_entry(out, entry, NULL);
        return drain(manifest, out, false, err);
    }
    r = tree_fetch_digest(fetch, tree_record(tree, index).digest_index, &entry->sha256, &verity);
    if (r < 0)
        return error_set(err, r, "the digests of the version are not here");
    manifest_text_entry(out, entry, &verity);
    return drain(manifest, out, false, err);
}

static int write_all(struct manifest *manifest, struct tree_fetch *fetch, const struct tree *tree,
                     struct buf *out, struct error *err)
{
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    manifest_text_head(out, &manifest->record, tree);
    tree_walk_init(walk, tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(walk, &entry))
        r = write_entry(manifest, fetch, tree, walk->index, &entry, out, err);
    if (r == 0)
        r = drain(manifest, out, true, err);
    return r;
}

static void open_file(struct manifest *manifest)
{
    if (manifest->directory != NULL && manifest->size > MEMORY_MAX)
        manifest->fd = open(manifest->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* The size was told to the kernel: other bytes than that many would be cut or padded. */
static int check_size(struct manifest *manifest, struct error *err)
{
    struct file_info info = { .size = manifest->bytes.size };
    int r = manifest->fd >= 0 ? file_info(manifest->fd, &info, err) : 0;

    if (r == 0 && info.size != manifest->size)
        r = error_set(err, -EBADMSG, "meta.yaml came out as %llu bytes instead of %llu",
                      (unsigned long long)info.size, (unsigned long long)manifest->size);
    return r;
}

static void forget(struct manifest *manifest)
{
    buf_release(&manifest->bytes);
    if (manifest->fd >= 0)
        close(manifest->fd);
    manifest->fd = -1;
}

static int make(struct manifest *manifest, struct tree_fetch *fetch, const struct tree *tree,
                struct error *err)
{
    int r;

    open_file(manifest);
    r = write_all(manifest, fetch, tree, &manifest->bytes, err);
    if (r < 0 && manifest->fd >= 0 && r != -EAGAIN) {
        forget(manifest); /* a full disk: once more, in memory */
        r = write_all(manifest, fetch, tree, &manifest->bytes, err);
    }
    if (r == 0)
        r = check_size(manifest, err);
    if (r < 0)
        forget(manifest);
    else if (manifest->fd >= 0)
        buf_release(&manifest->bytes);
    return r;
}

int manifest_read(struct manifest *manifest, struct tree_fetch *fetch, const struct tree *tree,
                  uint64_t offset, void *out, size_t size, struct error *err)
{
    size_t got = 0;
    int r = 0;

    pthread_mutex_lock(&manifest->lock);
    if (!manifest->made)
        r = make(manifest, fetch, tree, err);
    if (r == 0)
        manifest->made = true;
    pthread_mutex_unlock(&manifest->lock);
    if (r < 0)
        return r;
    if (manifest->fd < 0) {
        memcpy(out, manifest->bytes.bytes + offset, size);
        return 0;
    }
    r = file_read_at(manifest->fd, offset, out, size, &got, err);
    return r == 0 && got != size ? error_set(err, -EIO, "meta.yaml is short") : r;
}

int manifest_record_of_facts(const char *project, const char *app, const char *version,
                             const struct known_version *facts, struct record *out,
                             struct error *err)
{
    struct record record;
    int r;

    record_init(&record);
    r = record_set_names(&record, span_text(project), span_text(app), span_text(version), err);
    if (r < 0) {
        record_release(&record);
        return r;
    }
    record.has_content = record.has_tree = true;
    record.content = facts->content;
    record.tree = facts->tree;
    record.has_tree_size = record.has_file_count = record.has_bytes = true;
    record.tree_size = facts->tree_size;
    record.file_count = facts->file_count;
    record.bytes = facts->bytes;
    *out = record;
    return 0;
}
