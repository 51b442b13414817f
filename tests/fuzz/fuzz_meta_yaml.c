/* SPDX-License-Identifier: MIT */
/* A manifest that is taken gives entries that make the listing it says. */
#include "common/base/cleanup.h"
#include "common/model/listing.h"
#include "common/model/meta_yaml.h"
#include "tests/fuzz/fuzz.h"

static int copy_entry(void *context, const struct entry *entry, bool made,
                      const struct digest *verity, struct error *err)
{
    return listing_writer_add(context, entry, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(record_release) struct record record = { .has_content = false };
    struct span rest = span_of(data, size);
    struct meta_yaml_totals totals;
    struct listing_totals written;
    struct listing_writer writer;
    uint64_t count = 0;

    FUZZ_CHECK(listing_writer_init(&writer, sink_to_counter(&count), NULL) == 0);
    if (meta_yaml_read(source_of_span(&rest), 0, copy_entry, &writer, &record, &totals, NULL) < 0)
        return 0;
    FUZZ_CHECK(listing_writer_end(&writer, &written, NULL) == 0);
    FUZZ_CHECK(digest_equal(&totals.content, &written.content));
    FUZZ_CHECK(totals.count == written.count && totals.bytes == written.bytes);
    return 0;
}
