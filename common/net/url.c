/* SPDX-License-Identifier: MIT */
#include "common/net/url.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/number.h"

static bool is_unreserved(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

static void add_encoded(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t escape[3] = { '%', (uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15] };

    buf_add(out, escape, sizeof(escape));
}

void url_add_segment(struct buf *out, struct span name)
{
    bool dots = span_equal_text(name, ".") || span_equal_text(name, "..");

    for (size_t i = 0; i < name.size; i++) {
        if (is_unreserved(name.bytes[i]) && !dots)
            buf_add_byte(out, name.bytes[i]);
        else
            add_encoded(out, name.bytes[i]);
    }
}

void url_add_path(struct buf *out, struct span path)
{
    struct span component;
    bool first = true;

    while (span_cut(&path, '/', &component)) {
        if (!first)
            buf_add_byte(out, '/');
        first = false;
        url_add_segment(out, component);
    }
}

void url_add_step(struct buf *out, const char *name)
{
    buf_add_byte(out, '/');
    url_add_segment(out, span_text(name));
}

void url_add_query(struct buf *out, const char *name, struct span value)
{
    bool has = out->size > 0 && memchr(out->bytes, '?', out->size) != NULL;

    buf_add_byte(out, has ? '&' : '?');
    url_add_segment(out, span_text(name));
    buf_add_byte(out, '=');
    url_add_segment(out, value);
}

static int digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

int url_decode(struct span text, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        int high, low;

        if (text.bytes[i] != '%') {
            buf_add_byte(out, text.bytes[i]);
            continue;
        }
        high = i + 1 < text.size ? digit_value(text.bytes[i + 1]) : -1;
        low = i + 2 < text.size ? digit_value(text.bytes[i + 2]) : -1;
        if (high < 0 || low < 0)
            return error_set(err, -EINVAL, "broken percent-encoding at offset %zu", i);
        buf_add_byte(out, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return buf_check(out, err);
}

static bool is_loopback(struct span host)
{
    struct span part;
    uint64_t value;
    size_t parts = 0;

    if (span_equal_text(host, "localhost") || span_equal_text(host, "::1"))
        return true;
    if (!span_starts_with(host, span_text("127.")))
        return false;
    while (span_cut(&host, '.', &part)) {
        if (number_parse(part, 255, &value, NULL) < 0)
            return false;
        parts++;
    }
    return parts == 4;
}

static int check_characters(struct span text, struct error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] <= ' ' || text.bytes[i] >= 0x7f || text.bytes[i] == '\\')
            return error_set(err, -EINVAL, "server address: a character that no address has");
    }
    return 0;
}

static bool is_host_byte(uint8_t byte, bool bracketed)
{
    if (bracketed)
        return digit_value(byte) >= 0 || byte == ':' || byte == '.';
    return (is_unreserved(byte) && byte != '~');
}

static int parse_host(struct span authority, struct url_base *out, struct error *err)
{
    struct span host = authority, port = { 0 };
    uint64_t number;
    bool bracketed = authority.size > 0 && authority.bytes[0] == '[';
    bool has_port = false;

    if (bracketed) {
        const uint8_t *end = memchr(authority.bytes, ']', authority.size);
        size_t used;

        if (end == NULL)
            return error_set(err, -EINVAL, "server address: \"[\" without \"]\"");
        host = span_of(authority.bytes + 1, (size_t)(end - authority.bytes) - 1);
        used = host.size + 2;
        if (used < authority.size) {
            if (authority.bytes[used] != ':')
                return error_set(err, -EINVAL, "server address: text behind \"]\"");
            has_port = true;
            port = span_slice(authority, used + 1, SIZE_MAX);
        }
    } else {
        const uint8_t *colon =
            authority.size > 0 ? memchr(authority.bytes, ':', authority.size) : NULL;

        if (colon != NULL) {
            host = span_of(authority.bytes, (size_t)(colon - authority.bytes));
            has_port = true;
            port = span_slice(authority, host.size + 1, SIZE_MAX);
        }
    }
    if (host.size == 0 || host.size >= sizeof(out->host))
        return error_set(err, -EINVAL, "server address without a host");
    for (size_t i = 0; i < host.size; i++) {
        if (!is_host_byte(host.bytes[i], bracketed))
            return error_set(err, -EINVAL, "server address: a host name with \"%c\"",
                             host.bytes[i]);
    }
    out->port = out->tls ? 443 : 80;
    if (has_port) {
        if (number_parse(port, 65535, &number, NULL) < 0 || number == 0)
            return error_set(err, -EINVAL, "server address: the port is not within 1 to 65535");
        out->port = (uint16_t)number;
    }
    memcpy(out->host, host.bytes, host.size);
    out->host[host.size] = '\0';
    out->loopback = is_loopback(host);
    return 0;
}

/* Everything up to the path; *out_rest is what follows the authority. */
static int parse_origin(struct span text, struct url_base *out, size_t *out_origin_size,
                        struct span *out_rest, struct error *err)
{
    struct span rest = text, authority;
    size_t scheme_size;
    size_t end;

    if (span_starts_with(text, span_text("https://"))) {
        out->tls = true;
        scheme_size = 8;
    } else if (span_starts_with(text, span_text("http://"))) {
        out->tls = false;
        scheme_size = 7;
    } else {
        return error_set(err, -EINVAL, "server address: neither http:// nor https://");
    }
    rest = span_slice(text, scheme_size, SIZE_MAX);
    for (end = 0; end < rest.size; end++) {
        if (rest.bytes[end] == '/' || rest.bytes[end] == '?' || rest.bytes[end] == '#')
            break;
    }
    authority = span_slice(rest, 0, end);
    if (authority.size > 0 && memchr(authority.bytes, '@', authority.size) != NULL)
        return error_set(err, -EINVAL,
                         "server address with a user or password: give a token file instead");
    *out_origin_size = scheme_size + end;
    *out_rest = span_slice(rest, end, SIZE_MAX);
    return parse_host(authority, out, err);
}

int url_base_parse(const char *text, struct url_base *out, struct error *err)
{
    struct url_base base = { 0 };
    struct span all = span_trim(span_text(text)), rest;
    size_t origin_size, size;
    int r;

    if (all.size >= URL_BASE_MAX)
        return error_set(err, -EINVAL, "server address longer than %d bytes", URL_BASE_MAX - 1);
    r = check_characters(all, err);
    if (r < 0)
        return r;
    r = parse_origin(all, &base, &origin_size, &rest, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.bytes[i] == '?' || rest.bytes[i] == '#')
            return error_set(err, -EINVAL, "server address with a query or fragment");
    }
    size = all.size;
    while (size > origin_size && all.bytes[size - 1] == '/')
        size--;
    memcpy(base.text, all.bytes, size);
    base.text[size] = '\0';
    *out = base;
    return 0;
}

int url_origin_parse(const char *url, struct url_base *out, struct error *err)
{
    struct url_base base = { 0 };
    struct span all = span_text(url), rest;
    size_t origin_size;
    int r;

    r = check_characters(all, err);
    if (r < 0)
        return r;
    r = parse_origin(all, &base, &origin_size, &rest, err);
    if (r < 0)
        return r;
    if (origin_size >= URL_BASE_MAX)
        return error_set(err, -EINVAL, "server address longer than %d bytes", URL_BASE_MAX - 1);
    memcpy(base.text, all.bytes, origin_size);
    base.text[origin_size] = '\0';
    *out = base;
    return 0;
}
