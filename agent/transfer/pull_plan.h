/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/codec/digest.h"

struct directory;
struct error;
struct pattern_list;
struct pull_survey;
struct pulled;
struct stat_cache;
struct transfer;
struct tree;

/*
 * pull_plan - what has to be done to DEST so that it holds a version; made before
 * anything is written, so that what cannot be done is refused with DEST untouched.
 *
 * Only what is ours (pulled.h) is replaced or removed. In the way of an entry,
 * what is not ours and is not already equal to it is refused by name (-EEXIST); with
 * `extra` it is replaced, and whatever else the version lacks is removed. What
 * `protect` names is never touched once it is there.
 */
struct pull_write {
    struct digest sha256;
    uint32_t index; /* record in the tree */
};

struct pull_plan {
    struct buf makes;  /* uint32_t each: directories that are not there, parents first */
    struct buf clears; /* uint32_t: something of ours of another kind stands there and goes first */
    struct buf links;  /* uint32_t: links to be made */
    struct buf touches;  /* uint32_t: files whose mode or mtime differs */
    struct buf settings; /* uint32_t: directories likewise */
    struct buf writes;   /* struct pull_write: files to be written, sorted by sha256 */
    struct buf removals; /* paths, each behind one byte of flags */
    uint64_t *stamps;    /* of each record (stat_cache.h); NULL: 0 for all */
    uint64_t write_bytes;
    uint64_t delete_count; /* files and links among clears and removals */
};

struct pull_plan_options {
    struct transfer *transfer;
    struct directory *dest;
    const struct pulled *pulled;
    const struct tree *tree;  /* the version's, whole */
    struct stat_cache *cache; /* believed; NULL: every file is read */
    const struct pattern_list *protect;
    const struct pull_survey *extra; /* all of it goes, ours or not; NULL: only what is ours */
};

struct pull_plan pull_plan_init(void);
void pull_plan_add_removal(struct pull_plan *plan, struct span path, bool is_directory, bool first);
/* After the last addition: tells what stuck, and sorts the writes. */
int pull_plan_end(struct pull_plan *plan, struct error *err);
void pull_plan_release(struct pull_plan *plan); /* of a zeroed one too */
int pull_plan_make(const struct pull_plan_options *options, struct pull_plan *out,
                   struct error *err);
bool pull_plan_is_empty(const struct pull_plan *plan);
/* Every file, link and directory is there, the files with mode and mtime. */
bool pull_plan_has_all(const struct pull_plan *plan);

size_t pull_plan_count(const struct buf *indices);
uint32_t pull_plan_index(const struct buf *indices, size_t at);
size_t pull_plan_write_count(const struct pull_plan *plan);
const struct pull_write *pull_plan_write(const struct pull_plan *plan, size_t at);
/* Whether a name right in DEST comes, goes or is replaced. */
bool pull_plan_changes_top(const struct pull_plan *plan, const struct tree *tree);
/* All writes in the order of the tree: of the files of a directory one comes after the other. Of
 * those with one digest the order is the same in both. *out: memory_free(). */
struct pull_turn {
    uint32_t index; /* record in the tree */
    uint32_t write; /* pull_plan_write() */
};
int pull_plan_turns(const struct pull_plan *plan, struct pull_turn **out, struct error *err);
/* The stamp of a file that the cache vouches for and that nothing is done to; 0: look at it. */
uint64_t pull_plan_stamp(const struct pull_plan *plan, uint32_t index);
/* Paths, the last first, so that what is in a directory goes before it. *at starts as
 * plan->removals.size; NULL at the end. */
enum { REMOVAL_FIRST = 2 /* before anything is written */, REMOVAL_DIRECTORY = 4 };
const char *pull_plan_removal(const struct pull_plan *plan, size_t *at, unsigned *out_flags);
