/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/entry.h"
#include "common/model/record.h"
#include "common/model/stream.h"

struct buf;
struct error;
struct json_writer;
struct tree;

/*
 * meta_yaml - the manifest: a record and, last, `files:`, streamed.
 *
 *   files:
 *     - path: "bin"
 *       dir: true
 *       mode: "0755"
 *       mtime: 1700000000
 *     - path: "bin/app"
 *       sha256: "..."
 *       size: 5
 *       mode: "0755"
 *       mtime: 1700000000
 *       verity: "..."
 *     - path_base64: "..."
 *       link: "app"
 *
 * A path or target that is no plain text (yaml_text_is_plain()) is written as
 * path_base64 / link_base64, and only then. An empty tree has no `files`.
 *
 * Readers take a file with only path, sha256, size (mode 0644, mtime 0), a
 * directory with only path and dir: true (0755, 0), and make missing parents
 * (0755, 0). Entries come in the order of section 1 of the formats. When content,
 * file_count or bytes are given they must agree with the files. Memory does not
 * grow with the count. A broken rule: -EBADMSG, "offset N: rule".
 */
/* Needs a whole image (-EINVAL). */
int meta_yaml_write(const struct record *record, const struct tree *tree, struct sink sink,
                    struct error *err);
/* The same in pieces, for those who write on demand: the record and, when there are entries,
 * `files:`; then each entry in order, with the verity digest of a file (others: it is not looked
 * at). */
void meta_yaml_write_head(const struct record *record, bool has_entries, struct buf *out);
void meta_yaml_write_entry(const struct entry *entry, const struct digest *verity, struct buf *out);

/* How many bytes that will be: walks the tree. The names part is enough. */
int meta_yaml_size(const struct record *record, const struct tree *tree, uint64_t *out_size,
                   struct error *err);

/* An entry with all its values; `made` says that it was a parent that nobody listed. verity is NULL
 * when it was not given (never for directories and links). Spans live until the function
 * returns. */
typedef int meta_yaml_function(void *context, const struct entry *entry, bool made,
                               const struct digest *verity, struct error *err);

struct meta_yaml_totals {
    struct digest content;
    uint64_t count, file_count, bytes;
};

/* function may be NULL. The record is set on success only. max_size: bytes of YAML, 0 for the
 * default of 16 GiB. */
int meta_yaml_read(struct source source, uint64_t max_size, meta_yaml_function *function,
                   void *context, struct record *out_record, struct meta_yaml_totals *out_totals,
                   struct error *err);

/* One item of GET .../files: {path|path_base64, kind, size, sha256, mode, mtime,
 * link|link_base64}. */
void meta_yaml_write_json(const struct entry *entry, struct json_writer *writer);
/* Its path or target, for other objects that name one: `plain_key`, or `base64_key` when it is no
 * plain text. */
void meta_yaml_write_json_name(struct json_writer *writer, const char *plain_key,
                               const char *base64_key, struct span name);
