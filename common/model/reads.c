/* SPDX-License-Identifier: MIT */
#include "common/model/reads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"
#include "common/model/meta_yaml.h"
#include "common/model/names.h"

struct reads reads_init(void)
{
    return (struct reads){ .paths = buf_init(READS_PATHS_MAX) };
}

void reads_release(struct reads *reads)
{
    memory_free(reads->files);
    memory_free(reads->ranges);
    buf_release(&reads->paths);
    *reads = reads_init();
}

/* Room for `more` in an array that grows; -ENOMEM. */
static int grow(void **items, size_t item_size, size_t count, size_t more, size_t *capacity)
{
    size_t wanted = *capacity * 2 + 16;
    void *grown;

    if (count + more <= *capacity)
        return 0;
    if (wanted < count + more)
        wanted = count + more;
    grown = memory_resize(*items, wanted, item_size);
    if (grown == NULL)
        return -ENOMEM;
    *items = grown;
    *capacity = wanted;
    return 0;
}

int reads_add(struct reads *reads, struct span path, const struct read_range *ranges,
              size_t range_count, struct error *err)
{
    void *files = reads->files, *all = reads->ranges;
    int r;

    if (reads->count >= READS_MAX || range_count > READS_RANGES_MAX ||
        reads->range_count + range_count > READS_RANGES_ALL ||
        reads->paths.size + path.size > READS_PATHS_MAX)
        return error_set(err, -EFBIG, "more than a list of reads may have");
    r = grow(&files, sizeof(*reads->files), reads->count, 1, &reads->capacity);
    reads->files = files;
    if (r == 0)
        r = grow(&all, sizeof(*reads->ranges), reads->range_count, range_count,
                 &reads->range_capacity);
    reads->ranges = all;
    if (r == 0) {
        buf_add_span(&reads->paths, path);
        r = reads->paths.failure;
    }
    if (r < 0)
        return error_set(err, -ENOMEM, "out of memory");
    reads->files[reads->count++] = (struct read_file){ .path_offset = reads->paths.size - path.size,
                                                       .path_size = path.size,
                                                       .first_range = reads->range_count,
                                                       .range_count = range_count };
    for (size_t i = 0; i < range_count; i++)
        reads->ranges[reads->range_count++] = ranges[i];
    return 0;
}

struct span reads_path(const struct reads *reads, size_t index)
{
    const struct read_file *file = &reads->files[index];

    return span_slice(buf_span(&reads->paths), file->path_offset, file->path_size);
}

const struct read_range *reads_ranges(const struct reads *reads, size_t index)
{
    /* Of a list where no file has any there is no array either. */
    return reads->ranges == NULL ? NULL : &reads->ranges[reads->files[index].first_range];
}

/* JSON ------------------------------------------------------------------------------ */

/* Where something is wrong, below the array. */
struct place {
    char *pointer;
    size_t file;
};

static int wrong(const struct place *place, const char *member, int result)
{
    snprintf(place->pointer, READS_POINTER_SIZE, "/%zu%s", place->file, member);
    return result;
}

/* Plain text that lives in the document, or the bytes in *decoded. */
static int parse_path(const struct json_value *file, const struct place *place, struct buf *decoded,
                      struct span *out, struct error *err)
{
    const char *text = NULL, *base64 = NULL;
    int r = json_member_text(file, "path", &text, err);

    if (r < 0)
        return wrong(place, "/path", r);
    r = json_member_text(file, "path_base64", &base64, err);
    if (r == 0 && base64 != NULL)
        r = base64_decode(span_text(base64), decoded, err);
    if (r < 0)
        return wrong(place, "/path_base64", r == -ENOMEM ? r : -EINVAL);
    if ((text != NULL) == (base64 != NULL))
        return wrong(place, "", error_set(err, -EINVAL, "one of path and path_base64"));
    *out = text != NULL ? span_text(text) : buf_span(decoded);
    r = name_check_path(*out, err);
    return r < 0 ? wrong(place, text != NULL ? "/path" : "/path_base64", r) : 0;
}

static int parse_range(const struct json_value *item, struct read_range *out, struct error *err)
{
    int64_t offset, length;
    int r = json_get_integer(json_member(item, "offset"), "offset", &offset, err);

    if (r == 0)
        r = json_get_integer(json_member(item, "length"), "length", &length, err);
    if (r < 0)
        return r;
    if (offset < 0 || length < 1 || offset > JSON_INTEGER_MAX - length)
        return error_set(err, -EINVAL, "no range of a file");
    *out = (struct read_range){ (uint64_t)offset, (uint64_t)length };
    return 0;
}

static int parse_ranges(const struct json_value *array, const struct place *place,
                        struct read_range *out, size_t *out_count, struct error *err)
{
    const struct json_value *at = NULL;
    char member[32];
    int r = 0;

    if (json_is_null(array))
        return 0;
    if (!json_is_array(array) || json_count(array) == 0)
        return wrong(place, "/ranges", error_set(err, -EINVAL, "ranges are a list"));
    if (json_count(array) > READS_RANGES_MAX)
        return wrong(place, "/ranges",
                     error_set(err, -EINVAL, "at most %d ranges of a file", READS_RANGES_MAX));
    while (r == 0 && (at = json_next(array, at)) != NULL) {
        r = parse_range(at, &out[*out_count], err);
        if (r < 0) {
            snprintf(member, sizeof(member), "/ranges/%zu", *out_count);
            return wrong(place, member, r);
        }
        ++*out_count;
    }
    return 0;
}

static int parse_file(const struct json_value *file, const struct place *place, struct reads *out,
                      struct error *err)
{
    cleanup(buf_release) struct buf decoded = buf_init(PATH_MAX_SIZE);
    struct read_range ranges[READS_RANGES_MAX];
    struct span path;
    size_t count = 0;
    int r;

    if (!json_is_object(file))
        return wrong(place, "", error_set(err, -EINVAL, "a file is an object"));
    r = parse_path(file, place, &decoded, &path, err);
    if (r == 0)
        r = parse_ranges(json_member(file, "ranges"), place, ranges, &count, err);
    if (r < 0)
        return r;
    r = reads_add(out, path, ranges, count, err);
    return r < 0 ? wrong(place, "", r) : 0;
}

int reads_parse(const struct json_value *array, struct reads *out,
                char out_pointer[READS_POINTER_SIZE], struct error *err)
{
    struct place place = { .pointer = out_pointer };
    const struct json_value *at = NULL;
    int r = 0;

    out_pointer[0] = '\0';
    if (!json_is_array(array))
        return error_set(err, -EINVAL, "reads are a list");
    if (json_count(array) > READS_MAX)
        return error_set(err, -EFBIG, "at most %d files", READS_MAX);
    for (; r == 0 && (at = json_next(array, at)) != NULL; place.file++)
        r = parse_file(at, &place, out, err);
    return r;
}

void reads_write(const struct reads *reads, struct json_writer *writer, const char *name)
{
    json_begin_array(writer, name);
    for (size_t i = 0; i < reads->count; i++) {
        const struct read_range *ranges = reads_ranges(reads, i);
        size_t count = reads->files[i].range_count;

        json_begin_object(writer, NULL);
        meta_yaml_write_json_name(writer, "path", "path_base64", reads_path(reads, i));
        if (count > 0)
            json_begin_array(writer, "ranges");
        for (size_t k = 0; k < count; k++) {
            json_begin_object(writer, NULL);
            json_integer(writer, "offset", (int64_t)ranges[k].offset);
            json_integer(writer, "length", (int64_t)ranges[k].length);
            json_end(writer);
        }
        if (count > 0)
            json_end(writer);
        json_end(writer);
    }
    json_end(writer);
}

/* Ranges ---------------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
    const struct read_range *left = a, *right = b;

    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static uint64_t end_of(const struct read_range *range)
{
    return range->offset + range->length;
}

/* Closes the smallest gap. */
static size_t close_gap(struct read_range *ranges, size_t count)
{
    size_t smallest = 1;

    for (size_t i = 2; i < count; i++)
        if (ranges[i].offset - end_of(&ranges[i - 1]) <
            ranges[smallest].offset - end_of(&ranges[smallest - 1]))
            smallest = i;
    ranges[smallest - 1].length = end_of(&ranges[smallest]) - ranges[smallest - 1].offset;
    memmove(&ranges[smallest], &ranges[smallest + 1], (count - smallest - 1) * sizeof(*ranges));
    return count - 1;
}

size_t read_ranges_join(struct read_range *ranges, size_t count, uint64_t size, size_t most)
{
    size_t left = 0;

    if (count == 0)
        return 0;
    qsort(ranges, count, sizeof(*ranges), by_offset);
    for (size_t i = 0; i < count; i++) {
        struct read_range range = ranges[i];

        if (range.offset >= size)
            break;
        if (range.length > size - range.offset)
            range.length = size - range.offset;
        if (left == 0 || range.offset > end_of(&ranges[left - 1]))
            ranges[left++] = range;
        else if (end_of(&range) > end_of(&ranges[left - 1]))
            ranges[left - 1].length = end_of(&range) - ranges[left - 1].offset;
    }
    while (left > most)
        left = close_gap(ranges, left);
    return left;
}
