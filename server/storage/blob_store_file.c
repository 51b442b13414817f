/* SPDX-License-Identifier: MIT */
#include "server/storage/blob_store_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "server/storage/blob_store.h"
#include "server/storage/file_commits.h"
#include "server/storage/file_tree.h"

#define WRITEBACK_SIZE ((uint64_t)1 << 20)

struct file_store {
    struct blob_store base;
    struct file_tree tree;
    struct file_commits *commits;
};

struct file_writer {
    struct blob_writer base;
    int fd;
    bool is_new;      /* its name in tmp/ is not known to be durable */
    uint64_t started; /* up to here the kernel was asked to write */
    char key[BLOB_KEY_MAX + 1];
};

static struct file_store *store_of(struct blob_store *store)
{
    return (struct file_store *)store;
}

static struct file_writer *writer_of(struct blob_writer *writer)
{
    return (struct file_writer *)writer;
}

static struct file_writer *writer_end(struct file_writer *writer)
{
    cleanup_fd_at(&writer->fd);
    return memory_free(writer);
}

static int writer_new(const char *key, struct file_writer **out, struct error *err)
{
    struct file_writer *writer = memory_new(sizeof(*writer));

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    writer->fd = -1;
    memcpy(writer->key, key, strlen(key) + 1);
    *out = writer;
    return 0;
}

static bool is_readable(struct file_store *self, const char *key)
{
    cleanup_fd int fd = file_tree_object_open(&self->tree, key, O_PATH | O_NOFOLLOW);

    return fd >= 0;
}

static int store_create(struct blob_store *store, const char *key, uint64_t size,
                        struct blob_writer **out_writer, struct error *err)
{
    struct file_store *self = store_of(store);
    struct file_writer *writer;
    int r;

    if (is_readable(self, key))
        return error_set(err, -EEXIST, "object %s is there already", key);
    r = writer_new(key, &writer, err);
    if (r < 0)
        return r;
    writer->is_new = true;
    writer->fd =
        openat(self->tree.tmp_fd, key, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (writer->fd < 0 || flock(writer->fd, LOCK_EX | LOCK_NB) != 0) {
        r = file_tree_error(err, errno, key);
        writer_end(writer);
        return r;
    }
    *out_writer = &writer->base;
    return 0;
}

/* The name may have gone between opening and locking: then the lock is of nothing. */
static int lock_take(struct file_store *self, struct file_writer *writer, struct error *err)
{
    struct stat opened;
    struct stat named;

    if (flock(writer->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, -EBUSY, "object %s is being written", writer->key);
        return file_tree_error(err, errno, writer->key);
    }
    if (fstat(writer->fd, &opened) != 0 ||
        fstatat(self->tree.tmp_fd, writer->key, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return file_tree_error(err, errno, writer->key);
    if (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)
        return error_set(err, -EBUSY, "object %s is being written", writer->key);
    return 0;
}

static int cut(struct file_writer *writer, uint64_t *offset, struct error *err)
{
    struct stat info;

    if (fstat(writer->fd, &info) != 0)
        return file_tree_error(err, errno, writer->key);
    if ((uint64_t)info.st_size <= *offset) {
        *offset = (uint64_t)info.st_size;
        return 0;
    }
    if (ftruncate(writer->fd, (off_t)*offset) != 0)
        return file_tree_error(err, errno, writer->key);
    return 0;
}

static int store_resume(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                        struct blob_writer **out_writer, struct error *err)
{
    struct file_store *self = store_of(store);
    struct file_writer *writer;
    int r = writer_new(key, &writer, err);

    if (r < 0)
        return r;
    writer->fd = openat(self->tree.tmp_fd, key, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (writer->fd < 0)
        r = file_tree_error(err, errno, key);
    if (r >= 0)
        r = lock_take(self, writer, err);
    if (r >= 0)
        r = cut(writer, offset, err);
    if (r < 0) {
        writer_end(writer);
        return r;
    }
    writer->is_new = true; /* whoever made it may have died before its name was synced */
    writer->started = *offset;
    *out_writer = &writer->base;
    return 0;
}

/* What was written is on its way to the disk before somebody waits for it: the sync at a part's end
 * then has little left to do. A hint; small objects are synced together, by file_commits.h. */
static void start_writeback(struct file_writer *writer, uint64_t end)
{
    if (end - writer->started < WRITEBACK_SIZE)
        return;
    file_sync_begin(writer->fd, writer->started, end - writer->started);
    writer->started = end;
}

static int writer_write(struct blob_writer *base, const void *bytes, size_t size, struct error *err)
{
    struct file_writer *writer = writer_of(base);
    const uint8_t *at = bytes;
    uint64_t offset = base->written;
    ssize_t n;

    while (size > 0) {
        n = pwrite(writer->fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_tree_error(err, n < 0 ? errno : ENOSPC, "writing an object");
        at += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    start_writeback(writer, offset);
    return 0;
}

static int writer_suspend(struct blob_writer *base, struct error *err)
{
    struct file_store *self = store_of(base->store);
    struct file_writer *writer = writer_of(base);
    int r = 0;

    /* What a failed write left behind the last whole one is no part of the object. */
    if (base->failure < 0 && ftruncate(writer->fd, (off_t)base->written) != 0)
        r = file_tree_error(err, errno, "suspending an object");
    if (r >= 0 && (fdatasync(writer->fd) != 0 || (writer->is_new && fsync(self->tree.tmp_fd) != 0)))
        r = file_tree_error(err, errno, "syncing an unfinished object");
    writer_end(writer);
    return r;
}

static void writer_abort(struct blob_writer *base)
{
    struct file_store *self = store_of(base->store);
    struct file_writer *writer = writer_of(base);

    unlinkat(self->tree.tmp_fd, writer->key, 0);
    writer_end(writer);
}

/* On failure what was not named is forgotten. */
static int writers_commit(struct blob_writer *const *writers, size_t count, struct error *err)
{
    struct file_store *self = store_of(writers[0]->store);
    cleanup_memory struct file_commit *items = memory_array(count, sizeof(*items));
    int r = 0;

    if (items == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count && r >= 0; i++) {
        assert(writers[i]->store == &self->base);
        items[i] = (struct file_commit){ .fd = writer_of(writers[i])->fd,
                                         .key = writer_of(writers[i])->key };
        if (fchmod(items[i].fd, 0444) != 0)
            r = file_tree_error(err, errno, "finishing an object");
    }
    if (r >= 0)
        r = file_commits_run(self->commits, items, count, err);
    for (size_t i = 0; i < count; i++) {
        if (r < 0)
            writer_abort(writers[i]);
        else
            writer_end(writer_of(writers[i]));
    }
    return r;
}

static int range_check(int fd, uint64_t offset, uint64_t *size, struct error *err)
{
    struct stat info;
    uint64_t whole;

    if (fstat(fd, &info) != 0)
        return file_tree_error(err, errno, "an object");
    whole = (uint64_t)info.st_size;
    if (*size == UINT64_MAX && offset <= whole)
        *size = whole - offset;
    if (offset > whole || *size > whole - offset)
        return error_set(err, -EBADMSG, "the object has %" PRIu64 " bytes, which is too few",
                         whole);
    return 0;
}

static int store_open(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                      struct blob_reader *out_reader, struct error *err)
{
    cleanup_fd int fd = file_tree_object_open(&store_of(store)->tree, key, O_RDONLY | O_NOFOLLOW);
    int r;

    if (fd < 0)
        return file_tree_error(err, errno, key);
    r = range_check(fd, offset, &size, err);
    if (r < 0)
        return r;
    out_reader->fd = take_fd(&fd);
    out_reader->fd_offset = offset;
    out_reader->size = size;
    return 0;
}

static int reader_read(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                       struct error *err)
{
    uint8_t *at = out;
    uint64_t from = reader->fd_offset + offset;
    ssize_t n;

    while (size > 0) {
        n = pread(reader->fd, at, size, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_tree_error(err, errno, "reading an object");
        if (n == 0)
            return error_set(err, -EBADMSG, "the object ends before its size");
        at += n;
        size -= (size_t)n;
        from += (uint64_t)n;
    }
    return 0;
}

static void reader_release(struct blob_reader *reader)
{
    cleanup_fd_at(&reader->fd);
}

static int store_remove(struct blob_store *store, const char *key, struct error *err)
{
    struct file_store *self = store_of(store);
    cleanup_fd int folder = -1;
    int r;

    if (unlinkat(self->tree.tmp_fd, key, 0) != 0 && errno != ENOENT)
        return file_tree_error(err, errno, key);
    r = file_tree_folder_open(&self->tree, key, false, &folder, NULL, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (unlinkat(folder, key, 0) != 0)
        return errno == ENOENT ? 0 : file_tree_error(err, errno, key);
    return fsync(folder) == 0 ? 0 : file_tree_error(err, errno, key);
}

static int store_set_aside(struct blob_store *store, const char *key, struct error *err)
{
    struct file_store *self = store_of(store);
    cleanup_fd int folder = -1, aside = -1;
    int r = file_tree_folder_open(&self->tree, key, false, &folder, NULL, err);

    if (r == 0)
        r = file_tree_aside_open(&self->tree, &aside, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (renameat(folder, key, aside, key) != 0)
        return errno == ENOENT ? 0 : file_tree_error(err, errno, key);
    if (fsync(aside) != 0 || fsync(folder) != 0)
        return file_tree_error(err, errno, key);
    return 0;
}

static int store_list(struct blob_store *store, blob_store_each *each, void *context,
                      struct error *err)
{
    return file_tree_walk(&store_of(store)->tree, each, context, err);
}

static int store_free_space(struct blob_store *store, uint64_t *out_bytes, struct error *err)
{
    struct statvfs info;

    if (fstatvfs(store_of(store)->tree.root_fd, &info) != 0)
        return file_tree_error(err, errno, "the store's file system");
    *out_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return 0;
}

static int store_check(struct blob_store *store, struct error *err)
{
    char id[BLOB_STORE_ID_SIZE];
    int r = file_tree_sentinel(&store_of(store)->tree, id, err);

    if (r < 0)
        return r;
    if (strcmp(id, store->id) != 0)
        return error_set(err, -EBADMSG, "the directory belongs to store %s, not to %s", id,
                         store->id);
    return 0;
}

static void store_free(struct blob_store *store)
{
    struct file_store *self = store_of(store);

    file_commits_free(self->commits);
    file_tree_close(&self->tree);
    memory_free(self);
}

static const struct blob_store_ops file_ops = {
    .name = "file",
    .create = store_create,
    .resume = store_resume,
    .write = writer_write,
    .suspend = writer_suspend,
    .commit = writers_commit,
    .abort = writer_abort,
    .open = store_open,
    .read = reader_read,
    .release = reader_release,
    .remove = store_remove,
    .set_aside = store_set_aside,
    .list = store_list,
    .free_space = store_free_space,
    .check = store_check,
    .free = store_free,
};

/* The sentinel is there and ours, or is made in a place where nothing was ever stored. */
static int sentinel_require(struct file_store *self, bool found, struct error *err)
{
    char id[BLOB_STORE_ID_SIZE];
    int r = file_tree_sentinel(&self->tree, id, err);

    if (r == -ENOENT && found) {
        if (!file_tree_is_empty(&self->tree))
            return error_set(err, -EBADMSG, "objects without a sentinel: whose store is this?");
        r = file_tree_sentinel_make(&self->tree, self->base.id, err);
    }
    return r < 0 ? r : store_check(&self->base, err);
}

/* A process that was killed between naming an object and syncing the name left one that can be
 * read, but may be gone after a loss of power. Who finds it there takes it for durable (deposit.h),
 * so it has to be. */
static int sync_what_was_named(struct file_store *self, struct error *err)
{
    return syncfs(self->tree.root_fd) == 0 ? 0 : file_tree_error(err, errno, "syncing the store");
}

int blob_store_file_open(const char *path, const char *store_id, bool found,
                         struct blob_store **out_store, struct error *err)
{
    struct file_store *self;
    int r;

    if (strlen(store_id) != BLOB_STORE_ID_SIZE - 1)
        return error_set(err, -EINVAL, "\"%s\" is no store id", store_id);
    self = memory_new(sizeof(*self));
    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->base.ops = &file_ops;
    memcpy(self->base.id, store_id, BLOB_STORE_ID_SIZE);
    self->tree = (struct file_tree){ .root_fd = -1, .blobs_fd = -1, .tmp_fd = -1 };
    r = file_tree_open(path, found, &self->tree, err);
    if (r >= 0)
        r = sentinel_require(self, found, err);
    if (r >= 0)
        r = sync_what_was_named(self, err);
    if (r >= 0)
        r = file_commits_new(&self->tree, &self->commits, err);
    if (r < 0) {
        store_free(&self->base);
        return error_prefix(err, r, "blob store %s", path);
    }
    *out_store = &self->base;
    return 0;
}

int blob_store_file_id(const char *path, char out_id[BLOB_STORE_ID_SIZE], struct error *err)
{
    struct file_tree tree = { .root_fd = -1, .blobs_fd = -1, .tmp_fd = -1 };
    int r = file_tree_open(path, false, &tree, err);

    if (r == 0)
        r = file_tree_sentinel(&tree, out_id, err);
    file_tree_close(&tree);
    return r < 0 ? error_prefix(err, r, "blob store %s", path) : 0;
}
