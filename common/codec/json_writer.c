/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <inttypes.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/codec/json.h"

static void add_quoted(struct buf *out, struct span text)
{
    buf_add_byte(out, '"');
    while (text.size > 0) {
        uint32_t code = 0;
        size_t size = utf8_next(text, &code);
        if (size == 0) {
            buf_add_text(out, "\xef\xbf\xbd");
            size = 1;
        } else if (code == '"' || code == '\\') {
            buf_format(out, "\\%c", (int)code);
        } else if (code == '\n') {
            buf_add_text(out, "\\n");
        } else if (code < 0x20 || code == 0x7f) {
            buf_format(out, "\\u%04x", (unsigned)code);
        } else {
            buf_add(out, text.bytes, size);
        }
        text = span_slice(text, size, text.size);
    }
    buf_add_byte(out, '"');
}

static void begin_value(struct json_writer *writer, const char *name)
{
    if (writer->comma)
        buf_add_byte(writer->out, ',');
    writer->comma = true;
    if (name != NULL) {
        add_quoted(writer->out, span_text(name));
        buf_add_byte(writer->out, ':');
    }
}

static void begin_container(struct json_writer *writer, const char *name, bool array)
{
    assert(writer->depth < 64);
    begin_value(writer, name);
    buf_add_byte(writer->out, array ? '[' : '{');
    writer->arrays = (writer->arrays & ~(1ull << writer->depth)) | (uint64_t)array << writer->depth;
    writer->depth++;
    writer->comma = false;
}

struct json_writer json_writer_init(struct buf *out)
{
    return (struct json_writer){ .out = out };
}

void json_begin_object(struct json_writer *writer, const char *name)
{
    begin_container(writer, name, false);
}

void json_begin_array(struct json_writer *writer, const char *name)
{
    begin_container(writer, name, true);
}

void json_end(struct json_writer *writer)
{
    assert(writer->depth > 0);
    writer->depth--;
    buf_add_byte(writer->out, writer->arrays >> writer->depth & 1 ? ']' : '}');
    writer->comma = true;
}

void json_text(struct json_writer *writer, const char *name, const char *text)
{
    if (text != NULL)
        json_text_span(writer, name, span_text(text));
}

void json_text_span(struct json_writer *writer, const char *name, struct span text)
{
    begin_value(writer, name);
    add_quoted(writer->out, text);
}

void json_integer(struct json_writer *writer, const char *name, int64_t value)
{
    begin_value(writer, name);
    buf_format(writer->out, "%" PRId64, value);
}

void json_bool(struct json_writer *writer, const char *name, bool value)
{
    begin_value(writer, name);
    buf_add_text(writer->out, value ? "true" : "false");
}

void json_null(struct json_writer *writer, const char *name)
{
    begin_value(writer, name);
    buf_add_text(writer->out, "null");
}

void json_time(struct json_writer *writer, const char *name, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (clock_format(time_s, text, NULL) == 0)
        json_text(writer, name, text);
}

void json_ready(struct json_writer *writer, const char *name, struct span value)
{
    begin_value(writer, name);
    buf_add(writer->out, value.bytes, value.size);
}
