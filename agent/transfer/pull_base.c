/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/likeness.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

#define BUFFER_SIZE (256 * 1024)

/* A file of the version that a blob without a base becomes. */
struct wanted {
    uint64_t name; /* likeness_name() */
    struct pull_blob *blob;
    uint32_t index; /* record in the tree */
};

/* What the last pull has put under such a name. */
struct held {
    uint64_t name;
    struct span path; /* in the cache */
    uint64_t stamp;
    struct digest sha256;
    bool is_sought;   /* in the version: */
    bool is_gone;     /* it has no file there */
    bool is_examined; /* in DEST: */
    uint64_t size;    /* 0: it is no use */
    uint64_t read;    /* the stamp that it was read with, once for all blobs; 0: it was not */
    struct digest now;
};

struct finding {
    const struct pull_base_options *options;
    struct buf wanted;         /* struct wanted each, sorted by name */
    struct buf held;           /* struct held each, sorted by name and path */
    size_t looks, comparisons; /* that are left */
    uint8_t *buffer;
};

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

/* What is wanted, and what is held under such names ---------------------------- */

static struct wanted *all_wanted(const struct finding *finding, size_t *out_count)
{
    *out_count = finding->wanted.size / sizeof(struct wanted);
    return (struct wanted *)(void *)finding->wanted.bytes;
}

static struct held *all_held(const struct finding *finding, size_t *out_count)
{
    *out_count = finding->held.size / sizeof(struct held);
    return (struct held *)(void *)finding->held.bytes;
}

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *left = a, *right = b;

    return (left->name > right->name) - (left->name < right->name);
}

static int compare_held(const void *a, const void *b)
{
    const struct held *left = a, *right = b;

    if (left->name != right->name)
        return left->name < right->name ? -1 : 1;
    return span_compare(left->path, right->path);
}

/* The blob is named by the path that it is written to first. */
static int add_wanted(struct finding *finding, uint32_t index, struct pull_blob *blob)
{
    uint8_t bytes[PATH_MAX_SIZE];
    struct span path = tree_path(finding->options->tree, index, bytes);
    struct wanted wanted = { likeness_name(path), blob, index };
    const struct tree *tree = finding->options->tree;

    if (blob->base == NULL) {
        blob->base = memory_new(sizeof(*blob->base));
        if (blob->base != NULL)
            blob->base->path = text_of(path);
        if (blob->base == NULL || blob->base->path == NULL)
            return -ENOMEM;
        blob->base->verity = tree_verity(tree, tree_record(tree, index).digest_index);
    }
    buf_add(&finding->wanted, &wanted, sizeof(wanted));
    return 0;
}

static int find_wanted(struct finding *finding, struct pull_blob *blobs, size_t count)
{
    const struct pull_plan *plan = finding->options->plan;
    size_t writes = pull_plan_write_count(plan), at = 0, found;
    int r = 0;

    for (size_t i = 0; r == 0 && i < writes; i++) {
        const struct pull_write *write = pull_plan_write(plan, i);

        while (at < count && !digest_equal(&blobs[at].sha256, &write->sha256))
            at++;
        if (at == count)
            break;
        if (!blobs[at].is_here && blobs[at].size >= PULL_BASE_BLOB_MIN)
            r = add_wanted(finding, write->index, &blobs[at]);
    }
    if (r == 0)
        r = buf_check(&finding->wanted, NULL);
    if (r == 0 && finding->wanted.size > 0)
        qsort(all_wanted(finding, &found), finding->wanted.size / sizeof(struct wanted),
              sizeof(struct wanted), compare_wanted);
    return r;
}

static int find_held(struct finding *finding)
{
    struct stat_cache *cache = finding->options->cache;
    struct held held = { 0 };
    size_t count;
    const struct wanted *wanted = all_wanted(finding, &count);
    int r;

    stat_cache_rewind(cache);
    while (stat_cache_next(cache, &held.path, &held.stamp, &held.sha256)) {
        const struct wanted key = { .name = held.name = likeness_name(held.path) };

        if (bsearch(&key, wanted, count, sizeof(key), compare_wanted) != NULL)
            buf_add(&finding->held, &held, sizeof(held));
    }
    r = buf_check(&finding->held, NULL);
    if (r == 0 && finding->held.size > 0)
        qsort(all_held(finding, &count), finding->held.size / sizeof(held), sizeof(held),
              compare_held);
    return r;
}

/* What a file holds ------------------------------------------------------------ */

/* 1, 0 when it cannot be told, or an error. */
static int read_file(struct finding *finding, const char *path, struct file_info *out_info,
                     struct digest *out_sha256, struct error *err)
{
    cleanup_fd int fd = -1;
    int r;

    if (directory_open_read(finding->options->dest, path, &fd, NULL) < 0 ||
        file_info(fd, out_info, NULL) < 0)
        return 0;
    r = hasher_read(fd, out_info->size, finding->buffer, BUFFER_SIZE,
                    finding->options->transfer->stop, out_sha256, err);
    return r == -ECANCELED ? r : r == 0;
}

static bool pays_to_read(const struct file_info *info, const struct pull_blob *blob)
{
    return info->size >= PULL_BASE_BLOB_MIN && info->size / PULL_BASE_READ_TIMES < blob->size;
}

/* What the file at `path` holds: 1, 0 when it cannot be told or takes too long, or an error. */
static int look_into(struct finding *finding, const struct pull_blob *blob, const char *path,
                     struct held *noted, struct file_info *info, struct digest *out_sha256,
                     struct error *err)
{
    const uint64_t stamp = stat_stamp(info);
    int r;

    if (noted != NULL && (stamp == noted->stamp || stamp == noted->read)) {
        *out_sha256 = stamp == noted->stamp ? noted->sha256 : noted->now;
        return 1;
    }
    if (!pays_to_read(info, blob))
        return 0;
    r = read_file(finding, path, info, out_sha256, err);
    if (r > 0 && noted != NULL) {
        noted->read = stat_stamp(info);
        noted->now = *out_sha256;
    }
    return r;
}

/* The file at `path` as the base; noted: what the last pull has put there, or NULL. */
static int take_base(struct finding *finding, struct pull_blob *blob, struct span path,
                     struct held *noted, struct error *err)
{
    cleanup_memory char *text = text_of(path);
    struct pull_base *base = blob->base;
    struct digest sha256;
    struct file_info info;
    int r;

    if (text == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (directory_info(finding->options->dest, text, &info, NULL) < 0 ||
        info.kind != FILE_REGULAR || info.size == 0)
        return 0;
    r = look_into(finding, blob, text, noted, &info, &sha256, err);
    if (r <= 0)
        return r;
    memory_free(base->path);
    base->path = take_pointer(&text);
    base->is_known = true;
    base->sha256 = base->noted = sha256;
    if (noted != NULL && !digest_equal(&sha256, &blob->sha256))
        base->noted = noted->sha256;
    base->is_changed = digest_equal(&sha256, &blob->sha256) || !digest_equal(&sha256, &base->noted);
    base->size = info.size;
    base->stamp = stat_stamp(&info);
    return 0;
}

/* Which file it is ------------------------------------------------------------- */

static int try_same_path(struct finding *finding, const struct wanted *wanted, struct error *err)
{
    uint8_t bytes[PATH_MAX_SIZE];
    const struct held key = { .name = wanted->name,
                              .path = tree_path(finding->options->tree, wanted->index, bytes) };
    struct held *held;
    size_t count;

    held = all_held(finding, &count);
    if (count > 0)
        held = bsearch(&key, held, count, sizeof(key), compare_held);
    return take_base(finding, wanted->blob, key.path, count > 0 ? held : NULL, err);
}

/* Once each. */
static bool is_gone(const struct finding *finding, struct held *held)
{
    const struct tree *tree = finding->options->tree;
    uint32_t index;

    if (!held->is_sought)
        held->is_gone = tree_find_path(tree, held->path, &index) < 0 ||
                        tree_record(tree, index).kind != ENTRY_FILE;
    held->is_sought = true;
    return held->is_gone;
}

/* The same, as far as looks are left. */
static uint64_t size_of(struct finding *finding, struct held *held)
{
    cleanup_memory char *text = NULL;
    struct file_info info;

    if (held->is_examined || finding->looks == 0)
        return held->size;
    finding->looks--;
    held->is_examined = true;
    text = text_of(held->path);
    if (text != NULL && directory_info(finding->options->dest, text, &info, NULL) == 0 &&
        info.kind == FILE_REGULAR && info.size >= PULL_BASE_BLOB_MIN)
        held->size = info.size;
    return held->size;
}

/* What matters most stands in front. */
struct rank {
    uint32_t likeness;
    uint64_t distance; /* of the sizes */
};

/* Whether it may be what the blob was, and rather than the best so far. */
static bool is_better(struct finding *finding, struct held *held, struct span path, uint64_t wanted,
                      bool gone, struct rank *best)
{
    struct rank rank = { .likeness = likeness_of(path, held->path) };
    uint64_t size;

    if (rank.likeness < best->likeness || is_gone(finding, held) != gone ||
        (!gone && rank.likeness < LIKENESS_SAME_NAME))
        return false;
    size = size_of(finding, held);
    rank.distance = size > wanted ? size - wanted : wanted - size;
    if (size == 0 || size / PULL_BASE_READ_TIMES >= wanted ||
        wanted / PULL_BASE_READ_TIMES >= size ||
        (rank.likeness == best->likeness && rank.distance >= best->distance))
        return false;
    *best = rank;
    return true;
}

/* The first that is held under the name, or behind it. */
static size_t first_held(const struct held *held, size_t count, uint64_t name)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (held[middle].name < name)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static struct held *find_best(struct finding *finding, const struct wanted *wanted,
                              struct span path, bool gone, struct rank *best)
{
    struct held *found = NULL;
    struct held *held;
    size_t count;

    held = all_held(finding, &count);
    for (size_t i = first_held(held, count, wanted->name);
         i < count && held[i].name == wanted->name && finding->comparisons > 0; i++) {
        finding->comparisons--;
        if (is_better(finding, &held[i], path, wanted->blob->size, gone, best))
            found = &held[i];
    }
    return found;
}

/* One of the same name that stays comes before one with another number that does not. */
static int try_like_name(struct finding *finding, const struct wanted *wanted, struct error *err)
{
    uint8_t bytes[PATH_MAX_SIZE];
    struct span path = tree_path(finding->options->tree, wanted->index, bytes);
    struct rank best = { .distance = UINT64_MAX }, other = best;
    struct held *held = find_best(finding, wanted, path, true, &best), *stays = NULL;

    if (best.likeness < LIKENESS_SAME_NAME)
        stays = find_best(finding, wanted, path, false, &other);
    held = stays != NULL ? stays : held;
    return held == NULL ? 0 : take_base(finding, wanted->blob, held->path, held, err);
}

typedef int try_function(struct finding *finding, const struct wanted *wanted, struct error *err);

static int try_each(struct finding *finding, try_function *try, struct error *err)
{
    size_t count;
    const struct wanted *wanted = all_wanted(finding, &count);
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        r = transfer_stopped(finding->options->transfer, err);
        if (r == 0 && !wanted[i].blob->base->is_known)
            r = try(finding, &wanted[i], err);
    }
    return r;
}

int pull_base_find(const struct pull_base_options *options, struct pull_blob *blobs, size_t count,
                   struct error *err)
{
    cleanup_memory uint8_t *buffer = NULL;
    struct finding finding = { .options = options,
                               .wanted = buf_init(BUF_UNLIMITED),
                               .held = buf_init(BUF_UNLIMITED),
                               .looks = PULL_BASE_LOOKS,
                               .comparisons = PULL_BASE_COMPARISONS };
    int r = find_wanted(&finding, blobs, count);

    if (r == 0 && finding.wanted.size > 0) {
        buffer = memory_new(BUFFER_SIZE);
        finding.buffer = buffer;
        r = buffer == NULL ? -ENOMEM : find_held(&finding);
    }
    if (r < 0)
        r = error_set(err, r, "out of memory");
    if (r == 0)
        r = try_each(&finding, try_same_path, err);
    if (r == 0)
        r = try_each(&finding, try_like_name, err);
    buf_release(&finding.wanted);
    buf_release(&finding.held);
    return r;
}
