/* SPDX-License-Identifier: MIT */
/* What the strict reader takes the other one takes too, with the same events, also byte by byte. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/yaml.h"
#include "tests/fuzz/fuzz.h"

CLEANUP_DEFINE(yaml_reader, yaml_reader_free);

static int read_byte(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct span *rest = context;

    *out_size = rest->size > 0;
    memcpy(out, rest->bytes, *out_size);
    *rest = span_slice(*rest, 1, SIZE_MAX);
    return 0;
}

static int trace(struct yaml_reader *reader, struct buf *out)
{
    struct yaml_event event;
    int depth = 0;

    for (;;) {
        int r = yaml_next(reader, &event, NULL);
        if (r < 0)
            return r;
        depth += event.kind == YAML_MAP || event.kind == YAML_LIST;
        depth -= event.kind == YAML_MAP_END || event.kind == YAML_LIST_END;
        FUZZ_CHECK(depth >= 0 && depth <= YAML_DEPTH_MAX);
        if (event.kind == YAML_END) {
            FUZZ_CHECK(depth == 0);
            return 0;
        }
        buf_add_byte(out, (uint8_t)event.kind);
        if (event.kind == YAML_KEY || event.kind == YAML_SCALAR)
            buf_add_span(out, event.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf strict = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf plain = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf slow = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_yaml_reader) struct yaml_reader *a = NULL;
    cleanup(cleanup_yaml_reader) struct yaml_reader *b = NULL;
    cleanup(cleanup_yaml_reader) struct yaml_reader *c = NULL;
    struct span rest = span_of(data, size);
    int r, s;

    FUZZ_CHECK(yaml_reader_new_span(span_of(data, size), YAML_STRICT, &a, NULL) == 0);
    FUZZ_CHECK(yaml_reader_new_span(span_of(data, size), YAML_PLAIN, &b, NULL) == 0);
    FUZZ_CHECK(yaml_reader_new(read_byte, &rest, YAML_STRICT, UINT64_MAX, &c, NULL) == 0);
    r = trace(a, &strict);
    s = trace(b, &plain);
    FUZZ_CHECK(trace(c, &slow) == r);
    if (r == 0) {
        FUZZ_CHECK(s == 0 && span_equal(buf_span(&strict), buf_span(&plain)));
        FUZZ_CHECK(span_equal(buf_span(&strict), buf_span(&slow)));
    }
    return 0;
}
