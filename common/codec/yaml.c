/* SPDX-License-Identifier: MIT */
#include "common/codec/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"

#define KEYS_MAX_SIZE (256 * 1024)

struct level {
    bool is_map;
    bool is_flow;
    bool wants_key; /* of a map: a key comes next, else its value */
    size_t column;  /* of a map: where its keys stand */
    size_t key_count;
    struct buf keys; /* u16 size and bytes, each */
};

enum stage { STAGE_BEGIN, STAGE_INSIDE, STAGE_ENDED };

struct yaml_reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the last one: its text was handed out */
    bool parser_is_set, event_is_set;
    yaml_read *read;
    void *context;
    struct span rest; /* of a reader of bytes in memory */
    enum yaml_flags flags;
    uint64_t max_size, size;
    uint64_t event_size;     /* bytes read since the last event */
    struct error read_error; /* what the read function, or a check of raw bytes, refused */
    uint8_t character[4];    /* unfinished, of the check of raw bytes */
    size_t character_size;
    enum stage stage;
    size_t depth;
    struct level levels[YAML_DEPTH_MAX];
};

static bool code_is_plain(uint32_t code)
{
    return code >= 0x20 && !(code >= 0x7f && code <= 0x9f) && code != 0x2028 && code != 0x2029 &&
           code != 0xfeff && code != 0xfffe && code != 0xffff;
}

bool yaml_text_is_plain(struct span text)
{
    while (text.size > 0) {
        uint32_t code;
        size_t size = utf8_next(text, &code);
        if (size == 0 || !code_is_plain(code))
            return false;
        text = span_slice(text, size, text.size);
    }
    return true;
}

static int refuse_bytes(struct yaml_reader *reader, uint64_t offset, const char *rule)
{
    return error_set(&reader->read_error, -EBADMSG, "offset %llu: %s", (unsigned long long)offset,
                     rule);
}

static size_t expected_size(uint8_t first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* A strict document is plain text and LF, comments too, whatever the pieces it comes in. */
static int check_raw(struct yaml_reader *reader, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint32_t code;
        if (reader->character_size == 0 &&
            ((bytes[i] >= 0x20 && bytes[i] < 0x7f) || bytes[i] == '\n'))
            continue;
        reader->character[reader->character_size++] = bytes[i];
        if (reader->character_size < expected_size(reader->character[0]))
            continue;
        if (utf8_next(span_of(reader->character, reader->character_size), &code) !=
                reader->character_size ||
            !code_is_plain(code))
            return refuse_bytes(reader, reader->size + i, "a character that is no plain text");
        reader->character_size = 0;
    }
    return 0;
}

static int read_checked(struct yaml_reader *reader, uint8_t *out, size_t size, size_t *out_size)
{
    int r = reader->read(reader->context, out, size, out_size, &reader->read_error);

    if (r < 0)
        return r;
    if (reader->flags == YAML_STRICT)
        r = check_raw(reader, out, *out_size);
    if (r == 0 && *out_size == 0 && reader->character_size > 0)
        r = refuse_bytes(reader, reader->size, "half a character at the end");
    reader->size += *out_size;
    reader->event_size += *out_size;
    if (r == 0 && reader->size > reader->max_size)
        r = refuse_bytes(reader, reader->max_size, "the document is too large");
    if (r == 0 && reader->event_size > YAML_EVENT_MAX)
        r = refuse_bytes(reader, reader->size, "a text or comment is too long");
    return r;
}

/* libyaml's: 1 = fine, 0 = failed. */
static int read_handler(void *data, unsigned char *buffer, size_t size, size_t *size_read)
{
    struct yaml_reader *reader = data;

    *size_read = 0;
    if (reader->read_error.code != 0)
        return 0;
    return read_checked(reader, buffer, size, size_read) == 0;
}

static int read_span(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct yaml_reader *reader = context;

    if (size > reader->rest.size)
        size = reader->rest.size;
    if (size > 0)
        memcpy(out, reader->rest.bytes, size);
    reader->rest = span_slice(reader->rest, size, reader->rest.size);
    *out_size = size;
    return 0;
}

static int reader_start(struct yaml_reader **in_out_reader, struct error *err)
{
    struct yaml_reader *reader = *in_out_reader;

    for (size_t i = 0; i < YAML_DEPTH_MAX; i++)
        reader->levels[i].keys = buf_init(KEYS_MAX_SIZE);
    if (!yaml_parser_initialize(&reader->parser)) {
        *in_out_reader = yaml_reader_free(reader);
        return error_set(err, -ENOMEM, "out of memory");
    }
    reader->parser_is_set = true;
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input(&reader->parser, read_handler, reader);
    return 0;
}

int yaml_reader_new(yaml_read *read, void *context, enum yaml_flags flags, uint64_t max_size,
                    struct yaml_reader **out_reader, struct error *err)
{
    struct yaml_reader *reader = memory_new(sizeof(*reader));
    int r;

    if (reader == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    reader->read = read;
    reader->context = context;
    reader->flags = flags;
    reader->max_size = max_size;
    r = reader_start(&reader, err);
    if (r == 0)
        *out_reader = reader;
    return r;
}

int yaml_reader_new_span(struct span bytes, enum yaml_flags flags, struct yaml_reader **out_reader,
                         struct error *err)
{
    struct yaml_reader *reader;
    int r = yaml_reader_new(read_span, NULL, flags, UINT64_MAX, &reader, err);

    if (r < 0)
        return r;
    reader->context = reader;
    reader->rest = bytes;
    *out_reader = reader;
    return 0;
}

struct yaml_reader *yaml_reader_free(struct yaml_reader *reader)
{
    if (reader == NULL)
        return NULL;
    if (reader->event_is_set)
        yaml_event_delete(&reader->event);
    if (reader->parser_is_set)
        yaml_parser_delete(&reader->parser);
    for (size_t i = 0; i < YAML_DEPTH_MAX; i++)
        buf_release(&reader->levels[i].keys);
    return memory_free(reader);
}

static int refuse_at(const yaml_mark_t *mark, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %zu: line %zu: %s", mark->index, mark->line + 1, rule);
}

static int refuse(const struct yaml_reader *reader, struct error *err, const char *rule)
{
    return refuse_at(&reader->event.start_mark, err, rule);
}

int yaml_refuse(const struct yaml_event *event, struct error *err, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    return error_set(err, -EBADMSG, "offset %llu: line %llu: %s", (unsigned long long)event->offset,
                     (unsigned long long)event->line, text);
}

/* What libyaml itself refused. */
static int parser_failed(const struct yaml_reader *reader, struct error *err)
{
    const yaml_parser_t *parser = &reader->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(err, -ENOMEM, "out of memory");
    if (reader->read_error.code != 0)
        return error_set(err, reader->read_error.code, "%s", reader->read_error.text);
    if (parser->error == YAML_READER_ERROR)
        return error_set(err, -EBADMSG, "offset %zu: %s", parser->problem_offset,
                         parser->problem == NULL ? "no UTF-8" : parser->problem);
    return refuse_at(&parser->problem_mark, err,
                     parser->problem == NULL ? "no YAML" : parser->problem);
}

static size_t count_characters(struct span text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += (text.bytes[i] & 0xc0) != 0x80;
    return count;
}

/* With no escape but \" and \\ the written text is longer than what it means by its two quotes and
 * one backslash for each " and \ in it; every other escape makes it longer still. */
static bool escapes_are_canonical(const yaml_event_t *event, struct span text)
{
    size_t expected = 2 + count_characters(text);

    for (size_t i = 0; i < text.size; i++)
        expected += text.bytes[i] == '"' || text.bytes[i] == '\\';
    return event->end_mark.index - event->start_mark.index == expected;
}

static int check_scalar(const struct yaml_reader *reader, struct span text, struct error *err)
{
    const yaml_event_t *event = &reader->event;
    yaml_scalar_style_t style = event->data.scalar.style;

    if (event->data.scalar.anchor != NULL)
        return refuse(reader, err, "anchors are refused");
    if (event->data.scalar.tag != NULL)
        return refuse(reader, err, "tags are refused");
    if (text.size == 0 && style == YAML_PLAIN_SCALAR_STYLE)
        return refuse(reader, err, "nothing where a key or value is expected");
    if (text.size > 0 && memchr(text.bytes, '\0', text.size) != NULL)
        return refuse(reader, err, "NUL in a text");
    if (reader->flags != YAML_STRICT)
        return 0;
    if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE ||
        event->start_mark.line != event->end_mark.line)
        return refuse(reader, err, "a text of several lines");
    if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE && !escapes_are_canonical(event, text))
        return refuse(reader, err, "the only escapes are \\\" and \\\\");
    return 0;
}

static bool has_key(const struct level *level, struct span key)
{
    struct span rest = buf_span(&level->keys);

    while (rest.size > 0) {
        size_t size = (size_t)rest.bytes[0] | (size_t)rest.bytes[1] << 8;
        if (span_equal(span_slice(rest, 2, size), key))
            return true;
        rest = span_slice(rest, 2 + size, rest.size);
    }
    return false;
}

static int refuse_twice(const struct yaml_reader *reader, struct span key, struct error *err)
{
    const yaml_mark_t *mark = &reader->event.start_mark;
    int shown = key.size < 64 ? (int)key.size : 64;

    return error_set(err, -EBADMSG, "offset %zu: line %zu: the key %.*s stands twice", mark->index,
                     mark->line + 1, shown, (const char *)key.bytes);
}

static int take_key(struct yaml_reader *reader, struct span key, struct error *err)
{
    struct level *level = &reader->levels[reader->depth - 1];
    bool plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (key.size == 0)
        return refuse(reader, err, "an empty key");
    if (key.size > 1024)
        return refuse(reader, err, "a key has at most 1024 bytes");
    if (plain && span_equal_text(key, "<<"))
        return refuse(reader, err, "merge keys are refused");
    if (reader->event.start_mark.column != level->column)
        return refuse(reader, err, "keys stand below each other, without a question mark");
    if (has_key(level, key))
        return refuse_twice(reader, key, err);
    if (++level->key_count > YAML_KEYS_MAX)
        return refuse(reader, err, "too many keys in a map");
    buf_add_u16(&level->keys, (uint16_t)key.size);
    buf_add_span(&level->keys, key);
    level->wants_key = false;
    if (level->keys.failure == -EFBIG)
        return refuse(reader, err, "too many keys in a map");
    return buf_check(&level->keys, err);
}

/* A value has come: the map wants a key again. */
static void value_is_done(struct yaml_reader *reader)
{
    if (reader->depth > 0 && reader->levels[reader->depth - 1].is_map)
        reader->levels[reader->depth - 1].wants_key = true;
}

static bool wants_key(const struct yaml_reader *reader)
{
    return reader->depth > 0 && reader->levels[reader->depth - 1].is_map &&
           reader->levels[reader->depth - 1].wants_key;
}

static int take_scalar(struct yaml_reader *reader, struct yaml_event *out, struct error *err)
{
    const yaml_event_t *event = &reader->event;
    struct span text = span_of(event->data.scalar.value, event->data.scalar.length);
    int r = check_scalar(reader, text, err);

    if (r < 0)
        return r;
    if (reader->depth == 0)
        return refuse(reader, err, "a map is expected");
    out->kind = YAML_SCALAR;
    out->text = text;
    out->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (wants_key(reader)) {
        out->kind = YAML_KEY;
        return take_key(reader, text, err);
    }
    value_is_done(reader);
    return 0;
}

static int check_collection(const struct yaml_reader *reader, bool is_map, bool is_flow,
                            bool is_named, struct error *err)
{
    if (is_named)
        return refuse(reader, err, "anchors and tags are refused");
    if (wants_key(reader))
        return refuse(reader, err, "a key is a text");
    if (reader->depth == 0 && !is_map)
        return refuse(reader, err, "a map is expected");
    if (is_flow && is_map)
        return refuse(reader, err, "maps in braces are refused");
    if (is_flow && reader->flags == YAML_STRICT)
        return refuse(reader, err, "lists in brackets are refused");
    if (is_flow && reader->levels[reader->depth - 1].is_flow)
        return refuse(reader, err, "lists in lists in brackets are refused");
    if (reader->depth == YAML_DEPTH_MAX)
        return refuse(reader, err, "too many levels");
    return 0;
}

static int enter(struct yaml_reader *reader, bool is_map, bool is_flow, bool is_named,
                 struct yaml_event *out, struct error *err)
{
    int r = check_collection(reader, is_map, is_flow, is_named, err);
    struct level *level;

    if (r < 0)
        return r;
    level = &reader->levels[reader->depth++];
    level->is_map = level->wants_key = is_map;
    level->is_flow = is_flow;
    level->column = reader->event.start_mark.column;
    level->key_count = 0;
    buf_clear(&level->keys);
    out->kind = is_map ? YAML_MAP : YAML_LIST;
    return 0;
}

static void leave(struct yaml_reader *reader, struct yaml_event *out)
{
    out->kind = reader->levels[--reader->depth].is_map ? YAML_MAP_END : YAML_LIST_END;
    value_is_done(reader);
}

static int begin_document(struct yaml_reader *reader, struct error *err)
{
    const yaml_event_t *event = &reader->event;

    if (reader->stage != STAGE_BEGIN)
        return refuse(reader, err, "a second document");
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        return refuse(reader, err, "directives are refused");
    if (reader->flags == YAML_STRICT && !event->data.document_start.implicit)
        return refuse(reader, err, "document marks are refused");
    reader->stage = STAGE_INSIDE;
    return 0;
}

/* 1: *out is set; 0: nothing to tell yet. */
static int take_event(struct yaml_reader *reader, struct yaml_event *out, struct error *err)
{
    const yaml_event_t *event = &reader->event;
    int r = 1;

    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        return begin_document(reader, err);
    case YAML_DOCUMENT_END_EVENT:
        if (reader->flags == YAML_STRICT && !event->data.document_end.implicit)
            return refuse(reader, err, "document marks are refused");
        return 0;
    case YAML_STREAM_END_EVENT:
        reader->stage = STAGE_ENDED;
        out->kind = YAML_END;
        return 1;
    case YAML_ALIAS_EVENT:
        return refuse(reader, err, "aliases are refused");
    case YAML_SCALAR_EVENT:
        r = take_scalar(reader, out, err);
        break;
    case YAML_MAPPING_START_EVENT:
        r = enter(reader, true, event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
                  event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL,
                  out, err);
        break;
    case YAML_SEQUENCE_START_EVENT:
        r = enter(reader, false, event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
                  event->data.sequence_start.anchor != NULL ||
                      event->data.sequence_start.tag != NULL,
                  out, err);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        leave(reader, out);
        break;
    }
    return r < 0 ? r : 1;
}

int yaml_next(struct yaml_reader *reader, struct yaml_event *out, struct error *err)
{
    struct yaml_event event = { .kind = YAML_END };
    int r = 0;

    while (r == 0) {
        if (reader->stage == STAGE_ENDED) {
            *out = event;
            return 0;
        }
        if (reader->event_is_set)
            yaml_event_delete(&reader->event);
        reader->event_is_set = false;
        if (!yaml_parser_parse(&reader->parser, &reader->event))
            return parser_failed(reader, err);
        reader->event_is_set = true;
        reader->event_size = 0;
        event.line = reader->event.start_mark.line + 1;
        event.offset = reader->event.start_mark.index;
        r = take_event(reader, &event, err);
    }
    if (r < 0)
        return r;
    *out = event;
    return 0;
}

int yaml_expect(struct yaml_reader *reader, enum yaml_kind kind, struct yaml_event *out,
                struct error *err)
{
    static const char *const names[] = {
        [YAML_END] = "the end",
        [YAML_MAP] = "a map",
        [YAML_MAP_END] = "the end of a map",
        [YAML_LIST] = "a list",
        [YAML_LIST_END] = "the end of a list",
        [YAML_KEY] = "a key",
        [YAML_SCALAR] = "a text",
    };
    struct yaml_event event;
    int r = yaml_next(reader, &event, err);

    if (r < 0)
        return r;
    if (event.kind != kind)
        return yaml_refuse(&event, err, "%s is expected", names[kind]);
    *out = event;
    return 0;
}

void yaml_add_quoted(struct buf *out, struct span text)
{
    size_t from = 0;

    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] != '"' && text.bytes[i] != '\\')
            continue;
        buf_add(out, text.bytes + from, i - from);
        buf_add_byte(out, '\\');
        from = i;
    }
    buf_add_span(out, span_slice(text, from, text.size));
    buf_add_byte(out, '"');
}

static void add_key(struct buf *out, unsigned indent, const char *key)
{
    for (unsigned i = 0; i < indent; i++)
        buf_add_byte(out, ' ');
    buf_add_text(out, key);
    buf_add(out, ": ", 2);
}

void yaml_add_plain_line(struct buf *out, unsigned indent, const char *key, const char *value)
{
    add_key(out, indent, key);
    buf_add_text(out, value);
    buf_add_byte(out, '\n');
}

void yaml_add_quoted_line(struct buf *out, unsigned indent, const char *key, struct span value)
{
    add_key(out, indent, key);
    yaml_add_quoted(out, value);
    buf_add_byte(out, '\n');
}
