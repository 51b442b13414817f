/* SPDX-License-Identifier: MIT */
#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line is promised: what a stranger supplied may hold control bytes. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            *text = '?';
    }
}

static void text_set(struct error *err, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void text_set(struct error *err, int code, const char *format, va_list args)
{
    char text[ERROR_TEXT_SIZE];
    int n = vsnprintf(text, sizeof(text), format, args);

    if (n < 0)
        text[0] = '\0';
    make_printable(text);
    memcpy(err->text, text, sizeof(text));
    err->code = code;
}

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;

    if (err != NULL) {
        va_start(args, format);
        text_set(err, code, format, args);
        va_end(args);
    }
    return code;
}

static void text_append(char *text, const char *more)
{
    size_t used = strlen(text);
    size_t size = strlen(more);

    if (size > ERROR_TEXT_SIZE - 1 - used)
        size = ERROR_TEXT_SIZE - 1 - used;
    memcpy(text + used, more, size);
    text[used + size] = '\0';
}

int error_system(struct error *err, int saved_errno, const char *format, ...)
{
    va_list args;

    if (err != NULL) {
        va_start(args, format);
        text_set(err, -saved_errno, format, args);
        va_end(args);
        text_append(err->text, ": ");
        text_append(err->text, strerror(saved_errno));
    }
    return -saved_errno;
}

int error_prefix(struct error *err, int code, const char *format, ...)
{
    char old[ERROR_TEXT_SIZE];
    va_list args;

    if (err != NULL) {
        memcpy(old, err->text, sizeof(old));
        va_start(args, format);
        text_set(err, code, format, args);
        va_end(args);
        text_append(err->text, ": ");
        text_append(err->text, old);
    }
    return code;
}
