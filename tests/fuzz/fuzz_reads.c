/* SPDX-License-Identifier: MIT */
/* A list of reads that is taken keeps to its bounds and is written as it was; its ranges, joined,
 * lie one behind the other within their file. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/model/reads.h"
#include "tests/fuzz/fuzz.h"

CLEANUP_DEFINE(json, json_free);

static void check_joined(const struct reads *reads, size_t index)
{
    struct read_range ranges[READS_RANGES_MAX];
    size_t count = reads->files[index].range_count, left;
    uint64_t size = 1 + reads->files[index].path_size * 100, at = 0;

    FUZZ_CHECK(count <= READS_RANGES_MAX);
    for (size_t i = 0; i < count; i++)
        ranges[i] = reads_ranges(reads, index)[i];
    left = read_ranges_join(ranges, count, size, 3);
    FUZZ_CHECK(left <= 3);
    for (size_t i = 0; i < left; i++) {
        FUZZ_CHECK(ranges[i].length > 0 && (i == 0 || ranges[i].offset > at));
        at = ranges[i].offset + ranges[i].length;
        FUZZ_CHECK(at <= size);
    }
}

static int parse(struct span text, struct reads *out)
{
    cleanup(cleanup_json) struct json *json = NULL;
    char pointer[READS_POINTER_SIZE];
    int r = json_parse(text, &json, NULL);

    if (r == 0)
        r = reads_parse(json_root(json), out, pointer, NULL);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(reads_release) struct reads reads = reads_init(), again = reads_init();
    cleanup(buf_release) struct buf out = buf_init(READS_JSON_MAX),
                                    twice = buf_init(READS_JSON_MAX);
    struct json_writer writer = json_writer_init(&out);

    if (parse(span_of(data, size), &reads) < 0)
        return 0;
    FUZZ_CHECK(reads.count <= READS_MAX);
    for (size_t i = 0; i < reads.count; i++) {
        FUZZ_CHECK(name_check_path(reads_path(&reads, i), NULL) == 0);
        check_joined(&reads, i);
    }
    reads_write(&reads, &writer, NULL);
    FUZZ_CHECK(buf_check(&out, NULL) == 0);
    FUZZ_CHECK(parse(buf_span(&out), &again) == 0);
    writer = json_writer_init(&twice);
    reads_write(&again, &writer, NULL);
    FUZZ_CHECK(span_equal(buf_span(&out), buf_span(&twice)));
    return 0;
}
