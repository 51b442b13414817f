/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/manifest_text.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/base64.h"
#include "common/codec/yaml.h"
#include "common/model/entry.h"
#include "common/model/record.h"
#include "common/model/tree.h"

#define SCRATCH_MAX ((size_t)2 * RECORD_MAX_SIZE)

void manifest_text_head(struct buf *out, const struct record *record, const struct tree *tree)
{
    record_write(record, out);
    if (tree->header.record_count > 1)
        buf_add_text(out, "files:\n");
}

/* `key: "text"`, or `key_base64: "..."` of what is no plain text. */
static void add_bytes(struct buf *out, const char *before, struct span bytes)
{
    buf_add_text(out, before);
    if (yaml_text_is_plain(bytes)) {
        buf_add_text(out, ": ");
        yaml_add_quoted(out, bytes);
    } else {
        buf_add_text(out, "_base64: \"");
        base64_encode(bytes, out);
        buf_add_byte(out, '"');
    }
    buf_add_byte(out, '\n');
}

static void add_mode_and_time(struct buf *out, const struct entry *entry)
{
    char mode[MODE_TEXT_SIZE];

    name_format_mode(entry->mode, mode);
    buf_format(out, "    mode: \"%s\"\n    mtime: %lld\n", mode, (long long)entry->mtime);
}

static void add_digest(struct buf *out, const char *key, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(digest, hex);
    buf_format(out, "    %s: \"%s\"\n", key, hex);
}

void manifest_text_entry(struct buf *out, const struct entry *entry, const struct digest *verity)
{
    add_bytes(out, "  - path", entry->path);
    switch (entry->kind) {
    case ENTRY_LINK:
        add_bytes(out, "    link", entry->target);
        break;
    case ENTRY_DIRECTORY:
        buf_add_text(out, "    dir: true\n");
        add_mode_and_time(out, entry);
        break;
    case ENTRY_FILE:
        add_digest(out, "sha256", &entry->sha256);
        buf_format(out, "    size: %llu\n", (unsigned long long)entry->size);
        add_mode_and_time(out, entry);
        add_digest(out, "verity", verity);
        break;
    }
}

int manifest_text_size(const struct record *record, const struct tree *tree, uint64_t *out_size,
                       struct error *err)
{
    static const struct digest unknown;
    cleanup(buf_release) struct buf scratch = buf_init(SCRATCH_MAX);
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    uint64_t size;
    struct entry entry;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    manifest_text_head(&scratch, record, tree);
    size = scratch.size;
    tree_walk_init(walk, tree, TREE_ROOT);
    while (scratch.failure == 0 && tree_walk_next(walk, &entry)) {
        buf_clear(&scratch);
        manifest_text_entry(&scratch, &entry, &unknown);
        size += scratch.size;
    }
    if (scratch.failure == 0)
        *out_size = size;
    return buf_check(&scratch, err);
}
