/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct error;
struct json_value;
struct json_writer;

/*
 * reads - what a start of a version reads: files in the order of their first read, each whole or in
 * ranges. A hint for whoever fetches ahead, never trusted.
 *
 *     [{"path": "bin/app"}, {"path": "lib/x.so", "ranges": [{"offset": 0, "length": 524288}]}]
 *
 * A path that is no plain text is path_base64 (meta_yaml.h). Without ranges a file is meant whole.
 * At most READS_MAX files, READS_RANGES_MAX ranges of one, READS_RANGES_ALL of all, and
 * READS_PATHS_MAX bytes of paths. That a range lies within its file is not known here, nor that a
 * path is told once. One thread at a time.
 */
#define READS_MAX 4096
#define READS_RANGES_MAX 16
#define READS_RANGES_ALL 4096
#define READS_PATHS_MAX ((size_t)256 * 1024)
#define READS_JSON_MAX ((size_t)1024 * 1024) /* no list that keeps to the bounds is larger */
#define READS_POINTER_SIZE 48

struct read_range {
    uint64_t offset, length; /* length >= 1, the sum <= 2^53 - 1 */
};

struct read_file {
    size_t path_offset, path_size; /* in `paths` */
    size_t first_range, range_count;
};

struct reads {
    struct read_file *files;
    size_t count, capacity;
    struct read_range *ranges;
    size_t range_count, range_capacity;
    struct buf paths;
};

struct reads reads_init(void); /* allocates nothing */
void reads_release(struct reads *reads);

/* One more, copied. -EFBIG: a bound is reached, and nothing was added. range_count 0: whole. */
int reads_add(struct reads *reads, struct span path, const struct read_range *ranges,
              size_t range_count, struct error *err);
/* Valid until the next is added. */
struct span reads_path(const struct reads *reads, size_t index);
const struct read_range *reads_ranges(const struct reads *reads, size_t index);

/* From the array; *out is an empty one. -EINVAL, -EFBIG: `out_pointer` names the place below the
 * array ("/3/ranges/0", "" the array itself); *out has what came before. */
int reads_parse(const struct json_value *array, struct reads *out,
                char out_pointer[READS_POINTER_SIZE], struct error *err);
void reads_write(const struct reads *reads, struct json_writer *writer, const char *name);

/* Puts ranges of a file of `size` bytes in order: sorted, joined where they touch, cut at the end
 * of the file; where more than `most` are left the smallest gaps are closed. How many are left;
 * 0: none lies within the file. The whole file is one range. */
size_t read_ranges_join(struct read_range *ranges, size_t count, uint64_t size, size_t most);
