/* SPDX-License-Identifier: MIT */
#include "common/net/http_headers.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"

struct http_header_list http_header_list_init(void)
{
    return (struct http_header_list){ .texts = buf_init(HTTP_HEADERS_MAX) };
}

void http_header_list_release(struct http_header_list *list)
{
    buf_release(&list->texts);
    list->items = memory_free(list->items);
    list->count = 0;
    list->status = 0;
}

void http_header_list_clear(struct http_header_list *list)
{
    buf_clear(&list->texts);
    list->items = memory_free(list->items);
    list->count = 0;
    list->status = 0;
}

static int take_status(struct http_header_list *list, struct span line, struct error *err)
{
    struct span version;
    int status = 0;

    http_header_list_clear(list);
    if (!span_cut(&line, ' ', &version) || line.size < 3)
        return error_set(err, -EIO, "the answer's first line is not HTTP");
    for (size_t i = 0; i < 3; i++) {
        if (line.bytes[i] < '0' || line.bytes[i] > '9')
            return error_set(err, -EIO, "the answer's first line is not HTTP");
        status = status * 10 + (line.bytes[i] - '0');
    }
    list->status = status;
    return 0;
}

int http_header_list_add(struct http_header_list *list, struct span line, bool *out_end,
                         struct error *err)
{
    struct span name, text;
    int r;

    *out_end = false;
    text = span_trim(line);
    if (text.size == 0) {
        *out_end = true;
        return 0;
    }
    if (span_starts_with(line, span_text("HTTP/")))
        return take_status(list, text, err);
    if (line.bytes[0] == ' ' || line.bytes[0] == '\t' || memchr(text.bytes, 0, text.size) != NULL)
        return error_set(err, -EIO, "the answer has a header that is folded or not text");
    if (memchr(text.bytes, ':', text.size) == NULL)
        return error_set(err, -EIO, "the answer has a header without a colon");
    span_cut(&text, ':', &name);
    text = span_trim(text);
    buf_add_span(&list->texts, name);
    buf_add_byte(&list->texts, 0);
    buf_add_span(&list->texts, text);
    buf_add_byte(&list->texts, 0);
    r = buf_check(&list->texts, NULL);
    if (r == -EFBIG)
        return error_set(err, r, "the answer's headers are larger than %d bytes", HTTP_HEADERS_MAX);
    if (r < 0)
        return error_set(err, r, "out of memory");
    list->count++;
    return 0;
}

int http_header_list_view(struct http_header_list *list, struct http_headers *out,
                          struct error *err)
{
    const char *at = (const char *)list->texts.bytes;
    struct http_header *items = memory_array(list->count, sizeof(*items));

    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++) {
        items[i].name = at;
        at += strlen(at) + 1;
        items[i].value = at;
        at += strlen(at) + 1;
    }
    memory_free(list->items);
    list->items = items;
    *out = (struct http_headers){ .items = items, .count = list->count };
    return 0;
}

static bool equal_names(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;

        if (x != y)
            return false;
    }
    return *a == *b;
}

const char *http_headers_list(const struct http_headers *headers, const char *name, size_t index)
{
    if (headers == NULL)
        return NULL;
    for (size_t i = 0; i < headers->count; i++) {
        if (equal_names(headers->items[i].name, name) && index-- == 0)
            return headers->items[i].value;
    }
    return NULL;
}

const char *http_headers_get(const struct http_headers *headers, const char *name)
{
    return http_headers_list(headers, name, 0);
}
