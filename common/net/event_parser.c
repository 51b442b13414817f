/* SPDX-License-Identifier: MIT */
#include "common/net/event_parser.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"

#define ID_MAX 1024

void event_parser_init(struct event_parser *parser, size_t maximum, event_parser_take *take,
                       void *context)
{
    *parser = (struct event_parser){ .take = take, .context = context };
    parser->line = buf_init(maximum);
    parser->type = buf_init(maximum);
    parser->data = buf_init(maximum);
    parser->next_id = buf_init(ID_MAX);
    parser->id = buf_init(ID_MAX);
}

void event_parser_release(struct event_parser *parser)
{
    buf_release(&parser->line);
    buf_release(&parser->type);
    buf_release(&parser->data);
    buf_release(&parser->next_id);
    buf_release(&parser->id);
}

static void take_field(struct event_parser *parser, struct span name, struct span value)
{
    if (span_equal_text(name, "event")) {
        buf_clear(&parser->type);
        buf_add_span(&parser->type, value);
    } else if (span_equal_text(name, "data")) {
        if (parser->has_data)
            buf_add_byte(&parser->data, '\n');
        buf_add_span(&parser->data, value);
        parser->has_data = true;
    } else if (span_equal_text(name, "id") &&
               (value.size == 0 || memchr(value.bytes, '\0', value.size) == NULL)) {
        buf_clear(&parser->next_id);
        buf_add_span(&parser->next_id, value);
    }
}

static int check(const struct event_parser *parser, struct error *err)
{
    const struct buf *all[] = { &parser->line, &parser->type, &parser->data, &parser->next_id,
                                &parser->id };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int r = buf_check(all[i], NULL);

        if (r == -EFBIG)
            return error_set(err, r, "a message of the stream is too large");
        if (r < 0)
            return error_set(err, r, "out of memory");
    }
    return 0;
}

/* The empty line. */
static int end_message(struct event_parser *parser, struct error *err)
{
    struct event_message message = { .type = buf_span(&parser->type),
                                     .data = buf_span(&parser->data) };
    int r;

    buf_clear(&parser->id);
    buf_add_span(&parser->id, buf_span(&parser->next_id));
    r = check(parser, err);
    if (r == 0 && parser->has_data) {
        if (message.type.size == 0)
            message.type = span_text("message");
        r = parser->take(parser->context, &message, err);
    }
    buf_clear(&parser->type);
    buf_clear(&parser->data);
    parser->has_data = false;
    return r;
}

static int end_line(struct event_parser *parser, struct error *err)
{
    struct span line = buf_span(&parser->line), name;
    int r = check(parser, err);

    if (r == 0 && !parser->began && line.size >= 3 && memcmp(line.bytes, "\xef\xbb\xbf", 3) == 0)
        line = span_slice(line, 3, line.size - 3);
    parser->began = true;
    if (r == 0 && line.size == 0) {
        r = end_message(parser, err);
    } else if (r == 0 && line.bytes[0] != ':') {
        span_cut(&line, ':', &name);
        if (line.size > 0 && line.bytes[0] == ' ')
            line = span_slice(line, 1, line.size - 1);
        take_field(parser, name, line);
        r = check(parser, err);
    }
    buf_clear(&parser->line);
    return r;
}

static bool ends_line(uint8_t c)
{
    return c == '\n' || c == '\r';
}

int event_parser_feed(struct event_parser *parser, struct span bytes, struct error *err)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < bytes.size) {
        size_t end = at;

        if (parser->was_cr && bytes.bytes[at] == '\n') {
            parser->was_cr = false;
            at++;
            continue;
        }
        parser->was_cr = false;
        while (end < bytes.size && !ends_line(bytes.bytes[end]))
            end++;
        buf_add(&parser->line, bytes.bytes + at, end - at);
        if (end == bytes.size)
            return check(parser, err);
        parser->was_cr = bytes.bytes[end] == '\r';
        r = end_line(parser, err);
        at = end + 1;
    }
    return r;
}

const char *event_parser_id(struct event_parser *parser)
{
    return buf_text(&parser->id);
}
