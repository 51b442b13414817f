/* SPDX-License-Identifier: MIT */
/* Both readers of listings agree; what they take is written again to the byte. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/listing.h"
#include "tests/fuzz/fuzz.h"

static int copy_entry(void *context, const struct entry *entry, struct error *err)
{
    return listing_writer_add(context, entry, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct listing_totals totals, streamed, written;
    struct listing_reader *reader = NULL;
    struct listing_writer writer;
    struct error err = { 0 }, again = { 0 };
    int r = listing_check(span_of(data, size), &totals, &err), s;

    FUZZ_CHECK(listing_writer_init(&writer, sink_to_buf(&out), NULL) == 0);
    FUZZ_CHECK(listing_reader_new(&reader, copy_entry, &writer, NULL) == 0);
    s = 0;
    for (size_t at = 0, piece = 1; s == 0 && at < size; at += piece, piece = piece * 3 % 97 + 1) {
        struct span part = span_slice(span_of(data, size), at, piece);
        s = listing_reader_feed(reader, part.bytes, part.size, &again);
    }
    if (s == 0)
        s = listing_reader_end(reader, &streamed, &again);
    listing_reader_free(reader);
    FUZZ_CHECK(r == s);
    if (r < 0) {
        FUZZ_CHECK(strcmp(err.text, again.text) == 0);
        return 0;
    }
    FUZZ_CHECK(digest_equal(&totals.content, &streamed.content));
    FUZZ_CHECK(listing_writer_end(&writer, &written, NULL) == 0);
    FUZZ_CHECK(span_equal(buf_span(&out), span_of(data, size)));
    return 0;
}
