/* SPDX-License-Identifier: MIT */
/* What the strict check lets through, the library parses; its texts go out and come back the
 * same. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "tests/fuzz/fuzz.h"

static void write_value(struct json_writer *writer, const char *name,
                        const struct json_value *value)
{
    const char *text;
    int64_t integer;
    bool flag;

    if (json_is_object(value) || json_is_array(value)) {
        if (json_is_object(value))
            json_begin_object(writer, name);
        else
            json_begin_array(writer, name);
        for (const struct json_value *at = json_next(value, NULL); at != NULL;
             at = json_next(value, at))
            write_value(writer, json_is_object(value) ? json_name(at) : NULL, at);
        json_end(writer);
    } else if (json_get_text(value, "v", &text, NULL) == 0) {
        json_text(writer, name, text);
    } else if (json_get_bool(value, "v", &flag, NULL) == 0) {
        json_bool(writer, name, flag);
    } else if (json_get_integer(value, "v", &integer, NULL) == 0) {
        json_integer(writer, name, integer);
    } else {
        json_null(writer, name);
    }
}

static int rewrite(struct span text, struct buf *out)
{
    struct json_writer writer = json_writer_init(out);
    struct json *json = NULL;

    if (json_parse(text, &json, NULL) < 0)
        return -1;
    write_value(&writer, NULL, json_root(json));
    json_free(json);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf once = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf twice = buf_init(BUF_UNLIMITED);

    if (rewrite(span_of(data, size), &once) < 0)
        return 0;
    FUZZ_CHECK(rewrite(buf_span(&once), &twice) == 0);
    FUZZ_CHECK(span_equal(buf_span(&once), buf_span(&twice)));
    return 0;
}
