/* SPDX-License-Identifier: MIT */
/* A stream whole and in pieces tells the same messages, and leaves the same id. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/net/event_parser.h"
#include "tests/fuzz/fuzz.h"

static int take(void *context, const struct event_message *message, struct error *err)
{
    struct buf *told = context;

    FUZZ_CHECK(message->type.size > 0);
    FUZZ_CHECK(memchr(message->type.bytes, '\n', message->type.size) == NULL);
    FUZZ_CHECK(message->data.size == 0 ||
               memchr(message->data.bytes, '\r', message->data.size) == NULL);
    buf_add_u32(told, (uint32_t)message->type.size);
    buf_add_span(told, message->type);
    buf_add_u32(told, (uint32_t)message->data.size);
    buf_add_span(told, message->data);
    return 0;
}

static int parse(struct span stream, size_t piece, struct buf *told)
{
    struct event_parser parser;
    int r = 0;

    event_parser_init(&parser, 4096, take, told);
    for (size_t at = 0; r == 0 && at < stream.size; at += piece)
        r = event_parser_feed(&parser, span_slice(stream, at, piece), NULL);
    if (r == 0)
        buf_add_text(told, event_parser_id(&parser));
    event_parser_release(&parser);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span stream = span_of(data, size);

    for (size_t piece = 1; piece < 20; piece = piece * 2 + 1) {
        cleanup(buf_release) struct buf whole = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf pieces = buf_init(BUF_UNLIMITED);
        const int one = parse(stream, size > 0 ? size : 1, &whole);
        const int other = parse(stream, piece, &pieces);

        FUZZ_CHECK(one == other);
        FUZZ_CHECK(one < 0 || span_equal(buf_span(&whole), buf_span(&pieces)));
    }
    return 0;
}
