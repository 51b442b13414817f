/* SPDX-License-Identifier: MIT */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/span.h"
#include "common/base/utf8.h"

#define LINE_MAX_SIZE 4096
#define LINE_ROOM (LINE_MAX_SIZE - 32) /* the rest is for how a line ends */
#define MESSAGE_SIZE 1024
#define FIELD_HEAD_SIZE 64
#define CUT_MARK "..."

struct line {
    struct buf text;
    bool is_cut;
    bool message_is_cut;
};

static enum log_level limit = LOG_INFO;
static enum log_form form = LOG_TEXT;

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_setup(enum log_level level, enum log_form new_form)
{
    limit = level;
    form = new_form;
}

int log_level_parse(const char *text, enum log_level *out)
{
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

int log_form_parse(const char *text, enum log_form *out)
{
    if (strcmp(text, "text") == 0)
        *out = LOG_TEXT;
    else if (strcmp(text, "json") == 0)
        *out = LOG_JSON;
    else
        return -EINVAL;
    return 0;
}

bool log_enabled(enum log_level level)
{
    return level <= limit;
}

/* Characters that would change how what stands around them is read: controls, line separators, and
 * those that turn the direction of text. */
static bool is_treacherous(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static size_t room(const struct line *line)
{
    return line->text.size < LINE_ROOM ? LINE_ROOM - line->text.size : 0;
}

/* What does not fit ends the line: nothing comes behind it. */
static bool put(struct line *line, const char *bytes, size_t size)
{
    if (line->is_cut || size > room(line))
        line->is_cut = true;
    else
        buf_add(&line->text, bytes, size);
    return !line->is_cut;
}

static bool put_text(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* One character, escaped if it must be; its length. Bytes that are no UTF-8 are escaped one by
 * one. */
static size_t put_character(struct line *line, struct span text)
{
    char escaped[8];
    uint32_t code = text.bytes[0];
    size_t size = utf8_next(text, &code);

    if (size == 1 && (code == '"' || code == '\\')) {
        snprintf(escaped, sizeof(escaped), "\\%c", (char)code);
        put_text(line, escaped);
    } else if (size == 0 || is_treacherous(code)) {
        snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)code & 0xffff);
        put_text(line, escaped);
    } else {
        put(line, (const char *)text.bytes, size);
    }
    return size > 0 ? size : 1;
}

/* JSON string contents, and good for text lines too. */
static void put_escaped(struct line *line, const char *value)
{
    struct span text = span_text(value);

    while (text.size > 0 && !line->is_cut)
        text = span_slice(text, put_character(line, text), text.size);
}

static bool is_plain(const char *value)
{
    bool plain = value[0] != '\0';

    for (const char *at = value; *at != '\0'; at++)
        plain = plain && (unsigned char)*at > 0x20 && *at != '"' && *at != '=' && *at != '\\' &&
                (unsigned char)*at < 0x7f;
    return plain;
}

/* A value that was opened is closed, in the room that is kept for the end. */
static void put_field(struct line *line, const char *key, const char *value)
{
    char head[FIELD_HEAD_SIZE];
    bool quoted = form == LOG_JSON || !is_plain(value);

    snprintf(head, sizeof(head), form == LOG_JSON ? ",\"%s\":" : " %s=", key);
    if (sizeof(head) > room(line))
        line->is_cut = true;
    if (!put_text(line, head))
        return;
    if (quoted)
        buf_add_byte(&line->text, '"');
    put_escaped(line, value);
    if (quoted)
        buf_add_byte(&line->text, '"');
}

static void put_fields(struct line *line, const char *const *fields)
{
    for (; fields != NULL && fields[0] != NULL && !line->is_cut; fields += 2) {
        if (fields[1] != NULL)
            put_field(line, fields[0], fields[1]);
    }
}

/* The front of the message, whole characters. */
static void put_message(struct line *line, const char *format, va_list args)
{
    char message[MESSAGE_SIZE];
    int size = vsnprintf(message, sizeof(message), format, args);
    bool is_cut = size >= (int)sizeof(message);

    if (size < 0)
        message[0] = '\0';
    for (size_t i = 0; is_cut && i < 3 && ((uint8_t)message[MESSAGE_SIZE - 2 - i] & 0x80) != 0;
         i++) {
        const char *last = &message[MESSAGE_SIZE - 2 - i];
        uint32_t code;
        if (((uint8_t)*last & 0xc0) == 0xc0 && utf8_next(span_text(last), &code) == 0)
            message[MESSAGE_SIZE - 2 - i] = '\0';
    }
    put_escaped(line, message);
    line->message_is_cut = is_cut;
}

static void write_json(struct line *line, enum log_level level, const char *const *fields,
                       const char *format, va_list args)
{
    char when[CLOCK_TEXT_SIZE];

    if (clock_format(clock_now_s(), when, NULL) < 0)
        when[0] = '\0';
    buf_format(&line->text, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when,
               level_names[level]);
    put_message(line, format, args);
    buf_add_byte(&line->text, '"');
    put_fields(line, fields);
    buf_add_text(&line->text, line->is_cut || line->message_is_cut ? ",\"cut\":true}\n" : "}\n");
}

static void write_text(struct line *line, enum log_level level, const char *const *fields,
                       const char *format, va_list args)
{
    if (level != LOG_INFO)
        buf_format(&line->text, "%s: ", level_names[level]);
    put_message(line, format, args);
    if (line->message_is_cut)
        put_text(line, CUT_MARK);
    put_fields(line, fields);
    buf_add_text(&line->text, line->is_cut ? " " CUT_MARK "\n" : "\n");
}

static void write_line(enum log_level level, const char *const *fields, const char *format,
                       va_list args)
{
    struct line line = { .text = buf_init(LINE_MAX_SIZE) };
    int saved = errno;

    if (form == LOG_JSON)
        write_json(&line, level, fields, format, args);
    else
        write_text(&line, level, fields, format, args);
    if (buf_check(&line.text, NULL) == 0) {
        ssize_t ignored = write(STDERR_FILENO, line.text.bytes, line.text.size);
        (void)ignored;
    }
    buf_release(&line.text);
    errno = saved;
}

void log_event(enum log_level level, const char *const *fields, const char *format, ...)
{
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    write_line(level, fields, format, args);
    va_end(args);
}

void log_always(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_INFO, NULL, format, args);
    va_end(args);
}
