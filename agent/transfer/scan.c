/* SPDX-License-Identifier: MIT */
#include "agent/transfer/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/pattern.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/names.h"
#include "common/model/times.h"
#include "common/model/tree.h"

#define BLOCK_ENTRIES 1024
#define ARENA_SIZE (256 * 1024)
#define BITS_NAMED 3  /* entries with setuid, setgid or sticky, */
#define BITS_SIZE 150 /* as far as a warning has room for their names */

/* Bytes that stay where they are until the scan is freed. */
struct arena {
    struct arena *next;
    size_t used, size;
    char bytes[];
};

struct scan {
    struct scan_entry **blocks;
    size_t block_count;
    size_t count;
    struct arena *arena;
    uint64_t root_stamp;
};

/* One walk: the path so far is in `path`. */
struct walk {
    const struct scan_options *options;
    struct scan *scan;
    struct buf path;
    struct buf bits; /* the first files that lose a bit */
    uint64_t bits_named, bits_count;
};

static void walk_release(struct walk *walk)
{
    buf_release(&walk->path);
    buf_release(&walk->bits);
}

CLEANUP_DEFINE(directory, directory_close);

struct scan *scan_free(struct scan *scan)
{
    if (scan == NULL)
        return NULL;
    for (size_t i = 0; i < scan->block_count; i++)
        memory_free(scan->blocks[i]);
    memory_free(scan->blocks);
    while (scan->arena != NULL) {
        struct arena *next = scan->arena->next;
        memory_free(scan->arena);
        scan->arena = next;
    }
    return memory_free(scan);
}

size_t scan_count(const struct scan *scan)
{
    return scan->count;
}

struct scan_entry *scan_entry_at(const struct scan *scan, size_t index)
{
    return &scan->blocks[index / BLOCK_ENTRIES][index % BLOCK_ENTRIES];
}

static char *keep(struct scan *scan, const void *bytes, size_t size)
{
    struct arena *arena = scan->arena;
    char *at;

    if (arena == NULL || arena->size - arena->used < size + 1) {
        size_t room = size + 1 > ARENA_SIZE ? size + 1 : ARENA_SIZE;
        arena = memory_resize(NULL, 1, sizeof(*arena) + room);
        if (arena == NULL)
            return NULL;
        arena->next = scan->arena;
        arena->used = 0;
        arena->size = room;
        scan->arena = arena;
    }
    at = arena->bytes + arena->used;
    memcpy(at, bytes, size);
    at[size] = '\0';
    arena->used += size + 1;
    return at;
}

static struct scan_entry *add_entry(struct scan *scan)
{
    if (scan->count == scan->block_count * BLOCK_ENTRIES) {
        struct scan_entry **blocks =
            memory_resize(scan->blocks, scan->block_count + 1, sizeof(*blocks));
        if (blocks == NULL)
            return NULL;
        scan->blocks = blocks;
        blocks[scan->block_count] = memory_array(BLOCK_ENTRIES, sizeof(**blocks));
        if (blocks[scan->block_count] == NULL)
            return NULL;
        scan->block_count++;
    }
    return scan_entry_at(scan, scan->count);
}

void scan_entry_set(struct scan_entry *entry, const struct file_info *info)
{
    entry->size = entry->kind == ENTRY_FILE ? info->size : entry->size;
    entry->mtime = info->mtime_s;
    entry->mode = entry->executable ? 0755 : (uint16_t)(info->mode & 0777);
    entry->stamp = stat_stamp(info);
}

struct entry scan_entry_model(const struct scan_entry *entry)
{
    struct entry model = { .kind = (enum entry_kind)entry->kind,
                           .path = span_of(entry->path, entry->path_size),
                           .mtime = entry->mtime };

    if (entry->kind == ENTRY_LINK) {
        model.target = span_of(entry->target, (size_t)entry->size);
        return model;
    }
    model.mode = entry->mode;
    if (entry->kind == ENTRY_FILE) {
        model.size = entry->size;
        model.sha256 = entry->sha256;
    }
    return model;
}

/* What is neither directory, file nor link, and names and sizes that no version can hold. */
static int refuse(struct walk *walk, const char *why, struct error *err)
{
    return error_set(err, -EINVAL, "%s: %s", buf_text(&walk->path), why);
}

static int fill_link(struct walk *walk, struct directory *at, const char *name,
                     struct scan_entry *entry, struct error *err)
{
    cleanup_memory char *target = NULL;
    int r;

    if (walk->options->links == SCAN_LINKS_REFUSE)
        return refuse(walk, "is a symbolic link, and links are refused here", err);
    r = directory_read_link(at, name, &target, err);
    if (r < 0)
        return r;
    entry->size = strlen(target);
    entry->target = keep(walk->scan, target, (size_t)entry->size);
    return entry->target == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

/* The entry is set but for its path. */
static void note_bits(struct walk *walk, const struct file_info *info,
                      const struct scan_entry *entry)
{
    bool fits = walk->bits_named == 0 || walk->bits.size + walk->path.size < BITS_SIZE;

    if ((info->mode & 07000) == 0)
        return;
    if (fits && walk->bits_named == walk->bits_count && walk->bits_named < BITS_NAMED) {
        buf_format(&walk->bits, "%s%.*s%s becomes %04o", walk->bits_named > 0 ? ", " : "",
                   BITS_SIZE, buf_text(&walk->path), entry->kind == ENTRY_DIRECTORY ? "/" : "",
                   entry->mode);
        walk->bits_named++;
    }
    walk->bits_count++;
}

static int warn_of_bits(struct walk *walk, struct error *err)
{
    if (walk->bits_count > walk->bits_named)
        buf_format(&walk->bits, " and %llu more",
                   (unsigned long long)(walk->bits_count - walk->bits_named));
    if (walk->bits_count > 0)
        transfer_warning(walk->options->transfer, "setuid, setgid and sticky bits are not kept: %s",
                         buf_text(&walk->bits));
    return buf_check(&walk->bits, err);
}

static int fill_file(struct walk *walk, const struct file_info *info, struct scan_entry *entry,
                     struct error *err)
{
    const struct scan_options *options = walk->options;
    struct span path = buf_span(&walk->path);

    entry->executable =
        options->executable != NULL && pattern_list_covers(options->executable, path, false);
    if (info->size > ENTRY_MAX_SIZE)
        return refuse(walk, "is larger than a file can be", err);
    scan_entry_set(entry, info);
    note_bits(walk, info, entry);
    return 0;
}

static int fill_entry(struct walk *walk, struct directory *at, const char *name,
                      const struct file_info *info, struct scan_entry *entry, struct error *err)
{
    int r = 0;

    memset(entry, 0, sizeof(*entry));
    switch (info->kind) {
    case FILE_DIRECTORY:
        entry->kind = ENTRY_DIRECTORY;
        scan_entry_set(entry, info);
        note_bits(walk, info, entry);
        break;
    case FILE_REGULAR:
        entry->kind = ENTRY_FILE;
        r = fill_file(walk, info, entry, err);
        break;
    case FILE_LINK:
        entry->kind = ENTRY_LINK;
        r = fill_link(walk, at, name, entry, err);
        break;
    case FILE_OTHER:
        return refuse(walk, "is a device, a socket or a fifo, which no version can hold", err);
    }
    if (r < 0)
        return r;
    entry->path_size = (uint16_t)walk->path.size;
    entry->path = keep(walk->scan, walk->path.bytes, walk->path.size);
    return entry->path == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static bool is_left_out(const struct walk *walk, enum file_kind kind)
{
    struct span path = buf_span(&walk->path);
    bool top = memchr(path.bytes, '/', path.size) == NULL;

    if (top && name_is_ours(path))
        return true;
    if (kind == FILE_LINK && walk->options->links == SCAN_LINKS_SKIP)
        return true;
    return walk->options->ignore != NULL &&
           pattern_list_judge(walk->options->ignore, path, kind == FILE_DIRECTORY) == PATTERN_NAMES;
}

static int scan_directory(struct walk *walk, struct directory *at, struct error *err);

static int go_down(struct walk *walk, struct directory *at, const char *name, struct error *err)
{
    cleanup(cleanup_directory) struct directory *below = NULL;
    int r = directory_open_below(at, name, &below, err);

    if (r == -ENOENT)
        return 0; /* gone since; its parent's time tells at the end */
    if (r < 0)
        return error_system(err, -r, "%s", buf_text(&walk->path));
    return scan_directory(walk, below, err);
}

/* The path in walk->path ends with `name`. */
static int scan_name(struct walk *walk, struct directory *at, const char *name, struct error *err)
{
    const struct scan_options *options = walk->options;
    struct file_info info;
    struct scan_entry *entry;
    int r = directory_info(at, name, &info, err);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_system(err, -r, "%s", buf_text(&walk->path));
    if (is_left_out(walk, info.kind))
        return 0;
    r = name_check_path(buf_span(&walk->path), err);
    if (r < 0)
        return error_prefix(err, r, "%.150s", buf_text(&walk->path));
    entry = add_entry(walk->scan);
    if (entry == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = fill_entry(walk, at, name, &info, entry, err);
    if (r < 0)
        return r;
    walk->scan->count++;
    transfer_done(options->transfer, 1, 0);
    if (entry->kind == ENTRY_DIRECTORY)
        return go_down(walk, at, name, err);
    if (entry->kind == ENTRY_FILE &&
        !stat_cache_find(options->cache, buf_span(&walk->path), &info, &entry->sha256))
        options->on_unknown(options->context, entry);
    return 0;
}

/* The names of one directory: texts one behind the other, and where they begin. */
struct names {
    struct buf texts;
    struct buf starts; /* size_t each, then sorted pointers */
};

static void names_release(struct names *names)
{
    buf_release(&names->texts);
    buf_release(&names->starts);
}

static int add_name(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct names *names = context;
    uintptr_t start = names->texts.size;

    buf_add(&names->texts, name, strlen(name) + 1);
    buf_add(&names->starts, &start, sizeof(start));
    return names->texts.failure != 0 ? buf_check(&names->texts, err)
                                     : buf_check(&names->starts, err);
}

static int compare_names(const void *a, const void *b)
{
    const char *left, *right;

    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return strcmp(left, right);
}

static void sort_names(struct names *names)
{
    size_t count = names->starts.size / sizeof(uintptr_t);

    for (size_t i = 0; i < count; i++) {
        uintptr_t *slot = (uintptr_t *)(void *)names->starts.bytes + i;
        *slot += (uintptr_t)names->texts.bytes;
    }
    if (count > 1)
        qsort(names->starts.bytes, count, sizeof(uintptr_t), compare_names);
}

static int scan_directory(struct walk *walk, struct directory *at, struct error *err)
{
    cleanup(names_release) struct names names = { buf_init(BUF_UNLIMITED),
                                                  buf_init(BUF_UNLIMITED) };
    size_t path_size = walk->path.size;
    int r = directory_list(at, "", add_name, &names, err);

    if (r < 0)
        return error_system(err, -r, "%s", path_size > 0 ? buf_text(&walk->path) : ".");
    sort_names(&names);
    for (size_t i = 0; r == 0 && i < names.starts.size / sizeof(uintptr_t); i++) {
        const char *name = ((const char *const *)(void *)names.starts.bytes)[i];
        if (path_size > 0)
            buf_add_byte(&walk->path, '/');
        buf_add_text(&walk->path, name);
        r = buf_check(&walk->path, err);
        if (r == 0)
            r = transfer_stopped(walk->options->transfer, err);
        if (r == 0)
            r = scan_name(walk, at, name, err);
        walk->path.size = path_size;
    }
    return r;
}

int scan_new(struct scan **out_scan, struct error *err)
{
    struct scan *scan = memory_new(sizeof(*scan));

    if (scan == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_scan = scan;
    return 0;
}

int scan_run(struct scan *scan, const struct scan_options *options, struct error *err)
{
    cleanup(walk_release) struct walk walk = { .options = options,
                                               .scan = scan,
                                               .path = buf_init(BUF_UNLIMITED),
                                               .bits = buf_init(BUF_UNLIMITED) };
    struct file_info info;
    int r = directory_info(options->root, "", &info, err);

    if (r == 0) {
        scan->root_stamp = stat_stamp(&info);
        r = scan_directory(&walk, options->root, err);
    }
    return r < 0 ? r : warn_of_bits(&walk, err);
}

int scan_write_listing(const struct scan *scan, struct sink sink, struct listing_totals *out,
                       struct error *err)
{
    cleanup_memory struct listing_writer *writer = memory_new(sizeof(*writer));
    int r;

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = listing_writer_init(writer, sink, err);
    for (size_t i = 0; r == 0 && i < scan->count; i++) {
        struct entry entry = scan_entry_model(scan_entry_at(scan, i));
        r = listing_writer_add(writer, &entry, err);
    }
    return r < 0 ? r : listing_writer_end(writer, out, err);
}

int scan_write_times(const struct scan *scan, struct sink sink, struct digest *out_sha256,
                     struct error *err)
{
    cleanup_memory struct times_writer *writer = memory_new(sizeof(*writer));
    int r;

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = times_writer_init(writer, sink, err);
    for (size_t i = 0; r == 0 && i < scan->count; i++)
        r = times_writer_add(writer, scan_entry_at(scan, i)->mtime, err);
    return r < 0 ? r : times_writer_end(writer, out_sha256, err);
}

static int compare_files(const void *a, const void *b)
{
    const struct scan_entry *const *one = a, *const *two = b;

    return memcmp(&(*one)->sha256, &(*two)->sha256, sizeof((*one)->sha256));
}

static bool has_file(const struct tree *tree, const struct scan_entry *entry)
{
    uint32_t digest_index;

    return tree != NULL && tree_find_sha256(tree, &entry->sha256, &digest_index) == 0;
}

int scan_distinct_bytes(const struct scan *scan, const struct tree *had, uint64_t *out_bytes,
                        struct error *err)
{
    cleanup_memory const struct scan_entry **files = memory_array(scan->count, sizeof(*files));
    uint64_t bytes = 0;
    size_t count = 0;

    if (files == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_entry *entry = scan_entry_at(scan, i);
        if (entry->kind == ENTRY_FILE)
            files[count++] = entry;
    }
    qsort(files, count, sizeof(*files), compare_files);
    for (size_t i = 0; i < count; i++) {
        if ((i == 0 || compare_files(&files[i - 1], &files[i]) != 0) && !has_file(had, files[i]))
            bytes += files[i]->size;
    }
    *out_bytes = bytes;
    return 0;
}

int scan_check_directories(const struct scan *scan, struct directory *root, const char **out_path,
                           struct error *err)
{
    struct file_info info;
    int r = directory_info(root, "", &info, err);

    if (r < 0)
        return r;
    if (stat_stamp(&info) != scan->root_stamp) {
        *out_path = ".";
        return 1;
    }
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_entry *entry = scan_entry_at(scan, i);
        if (entry->kind != ENTRY_DIRECTORY)
            continue;
        r = directory_info(root, entry->path, &info, err);
        if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -ELOOP)
            return r;
        if (r < 0 || stat_stamp(&info) != entry->stamp) {
            *out_path = entry->path;
            return 1;
        }
    }
    return 0;
}
