/* SPDX-License-Identifier: MIT */
#include "common/codec/json_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/utf8.h"
#include "common/codec/json.h"

struct scan {
    struct span text;
    size_t at;
    uint64_t objects; /* bit d: level d is an object */
    int depth;
};

static int peek(const struct scan *scan)
{
    return scan->at < scan->text.size ? scan->text.bytes[scan->at] : -1;
}

static void skip_space(struct scan *scan)
{
    int c = peek(scan);

    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        scan->at++;
        c = peek(scan);
    }
}

static bool take(struct scan *scan, int wanted)
{
    if (peek(scan) != wanted)
        return false;
    scan->at++;
    return true;
}

static bool take_word(struct scan *scan, const char *word)
{
    struct span wanted = span_text(word);

    if (!span_starts_with(span_slice(scan->text, scan->at, scan->text.size), wanted))
        return false;
    scan->at += wanted.size;
    return true;
}

static bool take_digits(struct scan *scan)
{
    size_t start = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > start;
}

static bool take_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return take_digits(scan);
    }
    return true;
}

static bool take_hex4(struct scan *scan, uint32_t *out)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        int c = peek(scan);
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = value << 4 | (uint32_t)(c - 'A' + 10);
        else
            return false;
        scan->at++;
    }
    *out = value;
    return true;
}

/* Behind the backslash. Surrogates come in pairs, and NUL never. */
static bool take_escape(struct scan *scan)
{
    int c = peek(scan);
    uint32_t code, low;

    scan->at++;
    if (c != 'u')
        return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' ||
               c == 't';
    if (!take_hex4(scan, &code) || code == 0 || (code >= 0xdc00 && code < 0xe000))
        return false;
    if (code < 0xd800 || code >= 0xdc00)
        return true;
    return take(scan, '\\') && take(scan, 'u') && take_hex4(scan, &low) && low >= 0xdc00 &&
           low < 0xe000;
}

static bool take_text(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (!take(scan, '"')) {
        uint32_t code;
        size_t size;
        if (take(scan, '\\')) {
            if (!take_escape(scan))
                return false;
            continue;
        }
        size = utf8_next(span_slice(scan->text, scan->at, scan->text.size), &code);
        if (size == 0 || code < 0x20)
            return false;
        scan->at += size;
    }
    return true;
}

static bool take_name(struct scan *scan)
{
    skip_space(scan);
    if (!take_text(scan))
        return false;
    skip_space(scan);
    return take(scan, ':');
}

static bool enter(struct scan *scan, bool object)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return false;
    scan->objects = (scan->objects & ~(1ull << scan->depth)) | (uint64_t)object << scan->depth;
    scan->depth++;
    return true;
}

static bool in_object(const struct scan *scan)
{
    return scan->objects >> (scan->depth - 1) & 1;
}

/* One value begins here: a scalar is taken whole (*out_whole), a container is entered. */
static bool take_value_start(struct scan *scan, bool *out_whole)
{
    skip_space(scan);
    *out_whole = true;
    switch (peek(scan)) {
    case '"':
        return take_text(scan);
    case 't':
        return take_word(scan, "true");
    case 'f':
        return take_word(scan, "false");
    case 'n':
        return take_word(scan, "null");
    case '{':
        scan->at++;
        if (!enter(scan, true))
            return false;
        skip_space(scan);
        *out_whole = take(scan, '}');
        break;
    case '[':
        scan->at++;
        if (!enter(scan, false))
            return false;
        skip_space(scan);
        *out_whole = take(scan, ']');
        break;
    default:
        return take_number(scan);
    }
    if (*out_whole) {
        scan->depth--; /* an empty container */
        return true;
    }
    return !in_object(scan) || take_name(scan);
}

/* A value ended here: leave what ends with it, and go to the next value. */
static bool take_value_end(struct scan *scan, bool *out_more)
{
    *out_more = false;
    while (scan->depth > 0) {
        skip_space(scan);
        if (take(scan, ',')) {
            *out_more = true;
            return !in_object(scan) || take_name(scan);
        }
        if (!take(scan, in_object(scan) ? '}' : ']'))
            return false;
        scan->depth--;
    }
    return true;
}

static bool take_document(struct scan *scan)
{
    bool more = true;

    while (more) {
        bool whole;
        if (!take_value_start(scan, &whole))
            return false;
        if (whole && !take_value_end(scan, &more))
            return false;
    }
    skip_space(scan);
    return scan->at == scan->text.size;
}

int json_check(struct span text, struct error *err)
{
    struct scan scan = { .text = text };

    if (!take_document(&scan))
        return error_set(err, -EBADMSG, "not JSON (or deeper than %d) at byte %zu", JSON_DEPTH_MAX,
                         scan.at);
    return 0;
}
