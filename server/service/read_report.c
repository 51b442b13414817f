/* SPDX-License-Identifier: MIT */
#include "server/service/read_report.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

#define FILE_SIZE 8
#define RANGE_SIZE 16

void read_report_release(struct read_report *report)
{
    memory_free(report->files);
    memory_free(report->ranges);
    memset(report, 0, sizeof(*report));
}

/* One that is being made: each file is taken once. */
struct making {
    const struct tree *tree;
    struct map seen;
    struct read_report report;
};

static void making_release(struct making *making)
{
    map_release(&making->seen);
    read_report_release(&making->report);
}

/* Room for so many. */
static int making_init(struct making *making, const struct tree *tree, size_t files, size_t ranges,
                       struct error *err)
{
    *making = (struct making){ .tree = tree, .seen = map_init() };
    making->report.files = memory_array(files, sizeof(*making->report.files));
    making->report.ranges = memory_array(ranges, sizeof(*making->report.ranges));
    if (making->report.files != NULL && making->report.ranges != NULL)
        return 0;
    making_release(making);
    return error_set(err, -ENOMEM, "out of memory");
}

static int making_add(struct making *making, uint32_t file, const struct read_range *ranges,
                      size_t count, struct error *err)
{
    struct read_report *report = &making->report;
    struct read_range *own = &report->ranges[report->range_count];
    uint64_t size = tree_record(making->tree, tree_find_file(making->tree, file)).size;
    struct span key = span_of(&file, sizeof(file));
    size_t left = 0;

    if (size == 0 || map_has(&making->seen, key))
        return 0;
    if (count > 0) {
        memcpy(own, ranges, count * sizeof(*own));
        left = read_ranges_join(own, count, size, READS_RANGES_MAX);
        if (left == 0)
            return 0; /* it has become shorter */
        if (own[0].length == size)
            left = 0;
    }
    if (map_set(&making->seen, key, making, NULL) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    report->files[report->count++] = (struct report_file){
        .file = file, .first_range = (uint32_t)report->range_count, .range_count = (uint32_t)left
    };
    report->range_count += left;
    return 0;
}

static void making_give(struct making *making, struct read_report *out)
{
    *out = making->report;
    memset(&making->report, 0, sizeof(making->report));
}

/* -ENOENT: no file of some size. */
static int find_file(const struct tree *tree, struct span path, uint32_t *out_file)
{
    struct tree_record record;
    uint32_t index;

    if (tree_find_path(tree, path, &index) < 0)
        return -ENOENT;
    record = tree_record(tree, index);
    if (record.kind != ENTRY_FILE || record.size == 0)
        return -ENOENT;
    *out_file = record.digest_index;
    return 0;
}

int read_report_of(const struct reads *reads, const struct tree *tree, struct read_report *out,
                   struct error *err)
{
    cleanup(making_release) struct making making;
    int r = making_init(&making, tree, reads->count, reads->range_count, err);
    uint32_t file;

    for (size_t i = 0; r == 0 && i < reads->count; i++)
        if (find_file(tree, reads_path(reads, i), &file) == 0)
            r = making_add(&making, file, reads_ranges(reads, i), reads->files[i].range_count, err);
    if (r == 0)
        making_give(&making, out);
    return r;
}

void read_report_write(const struct read_report *report, struct buf *out)
{
    buf_add_u32(out, (uint32_t)report->count);
    for (size_t i = 0; i < report->count; i++) {
        const struct report_file *file = &report->files[i];

        buf_add_u32(out, file->file);
        buf_add_u32(out, file->range_count);
        for (uint32_t k = 0; k < file->range_count; k++) {
            buf_add_u64(out, report->ranges[file->first_range + k].offset);
            buf_add_u64(out, report->ranges[file->first_range + k].length);
        }
    }
}

/* One file off the front of *bytes. -EBADMSG without words. */
static int parse_file(struct span *bytes, struct making *making, struct error *err)
{
    struct read_range ranges[READS_RANGES_MAX];
    uint32_t file, count;

    if (bytes->size < FILE_SIZE)
        return -EBADMSG;
    file = bytes_u32(bytes->bytes);
    count = bytes_u32(bytes->bytes + 4);
    *bytes = span_slice(*bytes, FILE_SIZE, bytes->size);
    if (file >= making->tree->header.file_count || count > READS_RANGES_MAX ||
        bytes->size < (size_t)count * RANGE_SIZE)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = bytes->bytes + (size_t)i * RANGE_SIZE;

        ranges[i] = (struct read_range){ bytes_u64(at), bytes_u64(at + 8) };
        if (ranges[i].length == 0 || ranges[i].offset > UINT64_MAX - ranges[i].length)
            return -EBADMSG;
    }
    *bytes = span_slice(*bytes, (size_t)count * RANGE_SIZE, bytes->size);
    return making_add(making, file, ranges, count, err);
}

int read_report_parse(struct span bytes, const struct tree *tree, struct read_report *out,
                      struct error *err)
{
    cleanup(making_release) struct making making = { 0 };
    uint32_t count = bytes.size < 4 ? READS_MAX + 1 : bytes_u32(bytes.bytes);
    int r = 0;

    if (count > READS_MAX)
        return error_set(err, -EBADMSG, "no report of reads");
    r = making_init(&making, tree, count, bytes.size / RANGE_SIZE, err);
    bytes = span_slice(bytes, 4, bytes.size);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = parse_file(&bytes, &making, err);
    if (r == -EBADMSG || (r == 0 && bytes.size > 0))
        return error_set(err, -EBADMSG, "no report of reads of this tree");
    if (r == 0)
        making_give(&making, out);
    return r;
}

/* The same bytes at the same path, the same bytes, the same path. -ENOENT. */
static int carry_file(const struct tree *from, const struct tree *to, uint32_t file,
                      uint32_t *out_file)
{
    struct digest sha256 = tree_sha256(from, file), there;
    uint8_t path[PATH_MAX_SIZE];
    int r = find_file(to, tree_path(from, tree_find_file(from, file), path), out_file);

    if (r == 0) {
        there = tree_sha256(to, *out_file);
        if (digest_equal(&there, &sha256))
            return 0;
    }
    return tree_find_sha256(to, &sha256, out_file) == 0 ? 0 : r;
}

int read_report_carry(const struct read_report *report, const struct tree *from,
                      const struct tree *to, struct read_report *out, struct error *err)
{
    cleanup(making_release) struct making making;
    int r = making_init(&making, to, report->count, report->range_count, err);
    uint32_t file;

    for (size_t i = 0; r == 0 && i < report->count; i++) {
        const struct report_file *at = &report->files[i];

        if (carry_file(from, to, at->file, &file) == 0)
            r = making_add(&making, file, &report->ranges[at->first_range], at->range_count, err);
    }
    if (r == 0)
        making_give(&making, out);
    return r;
}

int read_report_paths(const struct read_report *report, const struct tree *tree, struct reads *out,
                      struct error *err)
{
    uint8_t path[PATH_MAX_SIZE];

    for (size_t i = 0; i < report->count; i++) {
        const struct report_file *file = &report->files[i];
        int r = reads_add(out, tree_path(tree, tree_find_file(tree, file->file), path),
                          &report->ranges[file->first_range], file->range_count, err);

        if (r == -ENOMEM)
            return r;
    }
    return 0;
}
