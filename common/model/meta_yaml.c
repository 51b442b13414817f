/* SPDX-License-Identifier: MIT */
#include "common/model/meta_yaml.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"
#include "common/codec/yaml.h"
#include "common/model/tree.h"

#define FLUSH_SIZE 32768
#define BUFFER_MAX_SIZE (2 * RECORD_MAX_SIZE)

/* `key` or `key_base64`. */
static void write_name(struct buf *out, const char *indent, const char *key, struct span name)
{
    bool plain = yaml_text_is_plain(name);

    buf_add_text(out, indent);
    buf_add_text(out, key);
    buf_add_text(out, plain ? ": " : "_base64: ");
    if (plain) {
        yaml_add_quoted(out, name);
    } else {
        buf_add_byte(out, '"');
        base64_encode(name, out);
        buf_add_byte(out, '"');
    }
    buf_add_byte(out, '\n');
}

static void write_digest(struct buf *out, const char *key, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(digest, hex);
    buf_add_text(out, key);
    buf_add(out, hex, DIGEST_HEX_SIZE - 1);
    buf_add_text(out, "\"\n");
}

/* One formatting an entry: a manifest has very many. */
static void write_file(struct buf *out, const struct entry *entry, const struct digest *verity)
{
    char mode[MODE_TEXT_SIZE];

    name_format_mode(entry->mode, mode);
    write_digest(out, "    sha256: \"", &entry->sha256);
    buf_format(out, "    size: %llu\n    mode: \"%s\"\n    mtime: %lld\n",
               (unsigned long long)entry->size, mode, (long long)entry->mtime);
    write_digest(out, "    verity: \"", verity);
}

static void write_mode_and_mtime(struct buf *out, const struct entry *entry)
{
    char mode[MODE_TEXT_SIZE];

    name_format_mode(entry->mode, mode);
    buf_format(out, "    mode: \"%s\"\n    mtime: %lld\n", mode, (long long)entry->mtime);
}

void meta_yaml_write_head(const struct record *record, bool has_entries, struct buf *out)
{
    record_write(record, out);
    if (has_entries)
        buf_add_text(out, "files:\n");
}

void meta_yaml_write_entry(const struct entry *entry, const struct digest *verity, struct buf *out)
{
    write_name(out, "  - ", "path", entry->path);
    if (entry->kind == ENTRY_LINK) {
        write_name(out, "    ", "link", entry->target);
    } else if (entry->kind == ENTRY_DIRECTORY) {
        buf_add_text(out, "    dir: true\n");
        write_mode_and_mtime(out, entry);
    } else {
        write_file(out, entry, verity);
    }
}

static int flush(struct buf *buf, const struct sink *sink, struct error *err)
{
    int r = buf_check(buf, err);

    if (r == 0)
        r = sink_write(sink, buf->bytes, buf->size, err);
    buf_clear(buf);
    return r;
}

/* Without digests (a names part) zeros stand for them: as long as the true ones. */
static int write_all(const struct record *record, const struct tree *tree, struct sink sink,
                     struct error *err)
{
    cleanup(buf_release) struct buf buf = buf_init(BUFFER_MAX_SIZE);
    struct tree_walk walk;
    struct entry entry;
    int r = 0;

    meta_yaml_write_head(record, tree->header.record_count > 1, &buf);
    tree_walk_init(&walk, tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(&walk, &entry)) {
        struct digest verity = { { 0 } };
        if (tree->whole && entry.kind == ENTRY_FILE)
            verity = tree_verity(tree, tree_record(tree, walk.index).digest_index);
        meta_yaml_write_entry(&entry, &verity, &buf);
        if (buf.size >= FLUSH_SIZE || buf.failure != 0)
            r = flush(&buf, &sink, err);
    }
    return r == 0 ? flush(&buf, &sink, err) : r;
}

int meta_yaml_write(const struct record *record, const struct tree *tree, struct sink sink,
                    struct error *err)
{
    if (!tree->whole)
        return error_set(err, -EINVAL, "a manifest needs the digests of the tree");
    return write_all(record, tree, sink, err);
}

int meta_yaml_size(const struct record *record, const struct tree *tree, uint64_t *out_size,
                   struct error *err)
{
    uint64_t size = 0;
    int r = write_all(record, tree, sink_to_counter(&size), err);

    if (r == 0)
        *out_size = size;
    return r;
}

void meta_yaml_write_json_name(struct json_writer *writer, const char *plain_key,
                               const char *base64_key, struct span name)
{
    cleanup(buf_release) struct buf text = buf_init(4 * PATH_MAX_SIZE);

    if (yaml_text_is_plain(name)) {
        json_text_span(writer, plain_key, name);
        return;
    }
    base64_encode(name, &text);
    if (text.failure != 0)
        writer->out->failure = text.failure;
    json_text_span(writer, base64_key, buf_span(&text));
}

void meta_yaml_write_json(const struct entry *entry, struct json_writer *writer)
{
    static const char *const kinds[] = { "", "directory", "file", "link" };
    char hex[DIGEST_HEX_SIZE], mode[MODE_TEXT_SIZE];

    json_begin_object(writer, NULL);
    meta_yaml_write_json_name(writer, "path", "path_base64", entry->path);
    json_text(writer, "kind", kinds[entry->kind]);
    if (entry->kind == ENTRY_FILE) {
        digest_hex(&entry->sha256, hex);
        json_integer(writer, "size", (int64_t)entry->size);
        json_text(writer, "sha256", hex);
    }
    if (entry->kind == ENTRY_LINK) {
        meta_yaml_write_json_name(writer, "link", "link_base64", entry->target);
    } else {
        name_format_mode(entry->mode, mode);
        json_text(writer, "mode", mode);
        json_integer(writer, "mtime", entry->mtime);
    }
    json_end(writer);
}
