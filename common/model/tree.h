/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/entry.h"
#include "common/model/stream.h"

/*
 * tree - the tree image: a version's whole tree, read out of a mapping.
 *
 * header, 4096 bytes, zero-padded, integers little-endian:
 *     0 "KKATREE1"   8 u32 4096, u32 0   16 u32 records (and root), u32 files, u64 bytes in all
 *    32 5 x (u64 offset, u64 size): records, names, targets, digests, by-digest
 *   112 content (32 bytes), SHA-256 of times (32 bytes)
 * Sections begin at the end of the one before rounded up to 4096; gaps are zero; the
 * image ends at the end of by-digest rounded up.
 *   records   32 bytes each, breadth first, 0 the root: u32 name offset, u16 name length,
 *             u16 kind << 12 | mode, u64 A, i64 mtime, u32 parent, u32 B
 *             d: A = first child | count << 32, 0 without children; f: A = size, B = index in
 *             digests; l: A = target offset | length << 32, mode and mtime 0
 *   names     in record order; targets: the same; digests: 64 bytes a file: sha256, verity
 *   by-digest u32 indices in digests, sorted by (sha256, index)
 *
 * The names part is [0, end of targets): all that ls needs; digests may come later.
 *
 * An image is untrusted until tree_open() or tree_open_names() has passed: these
 * check every field, so that the accessors never leave the bytes. The bytes are the
 * caller's, do not change, and outlive the struct, which is plain data: copy it
 * freely, any thread. A broken rule: -EBADMSG, "offset N: rule". A record index
 * handed to an accessor must be < record_count: else the program stops (a
 * programming error); check what a stranger gave.
 */
#define TREE_HEADER_SIZE 4096
#define TREE_RECORD_SIZE 32
#define TREE_DIGESTS_SIZE 64
#define TREE_ROOT 0u
#define TREE_MEDIA_TYPE "application/vnd.kkartifact.tree"

struct tree_section {
    uint64_t offset, size;
};

struct tree_header {
    uint32_t record_count; /* with the root */
    uint32_t file_count;
    uint64_t bytes; /* of all files */
    struct tree_section records, names, targets, digests, by_digest;
    struct digest content, times;
    uint64_t names_part_size; /* end of targets */
    uint64_t image_size;
};

/* Checks the first 4096 bytes alone: what sizes are to come. */
int tree_check_header(struct span header, struct tree_header *out, struct error *err);

struct tree {
    struct tree_header header;
    struct span image; /* names part or whole image */
    bool whole;        /* digests and by-digest are there */
};

/* Everything in the names part; `bytes` is at least that part (more is not looked at). `whole` is
 * false. One pass, no allocation. */
int tree_open_names(struct span bytes, struct tree *out, struct error *err);
/* The whole image: names part, digests, order of by-digest, and that it gives the times and the
 * content that its header names (hashes everything that the listing holds). */
int tree_open(struct span image, struct tree *out, struct error *err);
/* The whole image without hashing the listing: for one whose verity digest was made by ourselves,
 * or is signed, or whose content was checked before. */
int tree_open_unhashed(struct span image, struct tree *out, struct error *err);

struct tree_record {
    enum entry_kind kind;
    uint32_t mode;
    uint32_t parent; /* of the root: itself */
    struct span name;
    int64_t mtime;
    uint64_t size;         /* f */
    uint32_t digest_index; /* f */
    uint32_t first_child;  /* d */
    uint32_t child_count;  /* d: records first_child .. first_child + child_count - 1 */
    struct span target;    /* l */
};

struct tree_record tree_record(const struct tree *tree, uint32_t index);

/* Of a file, from `whole` images only. */
struct digest tree_sha256(const struct tree *tree, uint32_t digest_index);
struct digest tree_verity(const struct tree *tree, uint32_t digest_index);
/* Where the 64 bytes (sha256, verity) of a file lie in the image, for those who fetch them
 * alone. */
uint64_t tree_digests_offset(const struct tree *tree, uint32_t digest_index);

/* Binary search. 0, -ENOENT, or -ENOTDIR when `parent` is no directory. */
int tree_find_child(const struct tree *tree, uint32_t parent, struct span name,
                    uint32_t *out_index);
/* "" is the root. -ENOENT, -ENOTDIR (a component before the last is a file or a link). */
int tree_find_path(const struct tree *tree, struct span path, uint32_t *out_index);
/* The first file with that SHA-256; *out_digest_index is its index in digests. -ENOENT. Whole
 * images. */
int tree_find_sha256(const struct tree *tree, const struct digest *sha256,
                     uint32_t *out_digest_index);
/* The record of the file with that index in digests (< file_count). */
uint32_t tree_find_file(const struct tree *tree, uint32_t digest_index);

/* The path of a record; the root's is empty. */
struct span tree_path(const struct tree *tree, uint32_t index, uint8_t out[PATH_MAX_SIZE]);

/*
 * All entries in pre-order, the order of listings: about 4 KiB, whatever the tree.
 *
 *     struct tree_walk walk;
 *     tree_walk_init(&walk, &tree, TREE_ROOT);
 *     while (tree_walk_next(&walk, &entry)) ... walk.index is its record ...
 *
 * From another directory: its descendants, with whole paths. sha256 is set from
 * whole images only. The path lives until the next step.
 */
struct tree_walk {
    const struct tree *tree;
    uint32_t top;
    uint32_t index; /* the record of the entry just given */
    size_t path_size;
    uint8_t path[PATH_MAX_SIZE];
};

void tree_walk_init(struct tree_walk *walk, const struct tree *tree, uint32_t directory);
/* Goes on behind `index` (a record below `directory`), for pages of a long list. */
void tree_walk_resume(struct tree_walk *walk, const struct tree *tree, uint32_t directory,
                      uint32_t index);
bool tree_walk_next(struct tree_walk *walk, struct entry *out);
/* Does not go down into the directory just given. */
void tree_walk_skip(struct tree_walk *walk);

/* The listing (whole images) and times, made again as streams. */
int tree_write_listing(const struct tree *tree, struct sink sink, struct digest *out_content,
                       struct error *err);
int tree_write_times(const struct tree *tree, struct sink sink, struct digest *out_sha256,
                     struct error *err);
