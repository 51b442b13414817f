/* SPDX-License-Identifier: MIT */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

#define LINE_MAX_SIZE 4096

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

/* JSON string contents, and good for text lines too: no byte below space gets through. Bytes above
 * 0x7e are escaped one by one, since nobody promised UTF-8. */
static void add_escaped(struct buf *line, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_format(line, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            buf_format(line, "\\u%04x", c);
        else
            buf_add_byte(line, c);
    }
}

static void add_text_field(struct buf *line, const char *key, const char *value)
{
    bool plain = value[0] != '\0';

    for (const char *at = value; *at != '\0'; at++)
        plain = plain && (unsigned char)*at > 0x20 && *at != '"' && *at != '=' && *at != '\\' &&
                (unsigned char)*at < 0x7f;
    buf_format(line, plain ? " %s=" : " %s=\"", key);
    add_escaped(line, value);
    if (!plain)
        buf_add_byte(line, '"');
}

static void add_fields(struct buf *line, const char *const *fields)
{
    for (; fields != NULL && fields[0] != NULL; fields += 2) {
        if (fields[1] == NULL)
            continue;
        if (form == LOG_TEXT) {
            add_text_field(line, fields[0], fields[1]);
        } else {
            buf_format(line, ",\"%s\":\"", fields[0]);
            add_escaped(line, fields[1]);
            buf_add_byte(line, '"');
        }
    }
}

static void write_line(enum log_level level, const char *const *fields, const char *format,
                       va_list args)
{
    char message[1024], when[CLOCK_TEXT_SIZE];
    struct buf line = buf_init(LINE_MAX_SIZE);
    int saved = errno;

    if (vsnprintf(message, sizeof(message), format, args) < 0)
        message[0] = '\0';
    if (clock_format(clock_now_s(), when, NULL) < 0)
        when[0] = '\0';
    if (form == LOG_JSON) {
        buf_format(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when,
                   level_names[level]);
        add_escaped(&line, message);
        buf_add_byte(&line, '"');
        add_fields(&line, fields);
        buf_add_text(&line, "}\n");
    } else {
        if (level != LOG_INFO)
            buf_format(&line, "%s: ", level_names[level]);
        add_escaped(&line, message);
        add_fields(&line, fields);
        buf_add_byte(&line, '\n');
    }
    if (buf_check(&line, NULL) == 0 && line.size > 0) {
        ssize_t ignored = write(STDERR_FILENO, line.bytes, line.size);
        (void)ignored;
    }
    buf_release(&line);
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
