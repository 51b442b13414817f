/* SPDX-License-Identifier: MIT */
#include "server/http/url.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"

static int digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Decodes `text` to *at and moves *at behind it; a decoded text is never longer. */
static int text_decode(struct span text, bool plus_is_space, uint8_t **at, struct span *out,
                       struct error *err)
{
    uint8_t *start = *at;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.bytes[i];

        if (byte == '%') {
            int high = i + 1 < text.size ? digit_value(text.bytes[i + 1]) : -1;
            int low = i + 2 < text.size ? digit_value(text.bytes[i + 2]) : -1;

            if (high < 0 || low < 0)
                return error_set(err, -EINVAL, "the URL has a '%%' without two hex digits");
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        *(*at)++ = byte;
    }
    *out = span_of(start, (size_t)(*at - start));
    return 0;
}

static int path_decode(struct url *url, struct span path, uint8_t **at, struct error *err)
{
    if (path.size == 0 || path.bytes[0] != '/')
        return error_set(err, -EINVAL, "the URL's path does not begin with '/'");
    path = span_slice(path, 1, path.size - 1);
    if (path.size == 0)
        return 0;
    for (size_t start = 0, i = 0; i <= path.size; i++) {
        int r;

        if (i < path.size && path.bytes[i] != '/')
            continue;
        if (url->segment_count == URL_SEGMENTS_MAX)
            return error_set(err, -EFBIG, "the URL has more than %d segments", URL_SEGMENTS_MAX);
        r = text_decode(span_slice(path, start, i - start), false, at,
                        &url->segments[url->segment_count], err);
        if (r < 0)
            return r;
        url->segment_count++;
        start = i + 1;
    }
    return 0;
}

static int query_decode(struct url *url, struct span query, uint8_t **at, struct error *err)
{
    struct span pair;

    while (span_cut(&query, '&', &pair)) {
        struct span key;
        struct url_pair *out;
        int r;

        if (pair.size == 0)
            continue;
        if (url->query_count == URL_QUERY_MAX)
            return error_set(err, -EFBIG, "the URL has more than %d query keys", URL_QUERY_MAX);
        out = &url->query[url->query_count];
        span_cut(&pair, '=', &key);
        r = text_decode(key, true, at, &out->key, err);
        if (r == 0)
            r = text_decode(pair, true, at, &out->value, err);
        if (r < 0)
            return r;
        *(*at)++ = '\0'; /* where the '&' was, or the end */
        url->query_count++;
    }
    return 0;
}

int url_parse(struct url *out, struct span target, struct error *err)
{
    struct span path;
    uint8_t *at;
    int r;

    out->segment_count = 0;
    out->query_count = 0;
    out->decoded = memory_new(target.size + 1);
    if (out->decoded == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    at = out->decoded;
    span_cut(&target, '?', &path);
    r = path_decode(out, path, &at, err);
    if (r == 0)
        r = query_decode(out, target, &at, err);
    if (r < 0)
        url_release(out);
    return r;
}

void url_release(struct url *url)
{
    url->decoded = memory_free(url->decoded);
    url->segment_count = 0;
    url->query_count = 0;
}

bool url_query(const struct url *url, const char *name, struct span *out_value)
{
    for (size_t i = 0; i < url->query_count; i++) {
        if (span_equal_text(url->query[i].key, name)) {
            *out_value = url->query[i].value;
            return true;
        }
    }
    return false;
}
