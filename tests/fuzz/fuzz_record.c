/* SPDX-License-Identifier: MIT */
/* A record that is taken is sound; written canonically it is taken again and does not change any
 * more. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "tests/fuzz/fuzz.h"

static void check_json(const struct record *record, struct span yaml)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf again = buf_init(BUF_UNLIMITED);
    cleanup(record_release) struct record read = { .has_content = false };
    struct json_writer writer = json_writer_init(&text);
    struct json *json = NULL;

    json_begin_object(&writer, NULL);
    record_write_json(record, &writer);
    json_end(&writer);
    FUZZ_CHECK(json_parse(buf_span(&text), &json, NULL) == 0);
    FUZZ_CHECK(record_read_json(json_root(json), &read, NULL) == 0);
    json_free(json);
    record_write(&read, &again);
    FUZZ_CHECK(span_equal(buf_span(&again), yaml));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(record_release) struct record record = { .has_content = false };
    cleanup(record_release) struct record read = { .has_content = false };
    cleanup(buf_release) struct buf once = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf twice = buf_init(BUF_UNLIMITED);

    if (record_read(span_of(data, size), &record, NULL) < 0)
        return 0;
    FUZZ_CHECK(record_check(&record, NULL) == 0);
    record_write(&record, &once);
    FUZZ_CHECK(record_read(buf_span(&once), &read, NULL) == 0);
    record_write(&read, &twice);
    FUZZ_CHECK(span_equal(buf_span(&once), buf_span(&twice)));
    check_json(&record, buf_span(&once));
    return 0;
}
