/* SPDX-License-Identifier: MIT */
/* A delta from a base that any offset can be read of: whole and in pieces it makes the same, and
 * never more than its header says. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/delta.h"
#include "tests/fuzz/fuzz.h"

#define TARGET_MAX (1u << 20)

static int read_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    const struct delta_header *header = context;
    uint8_t *at = out;

    FUZZ_CHECK(offset <= header->base_size && size <= header->base_size - offset);
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)((offset + i) * 2654435761u >> 13);
    return 0;
}

static int apply(struct span delta, struct delta_header *header, size_t piece, struct buf *out)
{
    struct delta_source base = { .read = read_base, .context = header };
    struct delta_reader *reader = NULL;
    int r = delta_reader_new(&reader, header, base, sink_to_buf(out), TARGET_MAX, NULL);

    for (size_t at = 0; r == 0 && at < delta.size; at += piece) {
        struct span part = span_slice(delta, at, piece);
        r = delta_reader_feed(reader, part.bytes, part.size, NULL);
    }
    if (r == 0)
        r = delta_reader_end(reader, NULL);
    FUZZ_CHECK(delta_reader_made(reader) == out->size && out->size <= header->target_size);
    delta_reader_free(reader);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf whole = buf_init(TARGET_MAX), pieces = buf_init(TARGET_MAX);
    struct delta_header header;
    int r;

    if (delta_header_parse(span_of(data, size), &header, NULL) < 0 ||
        header.target_size > TARGET_MAX)
        return 0;
    r = apply(span_of(data, size), &header, SIZE_MAX / 2, &whole);
    FUZZ_CHECK(apply(span_of(data, size), &header, 5, &pieces) == r);
    FUZZ_CHECK(span_equal(buf_span(&whole), buf_span(&pieces)));
    FUZZ_CHECK(r < 0 || whole.size == header.target_size);
    return 0;
}
