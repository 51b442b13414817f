/* SPDX-License-Identifier: MIT */
#include "fs/main/cache_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/client/blob_check.h"
#include "common/client/known_versions.h"
#include "common/model/tree.h"
#include "common/model/version_ref.h"
#include "fs/holder/worker_user.h"

#define FOLDERS 256
#define PATH_SIZE_MAX 8192

struct checking {
    struct blob_cache *cache;
    cache_check_wrong *wrong;
    void *context;
    const char *version; /* or NULL */
    struct cache_check sum;
};

CLEANUP_DEFINE(blob_cache, blob_cache_close);

static void add(struct checking *checking, int result, uint64_t size, const char *what)
{
    if (result != 0 && result != -EBADMSG)
        return;
    checking->sum.objects++;
    checking->sum.bytes += size;
    if (result == 0)
        return;
    checking->sum.wrong++;
    checking->wrong(checking->context, what);
}

/* All of it ----------------------------------------------------------------------- */

static int check_folder(struct checking *checking, enum blob_kind kind, uint8_t first,
                        struct error *err)
{
    cleanup_memory struct digest *names = NULL;
    size_t count = 0;
    int r = blob_cache_names(checking->cache, kind, first, &names, &count, err);

    for (size_t i = 0; r == 0 && i < count; i++) {
        struct error why = { 0 };
        uint64_t size = 0;

        add(checking, blob_cache_check(checking->cache, kind, &names[i], NULL, &size, &why), size,
            why.text);
    }
    return r;
}

static int check_all(struct checking *checking, struct error *err)
{
    static const enum blob_kind kinds[] = { BLOB_CONTENT, BLOB_TREE };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(*kinds); i++)
        for (unsigned first = 0; r == 0 && first < FOLDERS; first++)
            r = check_folder(checking, kinds[i], (uint8_t)first, err);
    return r;
}

/* One version ----------------------------------------------------------------------- */

static void check_file(struct checking *checking, const struct tree *tree, uint32_t index,
                       const char *version)
{
    struct tree_record record = tree_record(tree, index);
    struct blob_key key = { BLOB_CONTENT, tree_sha256(tree, record.digest_index),
                            tree_verity(tree, record.digest_index), record.size };
    cleanup(buf_release) struct buf what = buf_init(PATH_SIZE_MAX);
    struct blob_entry *entry = NULL;
    uint8_t room[PATH_MAX_SIZE];
    uint64_t size = 0;
    int r;

    if (blob_cache_entry(checking->cache, &key, &entry, NULL) < 0)
        return;
    buf_format(&what, "%s/", version);
    buf_add_span(&what, tree_path(tree, index, room));
    if (blob_entry_is_complete(entry)) {
        r = blob_cache_check(checking->cache, BLOB_CONTENT, &key.name, NULL, &size, NULL);
    } else {
        size = blob_entry_cached_bytes(entry);
        r = size == 0 ? -ENOENT : blob_entry_check_part(entry, NULL) > 0 ? -EBADMSG : 0;
    }
    blob_entry_unref(entry);
    add(checking, r, size, buf_text(&what));
}

static int check_tree(struct checking *checking, const struct known_version *fact,
                      const char *version, struct error *err)
{
    struct blob_key key = { BLOB_TREE, fact->tree, fact->tree, fact->tree_size };
    cleanup_memory uint8_t *image = memory_resize(NULL, (size_t)fact->tree_size, 1);
    struct blob_entry *entry = NULL;
    struct tree tree;
    int r = image == NULL ? -ENOMEM : blob_cache_entry(checking->cache, &key, &entry, err);

    if (r == 0)
        r = blob_entry_read(entry, 0, image, (size_t)fact->tree_size);
    blob_entry_unref(entry);
    if (r == -EAGAIN)
        return error_set(err, -ENOENT, "%s: its tree is not in this cache", version);
    if (r == 0)
        r = tree_open(span_of(image, (size_t)fact->tree_size), &tree, err);
    for (uint32_t i = 0; r == 0 && i < tree.header.record_count; i++)
        if (tree_record(&tree, i).kind == ENTRY_FILE && tree_record(&tree, i).size > 0)
            check_file(checking, &tree, i, version);
    return r;
}

static int check_fact(void *context, const char *project, const char *app, const char *name,
                      const struct known_version *fact, struct error *err)
{
    struct checking *checking = context;
    uint64_t size = 0, before = checking->sum.wrong;
    int r = blob_cache_check(checking->cache, BLOB_TREE, &fact->tree, NULL, &size, NULL);

    add(checking, r, size, checking->version);
    /* Of a tree that is wrong nothing is known. */
    return checking->sum.wrong > before ? 0 : check_tree(checking, fact, checking->version, err);
}

static int check_version(struct checking *checking, const char *version, struct error *err)
{
    struct version_ref ref;
    int r = version_ref_parse(span_text(version), &ref, err);

    if (r == 0 && (ref.kind != VERSION_REF_VERSION || ref.path.size > 0))
        r = error_set(err, -EINVAL, "\"%s\" is not PROJECT/APP/VERSION", version);
    checking->version = version;
    if (r == 0)
        r = known_versions_find("known", ref.project, ref.app, ref.version, check_fact, checking,
                                err);
    return r;
}

int cache_check_run(const char *directory, const char *version, cache_check_wrong *wrong,
                    void *context, struct cache_check *out, struct error *err)
{
    cleanup(cleanup_blob_cache) struct blob_cache *cache = NULL;
    struct checking checking = { .wrong = wrong, .context = context };
    uint64_t free_bytes;
    int r;

    r = worker_user_enter_cache(directory, err);
    if (r == -ENOENT || (r == 0 && file_free_space("obj", &free_bytes, NULL) < 0))
        r = error_set(err, -ENOTDIR, "%s is not a cache", directory);
    if (r == 0)
        r = blob_cache_open(".", NULL, &cache, err);
    checking.cache = cache;
    if (r == 0)
        r = version == NULL ? check_all(&checking, err) : check_version(&checking, version, err);
    if (r == 0)
        *out = checking.sum;
    return r;
}
