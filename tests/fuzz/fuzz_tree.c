/* SPDX-License-Identifier: MIT */
/* Whatever the image: what was opened is walked, found and written without leaving its bytes. The
 * digests of a good image are seldom hit by chance, so the unhashed openings are walked as well. */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/tree.h"
#include "tests/fuzz/fuzz.h"

static void walk(const struct tree *tree)
{
    struct tree_walk walk;
    struct entry entry;
    uint32_t seen = 0;

    tree_walk_init(&walk, tree, TREE_ROOT);
    while (tree_walk_next(&walk, &entry)) {
        uint8_t path[PATH_MAX_SIZE];
        uint32_t index, digest_index;
        FUZZ_CHECK(entry_check(&entry, NULL) == 0 || !tree->whole);
        FUZZ_CHECK(tree_find_path(tree, entry.path, &index) == 0 && index == walk.index);
        FUZZ_CHECK(span_equal(tree_path(tree, index, path), entry.path));
        if (entry.kind == ENTRY_FILE)
            FUZZ_CHECK(tree_find_file(tree, tree_record(tree, index).digest_index) == index);
        if (entry.kind == ENTRY_FILE && tree->whole)
            FUZZ_CHECK(tree_find_sha256(tree, &entry.sha256, &digest_index) == 0);
        seen++;
    }
    FUZZ_CHECK(seen + 1 == tree->header.record_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span image = span_of(data, size);
    struct digest digest;
    uint64_t count = 0;
    struct tree tree;

    if (tree_open_names(image, &tree, NULL) == 0)
        walk(&tree);
    if (tree_open_unhashed(image, &tree, NULL) < 0)
        return 0;
    walk(&tree);
    FUZZ_CHECK(tree_write_listing(&tree, sink_to_counter(&count), &digest, NULL) == 0);
    if (tree_open(image, &tree, NULL) == 0)
        FUZZ_CHECK(digest_equal(&digest, &tree.header.content));
    return 0;
}
