/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct error;

/*
 * event_parser - a text/event-stream, taken apart (HTML standard, 9.2.6).
 *
 * Bytes come as they arrive, cut anywhere. A message is told when its empty line has come; one
 * without data is not told, but its id counts. What the stream ends in the middle of is dropped
 * with the parser. Unknown fields and comments are passed over; `retry` is, too: who comes back
 * does so by a policy of his own.
 */
struct event_message {
    struct span type; /* "message" when the stream named none */
    struct span data; /* lines joined by '\n' */
};

/* The message is valid until this returns. Another value than 0 ends the feeding with it. */
typedef int event_parser_take(void *context, const struct event_message *message,
                              struct error *err);

struct event_parser {
    event_parser_take *take;
    void *context;
    struct buf line, type, data, next_id, id;
    bool has_data;
    bool began;  /* the first line is behind us */
    bool was_cr; /* a '\n' that comes now belongs to the '\r' before */
};

/* `maximum`: bytes of a line, and of a message's data. */
void event_parser_init(struct event_parser *parser, size_t maximum, event_parser_take *take,
                       void *context);
void event_parser_release(struct event_parser *parser);

/* -EFBIG: a line or a message is too large; -ENOMEM; or what `take` returned. Not to be fed
 * again then. */
int event_parser_feed(struct event_parser *parser, struct span bytes, struct error *err);

/* The id of the last message that came whole, for Last-Event-ID; "" before the first. Valid until
 * the next feeding. */
const char *event_parser_id(struct event_parser *parser);
