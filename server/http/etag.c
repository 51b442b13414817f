/* SPDX-License-Identifier: MIT */
#include "server/http/etag.h"

#include <stddef.h>
#include <string.h>

#include "common/base/span.h"

/* Takes the next entity tag of a list off *rest: false at the end or when the grammar ends. */
static bool list_next(struct span *rest, bool *out_weak, struct span *out_tag)
{
    const uint8_t *end;
    size_t skip = 0;

    while (skip < rest->size && memchr(" \t,", rest->bytes[skip], 3) != NULL)
        skip++;
    *rest = span_slice(*rest, skip, rest->size);
    *out_weak = rest->size >= 2 && memcmp(rest->bytes, "W/", 2) == 0;
    if (*out_weak)
        *rest = span_slice(*rest, 2, rest->size);
    if (rest->size < 2 || rest->bytes[0] != '"')
        return false;
    end = memchr(rest->bytes + 1, '"', rest->size - 1);
    if (end == NULL)
        return false;
    *out_tag = span_of(rest->bytes, (size_t)(end - rest->bytes) + 1);
    *rest = span_slice(*rest, out_tag->size, rest->size);
    return true;
}

static bool list_names(const char *header, const char *etag, bool weak_counts)
{
    struct span rest = span_trim(span_text(header)), tag;
    bool weak;

    if (span_equal_text(rest, "*"))
        return true;
    while (list_next(&rest, &weak, &tag)) {
        if ((weak_counts || !weak) && span_equal_text(tag, etag))
            return true;
    }
    return false;
}

bool etag_none_match(const char *header, const char *etag)
{
    return header != NULL && list_names(header, etag, true);
}

bool etag_match(const char *header, const char *etag)
{
    if (header == NULL)
        return true;
    return etag != NULL && list_names(header, etag, false);
}
