/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/net/http_request.h"

/*
 * http_headers - an answer's headers while they arrive, line by line.
 *
 * Names and values are copied into one block of texts, at most HTTP_HEADERS_MAX bytes.
 * An obsolete folded line and a line without a colon are refused.
 */
#define HTTP_HEADERS_MAX (64 * 1024)

struct http_header_list {
    struct buf texts; /* name NUL value NUL ... */
    size_t count;
    struct http_header *items; /* made by http_header_list_view */
    int status;
};

struct http_header_list http_header_list_init(void);
void http_header_list_release(struct http_header_list *list);
void http_header_list_clear(struct http_header_list *list);

/* One line with its line end. A status line clears what was before. *out_end: this was the empty
 * line. -EIO: not HTTP. -EFBIG. */
int http_header_list_add(struct http_header_list *list, struct span line, bool *out_end,
                         struct error *err);

/* The headers, valid until the list changes. -ENOMEM. */
int http_header_list_view(struct http_header_list *list, struct http_headers *out,
                          struct error *err);
