/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * yaml - the small part of YAML 1.1 that our files use, read as a stream of
 * events, and the pieces that write it.
 *
 * Read: one document, a map at its top; maps and lists in block form, flow lists of
 * scalars, scalars of every style: all are text, converted by their owner. Refused,
 * always: anchors, aliases, tags, directives, a second document, flow maps, keys
 * that are no scalar or are empty or have a `?`, duplicate keys, values that are
 * nothing, more than `depth` levels, more than YAML_KEYS_MAX keys in a map, more
 * than `max_size` bytes, more than about YAML_EVENT_MAX bytes from one event to the next.
 * YAML_STRICT, for what our programs write to each other, also refuses: bytes that
 * are no plain text (below; LF aside) anywhere, `---` and `...`, flow lists,
 * scalars of several lines, escapes other than \" and \\.
 *
 * A fault gives -EBADMSG and "offset N: line L: rule" (N: byte offset near it).
 * Memory does not grow with the size. One thread.
 */
enum yaml_flags { YAML_PLAIN = 0, YAML_STRICT = 1 };

#define YAML_KEYS_MAX 1024
#define YAML_EVENT_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 16

enum yaml_kind {
    YAML_END, /* of the document; for ever */
    YAML_MAP, /* a map begins; then YAML_KEY or YAML_MAP_END */
    YAML_MAP_END,
    YAML_LIST, /* a list begins; then values or YAML_LIST_END */
    YAML_LIST_END,
    YAML_KEY,    /* text: the key; the value follows */
    YAML_SCALAR, /* text: the value */
};

struct yaml_event {
    enum yaml_kind kind;
    struct span text; /* NUL-terminated; lives until the next yaml_next() */
    uint64_t line;    /* from 1 */
    uint64_t offset;  /* of the event's first character, counted in characters */
    bool quoted;
};

struct yaml_reader;

/* Gives 1..size bytes, or 0 at the end. */
typedef int yaml_read(void *context, void *out, size_t size, size_t *out_size, struct error *err);

int yaml_reader_new(yaml_read *read, void *context, enum yaml_flags flags, uint64_t max_size,
                    struct yaml_reader **out_reader, struct error *err);
/* Of bytes in memory, which outlive the reader. */
int yaml_reader_new_span(struct span bytes, enum yaml_flags flags, struct yaml_reader **out_reader,
                         struct error *err);
struct yaml_reader *yaml_reader_free(struct yaml_reader *reader); /* NULL is fine */

int yaml_next(struct yaml_reader *reader, struct yaml_event *out, struct error *err);
/* The same, and it must be of that kind: else -EBADMSG "... expected a map" and so on. */
int yaml_expect(struct yaml_reader *reader, enum yaml_kind kind, struct yaml_event *out,
                struct error *err);
/* Reports a rule that this event breaks, with its offset and line: -EBADMSG. */
int yaml_refuse(const struct yaml_event *event, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Plain text: UTF-8 (RFC 3629) without U+0000-001F, U+007F-009F, U+2028, U+2029, U+FEFF, U+FFFE,
 * U+FFFF. What is not plain is written as base64 (names of bytes) or refused (other texts). */
bool yaml_text_is_plain(struct span text);

/* Writing: the text in double quotes, " and \ escaped; it is plain text. */
void yaml_add_quoted(struct buf *out, struct span text);
/* `indent` spaces, the key as it is, ": ", the value as it is or in quotes, LF. */
void yaml_add_plain_line(struct buf *out, unsigned indent, const char *key, const char *value);
void yaml_add_quoted_line(struct buf *out, unsigned indent, const char *key, struct span value);
