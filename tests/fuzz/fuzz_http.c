/* SPDX-License-Identifier: MIT */
/* What strangers write on the request line and in headers: targets, ranges, tags, codings. */
#include <string.h>

#include "common/base/memory.h"
#include "server/http/accept.h"
#include "server/http/etag.h"
#include "server/http/range.h"
#include "server/http/url.h"
#include "tests/fuzz/fuzz.h"

#define TAG "\"0123456789abcdef\""

static void check_range(const char *header)
{
    static const uint64_t sizes[] = { 0, 1, 4096, UINT64_MAX / 2 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct range range = range_parse(header, sizes[i]);
        if (range.kind == RANGE_WHOLE)
            FUZZ_CHECK(range.offset == 0 && range.size == sizes[i]);
        if (range.kind == RANGE_PART)
            FUZZ_CHECK(range.size > 0 && range.offset < sizes[i] &&
                       range.size <= sizes[i] - range.offset);
    }
}

static void check_url(struct span target)
{
    struct url url = { 0 };

    if (url_parse(&url, target, NULL) < 0)
        return;
    FUZZ_CHECK(url.segment_count <= URL_SEGMENTS_MAX && url.query_count <= URL_QUERY_MAX);
    for (size_t i = 0; i < url.segment_count; i++)
        FUZZ_CHECK(url.segments[i].size <= target.size);
    url_release(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = memory_copy(data, size);

    FUZZ_CHECK(text != NULL);
    check_range(text);
    check_url(span_of(data, size));
    etag_none_match(text, TAG);
    etag_match(text, TAG);
    range_condition(text, TAG);
    accept_coding(text, "gzip");
    memory_free(text);
    return 0;
}
