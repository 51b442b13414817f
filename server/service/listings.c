/* SPDX-License-Identifier: MIT */
#include "server/service/listings.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

#define CURSOR_TREE 8 /* bytes of the tree's digest: a cursor belongs to one tree */

void listed_page_release(struct listed_page *page)
{
    memory_free(page->items);
    memory_free(page->memory);
    memset(page, 0, sizeof(*page));
}

static bool is_below(const struct tree *tree, uint32_t index, uint32_t directory)
{
    while (index != directory && index != TREE_ROOT)
        index = tree_record(tree, index).parent;
    return index == directory;
}

/* Starts the walk behind the last entry of the page before. */
static int start_walk(const struct tree *tree, const struct version_fact *version,
                      uint32_t directory, const char *cursor, struct tree_walk *walk,
                      struct refusal *why, struct error *err)
{
    uint8_t key[CURSOR_KEY_MAX];
    uint32_t index;
    size_t size;
    int r = cursor_parse(CURSOR_FILES, cursor, key, &size, why, err);

    if (r < 0)
        return r;
    if (size == 0) {
        tree_walk_init(walk, tree, directory);
        return 0;
    }
    index = size == 4 + CURSOR_TREE ? bytes_u32(key) : 0;
    if (index == 0 || index >= tree->header.record_count ||
        memcmp(key + 4, version->tree.bytes, CURSOR_TREE) != 0 ||
        !is_below(tree, index, directory) || index == directory)
        return refusal_at(why, "/cursor",
                          error_set(err, -EINVAL, "the cursor belongs to another list"));
    tree_walk_resume(walk, tree, directory, index);
    return 0;
}

static void fill(const struct tree *tree, uint32_t index, const struct entry *entry,
                 struct listed_file *out)
{
    *out = (struct listed_file){
        .path = entry->path, /* only the size counts until the texts have their place */
        .target = entry->target,
        .kind = (enum listed_kind)entry->kind,
        .mode = entry->mode,
        .size = entry->size,
        .mtime_s = entry->mtime,
        .sha256 = entry->sha256,
    };
    if (entry->kind == ENTRY_FILE)
        out->verity = tree_verity(tree, tree_record(tree, index).digest_index);
}

/* The texts were added path, target, path, target ... */
static void place_texts(struct listed_page *page, const uint8_t *texts)
{
    for (size_t i = 0; i < page->count; i++) {
        struct listed_file *item = &page->items[i];

        item->path = span_of(texts, item->path.size);
        texts += item->path.size;
        item->target = span_of(texts, item->target.size);
        texts += item->target.size;
    }
}

static int fill_page(const struct tree *tree, const struct version_fact *version,
                     struct tree_walk *walk, uint32_t limit, struct listed_page *out,
                     struct error *err)
{
    cleanup(listed_page_release) struct listed_page page = { 0 };
    cleanup(buf_release) struct buf texts = buf_init(BUF_UNLIMITED);
    uint8_t key[4 + CURSOR_TREE];
    struct entry entry;
    uint32_t last = 0;
    int r;

    page.items = memory_array(limit, sizeof(*page.items));
    if (page.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    while (tree_walk_next(walk, &entry)) {
        if (page.count == limit) {
            bytes_set_u32(key, last);
            memcpy(key + 4, version->tree.bytes, CURSOR_TREE);
            cursor_format(CURSOR_FILES, span_of(key, sizeof(key)), page.next_cursor);
            break;
        }
        last = walk->index;
        fill(tree, walk->index, &entry, &page.items[page.count++]);
        buf_add_span(&texts, entry.path);
        buf_add_span(&texts, entry.target);
    }
    buf_add_byte(&texts, 0); /* so that an empty page has memory too */
    r = buf_check(&texts, err);
    if (r < 0)
        return r;
    page.memory = buf_take(&texts);
    place_texts(&page, page.memory);
    *out = page;
    memset(&page, 0, sizeof(page));
    return 0;
}

/* A file or a link as the prefix: itself alone. */
static int single_page(const struct tree *tree, uint32_t index, struct span path,
                       struct listed_page *out, struct error *err)
{
    struct tree_record record = tree_record(tree, index);
    struct listed_page page = { .count = 1 };
    uint8_t *texts;

    page.items = memory_new(sizeof(*page.items));
    texts = memory_new(path.size + record.target.size);
    page.memory = texts;
    if (page.items == NULL || texts == NULL) {
        listed_page_release(&page);
        return error_set(err, -ENOMEM, "out of memory");
    }
    memcpy(texts, path.bytes, path.size);
    if (record.target.size > 0)
        memcpy(texts + path.size, record.target.bytes, record.target.size);
    page.items[0] = (struct listed_file){ .path = span_of(texts, path.size),
                                          .target = span_of(texts + path.size, record.target.size),
                                          .kind = (enum listed_kind)record.kind,
                                          .mode = record.mode,
                                          .size = record.size,
                                          .mtime_s = record.mtime };
    if (record.kind == ENTRY_FILE) {
        page.items[0].sha256 = tree_sha256(tree, record.digest_index);
        page.items[0].verity = tree_verity(tree, record.digest_index);
    }
    *out = page;
    return 0;
}

int listings_page(struct services *services, const struct identity *identity, const char *project,
                  const char *app, const char *reference, struct span prefix,
                  const struct page_request *request, struct listed_page *out, struct refusal *why,
                  struct error *err)
{
    cleanup(tree_image_unref_at) struct tree_image *image = NULL;
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    const struct tree *tree;
    struct version_fact version;
    uint32_t directory, limit;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = page_limit(request, &limit, why, err);
    if (r == 0)
        r = version_fact_get(services, identity, project, app, reference, &version, why, err);
    if (r == 0)
        r = tree_image_open(services, &version, &image, why, err);
    if (r < 0)
        return r;
    tree = tree_image_tree(image);
    while (prefix.size > 0 && prefix.bytes[prefix.size - 1] == '/')
        prefix.size--;
    if (tree_find_path(tree, prefix, &directory) < 0) {
        memset(out, 0, sizeof(*out));
        return 0;
    }
    if (tree_record(tree, directory).kind != ENTRY_DIRECTORY)
        return single_page(tree, directory, prefix, out, err);
    r = start_walk(tree, &version, directory, request != NULL ? request->cursor : NULL, walk, why,
                   err);
    if (r == 0)
        r = fill_page(tree, &version, walk, limit, out, err);
    return r;
}
