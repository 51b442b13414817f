/* SPDX-License-Identifier: MIT */
/* Whatever a declared list says: it names files of the tree, and so many at most. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/entry.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/prefetch_list.h"
#include "common/model/times.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    const struct tree *tree;
    size_t count;
};

static int note(void *context, uint32_t index)
{
    struct seen *seen = context;

    FUZZ_CHECK(index < seen->tree->header.record_count);
    FUZZ_CHECK(tree_record(seen->tree, index).kind == ENTRY_FILE);
    seen->count++;
    return 0;
}

static int no_bytes(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                    struct error *err)
{
    *out = merkle_empty_verity;
    return 0;
}

/* a/, a/b, a/c/, a/c/d, e -> a, f */
static void make_tree(struct buf *image)
{
    static const struct {
        const char *path;
        enum entry_kind kind;
    } entries[] = {
        { "a", ENTRY_DIRECTORY }, { "a/b", ENTRY_FILE }, { "a/c", ENTRY_DIRECTORY },
        { "a/c/d", ENTRY_FILE },  { "e", ENTRY_LINK },   { "f", ENTRY_FILE },
    };
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf times = buf_init(BUF_UNLIMITED);
    struct listing_writer listing_writer;
    struct times_writer times_writer;
    struct listing_totals totals;
    struct digest digest;
    uint64_t size;

    FUZZ_CHECK(listing_writer_init(&listing_writer, sink_to_buf(&listing), NULL) == 0);
    FUZZ_CHECK(times_writer_init(&times_writer, sink_to_buf(&times), NULL) == 0);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        struct entry entry = { .kind = entries[i].kind, .path = span_text(entries[i].path) };

        if (entry.kind == ENTRY_FILE)
            entry.sha256 = entry_empty_sha256;
        if (entry.kind == ENTRY_LINK)
            entry.target = span_text("a");
        FUZZ_CHECK(listing_writer_add(&listing_writer, &entry, NULL) == 0);
        FUZZ_CHECK(times_writer_add(&times_writer, 0, NULL) == 0);
    }
    FUZZ_CHECK(listing_writer_end(&listing_writer, &totals, NULL) == 0);
    FUZZ_CHECK(times_writer_end(&times_writer, &digest, NULL) == 0);
    FUZZ_CHECK(tree_build(buf_span(&listing), buf_span(&times), no_bytes, NULL, sink_to_buf(image),
                          &digest, &size, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf image = buf_init(BUF_UNLIMITED);
    struct seen seen = { 0 };
    struct tree tree;

    make_tree(&image);
    FUZZ_CHECK(tree_open_names(buf_span(&image), &tree, NULL) == 0);
    seen.tree = &tree;
    FUZZ_CHECK(prefetch_list_read(span_of(data, size), &tree, note, &seen, NULL) == 0);
    FUZZ_CHECK(seen.count <= PREFETCH_LIST_FILES_MAX && seen.count <= 3 * size);
    return 0;
}
