/* SPDX-License-Identifier: MIT */
#include "common/client/blob_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_cache_private.h"
#include "common/model/merkle.h"

#define STEP_SIZE ((size_t)256 * 1024)
#define ALIGNMENT 4096

/* Forgetting ---------------------------------------------------------------- */

/* The entry of that name behind `at`, referenced; NULL: there is none. */
static struct blob_entry *next_named(struct blob_cache *cache, enum blob_kind kind,
                                     const struct digest *name, size_t *at)
{
    struct blob_entry *found = NULL;
    struct span key;
    void *value;

    pthread_mutex_lock(&cache->lock);
    while (found == NULL && map_next(&cache->entries, at, &key, &value)) {
        struct blob_entry *entry = value;

        if (entry->key.kind == kind && digest_equal(&entry->key.name, name))
            found = entry;
    }
    if (found != NULL)
        cache_entry_take_locked(cache, found);
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* What was believed of it, its open files with that; `gone`: no object has the name any more. */
static void forget(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                   bool gone)
{
    struct blob_entry *entry;
    size_t at = 0;

    while ((entry = next_named(cache, kind, name, &at)) != NULL) {
        pthread_mutex_lock(&entry->lock);
        if (entry->place == PLACE_COMPLETE) {
            entry_forget(entry);
            entry->is_loaded = false;
        }
        pthread_mutex_unlock(&entry->lock);
        blob_entry_unref(entry);
    }
    if (gone)
        cache_slot_set(cache, kind, name, false, 0, NULL);
}

/* Setting aside -------------------------------------------------------------- */

static void bad_path(enum blob_kind kind, const struct digest *name, char out[BLOB_PATH_SIZE])
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(name, hex);
    (void)snprintf(out, BLOB_PATH_SIZE, "bad/%s%s", hex, kind == BLOB_TREE ? "t" : "");
}

static bool bad_name(const char *name, enum blob_kind *out_kind, struct digest *out_digest)
{
    size_t size = strlen(name);

    if (size != DIGEST_HEX_SIZE - 1 && !(size == DIGEST_HEX_SIZE && name[size - 1] == 't'))
        return false;
    *out_kind = size == DIGEST_HEX_SIZE ? BLOB_TREE : BLOB_CONTENT;
    return digest_parse(span_of(name, DIGEST_HEX_SIZE - 1), out_digest, NULL) == 0;
}

struct bad_folder {
    struct blob_cache *cache;
    size_t count;
    uint64_t bytes;
    char oldest[BLOB_PATH_SIZE];
    int64_t oldest_s;
    uint32_t oldest_ns;
};

static int count_bad(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct bad_folder *folder = context;
    struct file_info info;
    char path[BLOB_PATH_SIZE];

    if (strlen(name) > DIGEST_HEX_SIZE)
        return 0;
    (void)snprintf(path, sizeof(path), "bad/%.65s", name);
    if (directory_info(folder->cache->root, path, &info, NULL) < 0)
        return 0;
    if (folder->count == 0 || info.ctime_s < folder->oldest_s ||
        (info.ctime_s == folder->oldest_s && info.ctime_ns < folder->oldest_ns)) {
        memcpy(folder->oldest, path, sizeof(path));
        folder->oldest_s = info.ctime_s;
        folder->oldest_ns = info.ctime_ns;
    }
    folder->count++;
    folder->bytes += info.size;
    return 0;
}

static void trim_bad(struct blob_cache *cache)
{
    for (;;) {
        struct bad_folder folder = { .cache = cache };

        directory_list(cache->root, "bad", count_bad, &folder, NULL);
        if (folder.count <= BLOB_BAD_MAX && folder.bytes <= BLOB_BAD_BYTES)
            return;
        if (directory_remove_file(cache->root, folder.oldest, NULL) < 0)
            return;
    }
}

/* What is kept of a large one: that it was wrong. */
static void leave_name_only(struct blob_cache *cache, const char *path)
{
    int fd = -1;

    directory_remove_file(cache->root, path, NULL);
    if (directory_create(cache->root, path, 0400, &fd, NULL) == 0)
        cleanup_fd_at(&fd);
}

/* On a disk that fails or cannot be written the object stays where it is; that it is wrong is known
 * to this process, which reads each piece against its digest before it uses it. */
static void set_aside(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                      const char *path, uint64_t size)
{
    char to[BLOB_PATH_SIZE];
    int r;

    bad_path(kind, name, to);
    r = directory_rename(cache->root, path, cache->root, to, NULL);
    if (r == -ENOENT && directory_make_all(cache->root, "bad", 0700, NULL) == 0)
        r = directory_rename(cache->root, path, cache->root, to, NULL);
    if (r < 0 && r != -ENOENT && directory_remove_file(cache->root, path, NULL) < 0)
        cache_failed(cache, r, "setting an object of the cache aside");
    if (r == 0 && size > BLOB_BAD_BYTES)
        leave_name_only(cache, to);
    if (r == 0)
        trim_bad(cache);
    atomic_fetch_add(&cache->damaged, 1);
    atomic_fetch_add(&cache->set_aside, 1);
    forget(cache, kind, name, true);
}

static int look_at_bad(void *context, const char *name, enum file_kind file_kind, struct error *err)
{
    struct blob_cache *cache = context;
    char path[BLOB_PATH_SIZE];
    struct file_info info;
    struct digest digest;
    enum blob_kind kind;

    if (!bad_name(name, &kind, &digest))
        return 0;
    blob_path_of(kind, &digest, BLOB_PATH_COMPLETE, path);
    forget(cache, kind, &digest, directory_info(cache->root, path, &info, NULL) == -ENOENT);
    return 0;
}

void blob_cache_look_aside(struct blob_cache *cache)
{
    struct file_info info;
    uint64_t stamp;

    if (cache->root == NULL || directory_info(cache->root, "bad", &info, NULL) < 0)
        return;
    stamp = (uint64_t)info.mtime_s * 1000000000u + info.mtime_ns;
    if (atomic_exchange(&cache->aside_stamp, stamp) != stamp)
        directory_list(cache->root, "bad", look_at_bad, cache, NULL);
}

/* Hashing --------------------------------------------------------------------- */

/* Either digest, of bytes in order. */
struct naming {
    enum blob_kind kind;
    struct digest_stream stream;
    struct merkle_builder *builder;
};

static int naming_begin(struct naming *naming, enum blob_kind kind, uint64_t size)
{
    *naming = (struct naming){ .kind = kind };
    if (kind == BLOB_CONTENT) {
        digest_stream_init(&naming->stream);
        return 0;
    }
    naming->builder = memory_new(sizeof(*naming->builder));
    if (naming->builder == NULL)
        return -ENOMEM;
    return merkle_builder_init(naming->builder, size, NULL, NULL, NULL);
}

static int naming_add(struct naming *naming, const void *bytes, size_t size)
{
    if (naming->kind == BLOB_TREE)
        return merkle_builder_add(naming->builder, bytes, size, NULL);
    digest_stream_add(&naming->stream, bytes, size);
    return 0;
}

static int naming_end(struct naming *naming, struct digest *out)
{
    if (naming->kind == BLOB_TREE)
        return merkle_builder_end(naming->builder, NULL, out, NULL);
    *out = digest_stream_end(&naming->stream);
    return 0;
}

/* One step of the file: whole blocks from the disk itself, where that can be, the rest as usual. */
static int read_step(int fd, uint64_t at, uint64_t end, uint8_t *out, bool *direct,
                     size_t *out_size)
{
    size_t size = end - at < STEP_SIZE ? (size_t)(end - at) : STEP_SIZE;
    int r;

    if (*direct && size >= ALIGNMENT) {
        size -= size % ALIGNMENT;
    } else if (*direct) {
        file_read_directly(fd, false);
        *direct = false;
    }
    r = file_read_at(fd, at, out, size, out_size, NULL);
    if (r == -EINVAL && *direct) { /* this file system wants other borders */
        file_read_directly(fd, false);
        *direct = false;
        r = file_read_at(fd, at, out, size, out_size, NULL);
    }
    return r == 0 && *out_size != size ? -EIO : r;
}

static int hash_file(int fd, struct naming *naming, uint64_t size, const struct blob_check *how,
                     struct digest *out)
{
    cleanup_memory uint8_t *room = memory_resize(NULL, STEP_SIZE + ALIGNMENT, 1);
    bool direct = file_read_directly(fd, true) == 0;
    uint8_t *bytes = room + (ALIGNMENT - (uintptr_t)room % ALIGNMENT) % ALIGNMENT;
    uint64_t at = 0;
    int r = room == NULL ? -ENOMEM : 0;

    while (r == 0 && at < size) {
        size_t got = 0;

        if (how != NULL && how->step != NULL &&
            how->step(how->context, size - at < STEP_SIZE ? (size_t)(size - at) : STEP_SIZE))
            return -ECANCELED;
        r = read_step(fd, at, size, bytes, &direct, &got);
        if (r == 0)
            r = naming_add(naming, bytes, got);
        at += got;
    }
    return r == 0 ? naming_end(naming, out) : r;
}

/* What of a failure is the object's, and not this moment's. */
static bool is_damage(int code)
{
#ifdef EUCLEAN
    if (code == -EUCLEAN)
        return true;
#endif
    return code == -EBADMSG || code == -EIO;
}

static int judge(int fd, enum blob_kind kind, const struct digest *name, uint64_t size,
                 const struct blob_check *how)
{
    struct digest digest;
    struct naming naming;
    int r = naming_begin(&naming, kind, size);

    if (r == 0)
        r = hash_file(fd, &naming, size, how, &digest);
    memory_free(naming.builder);
    if (r == 0 && !digest_equal(&digest, name))
        r = -EBADMSG;
    return r;
}

int blob_cache_check(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                     const struct blob_check *how, uint64_t *out_size, struct error *err)
{
    cleanup_fd int fd = -1;
    char path[BLOB_PATH_SIZE], hex[DIGEST_HEX_SIZE];
    struct file_info info, now;
    int r;

    if (cache->root == NULL)
        return error_set(err, -ENOENT, "there is no cache");
    blob_path_of(kind, name, BLOB_PATH_COMPLETE, path);
    r = directory_open_read(cache->root, path, &fd, err);
    if (r == 0)
        r = file_info(fd, &info, err);
    if (r < 0)
        return r;
    r = judge(fd, kind, name, info.size, how);
    if (r == -ECANCELED)
        return error_set(err, r, "ended");
    if (out_size != NULL)
        *out_size = info.size;
    if (!is_damage(r))
        return r < 0 ? error_system(err, -r, "%s", path) : 0;
    if (directory_info(cache->root, path, &now, NULL) < 0 || now.inode != info.inode)
        return error_set(err, -ENOENT, "it was replaced in between");
    set_aside(cache, kind, name, path, info.size);
    digest_hex(name, hex);
    return error_set(err, -EBADMSG, "%s: %s", path,
                     r == -EBADMSG ? "the bytes are not what the name says" : "it cannot be read");
}

/* Parts ------------------------------------------------------------------------ */

int blob_entry_check_part(struct blob_entry *entry, const struct blob_check *how)
{
    cleanup_memory uint8_t *room = memory_resize(NULL, BLOB_PIECE_SIZE, 1);
    int wrong = 0;

    if (room == NULL)
        return -ENOMEM;
    for (uint64_t piece = 0; piece < entry->shape.piece_count; piece++) {
        size_t size = (size_t)blob_piece_size(entry->key.size, piece);

        if (!blob_entry_has(entry, piece))
            continue;
        if (how != NULL && how->step != NULL && how->step(how->context, size))
            return -ECANCELED;
        pthread_mutex_lock(&entry->lock);
        piece_map_remove(&entry->verified, piece);
        pthread_mutex_unlock(&entry->lock);
        if (blob_entry_read(entry, piece * BLOB_PIECE_SIZE, room, size) < 0 &&
            !blob_entry_has(entry, piece))
            wrong++;
    }
    return wrong;
}

/* Names ------------------------------------------------------------------------ */

struct naming_list {
    uint8_t first;
    struct digest *names;
    size_t count, capacity;
};

static int add_name(void *context, const char *text, enum file_kind kind, struct error *err)
{
    struct naming_list *list = context;
    struct digest name;

    if (digest_parse(span_text(text), &name, NULL) < 0 || name.bytes[0] != list->first)
        return 0;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 16;
        struct digest *grown = memory_resize(list->names, capacity, sizeof(*grown));

        if (grown == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        list->names = grown;
        list->capacity = capacity;
    }
    list->names[list->count++] = name;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return digest_compare(a, b);
}

int blob_cache_names(struct blob_cache *cache, enum blob_kind kind, uint8_t first,
                     struct digest **out_names, size_t *out_count, struct error *err)
{
    struct naming_list list = { .first = first };
    char folder[8] = "idx";
    int r = 0;

    if (kind == BLOB_CONTENT)
        (void)snprintf(folder, sizeof(folder), "obj/%02x", first);
    if (cache->root != NULL)
        r = directory_list(cache->root, folder, add_name, &list, err);
    if (r < 0 && r != -ENOENT) {
        memory_free(list.names);
        return r;
    }
    if (list.count > 1)
        qsort(list.names, list.count, sizeof(*list.names), compare_names);
    *out_names = list.names;
    *out_count = list.count;
    return 0;
}
