/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/reads.h"

struct buf;
struct error;
struct tree;

/*
 * read_report - what a start of a version read, by the files' places in its tree: as one host told
 * it, or as several did, made one; and carried over to the tree of another version.
 *
 * Only files that are in the tree, each once, of some size; ranges lie within them, in order. In
 * bytes, as the database keeps it: u32 count, then per file u32 index in the tree's digests, u32
 * count of ranges (0: whole), each u64 offset, u64 length. Trees are whole ones.
 */
struct report_file {
    uint32_t file; /* index in the tree's digests */
    uint32_t first_range, range_count;
};

struct read_report {
    struct report_file *files;
    size_t count;
    struct read_range *ranges;
    size_t range_count;
};
void read_report_release(struct read_report *report); /* of a zeroed one too; and zeroes it */

/* What the tree has of it. -ENOMEM. */
int read_report_of(const struct reads *reads, const struct tree *tree, struct read_report *out,
                   struct error *err);

void read_report_write(const struct read_report *report, struct buf *out);
/* -EBADMSG: not of this tree, or damaged. */
int read_report_parse(struct span bytes, const struct tree *tree, struct read_report *out,
                      struct error *err);

/* All of them as one: a file is read as far as any says; in the order of the median of its places.
 * Where there are more than READS_MAX, those stay that most reports have. -ENOMEM. */
int read_reports_merge(const struct read_report *reports, size_t count, const struct tree *tree,
                       struct read_report *out, struct error *err);

/* What it says of `from`, in the tree `to`: the file at that path if its bytes are the same, else
 * any with the same bytes (it was moved), else the file at that path (it was changed). -ENOMEM. */
int read_report_carry(const struct read_report *report, const struct tree *from,
                      const struct tree *to, struct read_report *out, struct error *err);

/* By their paths; what is more than a list of reads may have is left out. *out is an empty one.
 * -ENOMEM. */
int read_report_paths(const struct read_report *report, const struct tree *tree, struct reads *out,
                      struct error *err);
