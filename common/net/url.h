/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * url - paths of bytes in URLs, and what the address of a server may look like.
 *
 * Everything but the unreserved characters of RFC 3986 (letters, digits, - . _ ~) is
 * percent-encoded, so a name may hold any byte. A component "." or ".." is written
 * with encoded dots (%2E): nothing on the way may resolve it. Any thread; failure
 * sticks in the buf.
 */

/* One segment: '/' is encoded too. */
void url_add_segment(struct buf *out, struct span name);

/* A path: its '/' stay, each component is encoded by itself. */
void url_add_path(struct buf *out, struct span path);

/* Adds '/' and the encoded segment; for texts, in a series of calls. */
void url_add_step(struct buf *out, const char *name);

/* Adds "?name=value" or "&name=value", whichever is due: '?' when *out has none yet. */
void url_add_query(struct buf *out, const char *name, struct span value);

/* One percent-decoded segment. -EINVAL: a broken escape. Any byte may come out, NUL too. */
int url_decode(struct span text, struct buf *out, struct error *err);

/* A server's address, taken apart. The texts are in `text`, terminated. */
#define URL_BASE_MAX 1024
struct url_base {
    char text[URL_BASE_MAX]; /* "https://host:port/prefix", without a '/' at the end */
    char host[256];          /* without brackets */
    uint16_t port;           /* 80 and 443 when not said */
    bool tls;
    bool loopback; /* 127.0.0.0/8, ::1 or "localhost" */
};

/* Takes "http://" or "https://", host, port, path prefix. -EINVAL, naming the part: another scheme,
 * user info (a secret does not belong there), a query or fragment, a control character or space, a
 * port outside 1..65535. */
int url_base_parse(const char *text, struct url_base *out, struct error *err);

/* The same for a whole URL whose path and query are kept as they are: only scheme, host and port of
 * *out are set, and text is the origin ("https://host:port"). */
int url_origin_parse(const char *url, struct url_base *out, struct error *err);
