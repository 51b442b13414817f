/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"

static void test_vector_layout(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct tree tree;
    struct tree_record record;
    struct error err = { 0 };
    uint32_t index;

    sample_tree_make(&sample, 0, 0);
    assert_int_equal(tree_open(buf_span(&sample.image), &tree, &err), 0);
    assert_int_equal(tree.header.record_count, 6);
    assert_int_equal(tree.header.file_count, 3);
    assert_int_equal(tree.header.bytes, 10);
    assert_int_equal(tree.header.image_size, sample.image.size);
    assert_int_equal(sample.image.size, 6 * 4096);
    assert_true(digest_equal(&tree.header.content, &sample.content));
    record = tree_record(&tree, TREE_ROOT);
    assert_int_equal(record.kind, ENTRY_DIRECTORY);
    assert_int_equal(record.mode, 0755);
    assert_int_equal(record.child_count, 3);
    assert_int_equal(record.first_child, 1);
    /* breadth first: a, a-b, n\nl, then a/b, a/l */
    assert_true(span_equal_text(tree_record(&tree, 1).name, "a"));
    assert_true(span_equal_text(tree_record(&tree, 2).name, "a-b"));
    assert_true(span_equal_text(tree_record(&tree, 3).name, "n\nl"));
    assert_true(span_equal_text(tree_record(&tree, 4).name, "b"));
    record = tree_record(&tree, 4);
    assert_int_equal(record.mtime, 1700000000);
    assert_int_equal(record.digest_index, 2);
    assert_int_equal(record.parent, 1);
    record = tree_record(&tree, 5);
    assert_int_equal(record.kind, ENTRY_LINK);
    assert_true(span_equal_text(record.target, "../a-b"));
    assert_int_equal(tree_find_path(&tree, span_text(""), &index), 0);
    assert_int_equal(index, 0);
    assert_int_equal(tree_find_path(&tree, span_text("a/l"), &index), 0);
    assert_int_equal(index, 5);
    assert_int_equal(tree_find_path(&tree, span_text("a/x"), &index), -ENOENT);
    assert_int_equal(tree_find_path(&tree, span_text("a/"), &index), -ENOENT);
    assert_int_equal(tree_find_path(&tree, span_text("/a"), &index), -ENOENT);
    assert_int_equal(tree_find_path(&tree, span_text("a//b"), &index), -ENOENT);
    assert_int_equal(tree_find_path(&tree, span_text("a-b/x"), &index), -ENOTDIR);
}

static void assert_same(const struct sample_tree *sample, const struct tree *tree)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf times = buf_init(BUF_UNLIMITED);
    struct digest digest;

    assert_int_equal(tree_write_listing(tree, sink_to_buf(&listing), &digest, NULL), 0);
    assert_true(span_equal(buf_span(&listing), buf_span(&sample->listing)));
    assert_true(digest_equal(&digest, &sample->content));
    assert_int_equal(tree_write_times(tree, sink_to_buf(&times), &digest, NULL), 0);
    assert_true(span_equal(buf_span(&times), buf_span(&sample->times)));
    assert_true(digest_equal(&digest, &sample->times_sha256));
}

static void assert_every_entry_is_found(const struct tree *tree)
{
    struct tree_walk walk, resumed;
    struct entry entry, again;
    uint64_t seen = 0;

    tree_walk_init(&walk, tree, TREE_ROOT);
    while (tree_walk_next(&walk, &entry)) {
        uint8_t path[PATH_MAX_SIZE];
        uint32_t index, digest_index;
        seen++;
        assert_int_equal(tree_find_path(tree, entry.path, &index), 0);
        assert_int_equal(index, walk.index);
        assert_true(span_equal(tree_path(tree, index, path), entry.path));
        if (entry.kind == ENTRY_FILE) {
            struct tree_record record = tree_record(tree, index);
            struct digest found;
            assert_int_equal(tree_find_sha256(tree, &entry.sha256, &digest_index), 0);
            assert_true(digest_index <= record.digest_index);
            found = tree_sha256(tree, digest_index);
            assert_true(digest_equal(&found, &entry.sha256));
            assert_int_equal(tree_find_file(tree, record.digest_index), index);
        }
        tree_walk_resume(&resumed, tree, TREE_ROOT, index);
        if (tree_walk_next(&resumed, &again)) {
            struct tree_walk next = walk;
            struct entry expected;
            assert_true(tree_walk_next(&next, &expected));
            assert_true(span_equal(expected.path, again.path));
        } else {
            assert_int_equal(seen, tree->header.record_count - 1);
        }
    }
    assert_false(tree_walk_next(&walk, &entry));
    assert_int_equal(seen, tree->header.record_count - 1);
}

static void test_random_trees(void **state)
{
    for (uint32_t seed = 1; seed <= 120; seed++) {
        cleanup(sample_tree_release) struct sample_tree sample;
        struct tree tree, names;
        struct error err = { 0 };
        struct digest absent = { { 1 } };
        uint32_t index;
        sample_tree_make(&sample, seed, seed * 5);
        assert_int_equal(tree_open(buf_span(&sample.image), &tree, &err), 0);
        assert_same(&sample, &tree);
        assert_every_entry_is_found(&tree);
        assert_int_equal(tree_find_sha256(&tree, &absent, &index), -ENOENT);
        assert_int_equal(tree_open_names(span_slice(buf_span(&sample.image), 0,
                                                    tree.header.names_part_size),
                                         &names, &err),
                         0);
        assert_false(names.whole);
        assert_int_equal(tree_open_names(span_slice(buf_span(&sample.image), 0,
                                                    tree.header.names_part_size - 1),
                                         &names, &err),
                         -EBADMSG);
    }
}

static void test_walk_of_a_part(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct tree_walk walk;
    struct tree tree;
    struct entry entry;

    sample_tree_make(&sample, 0, 0);
    assert_int_equal(tree_open(buf_span(&sample.image), &tree, NULL), 0);
    tree_walk_init(&walk, &tree, 1);
    assert_true(tree_walk_next(&walk, &entry));
    assert_true(span_equal_text(entry.path, "a/b"));
    assert_true(tree_walk_next(&walk, &entry));
    assert_true(span_equal_text(entry.path, "a/l"));
    assert_false(tree_walk_next(&walk, &entry));
    tree_walk_init(&walk, &tree, TREE_ROOT);
    assert_true(tree_walk_next(&walk, &entry));
    tree_walk_skip(&walk);
    assert_true(tree_walk_next(&walk, &entry));
    assert_true(span_equal_text(entry.path, "a-b"));
}

/* The image in a block of exactly its size, so that a sanitizer sees every read outside. */
static int open_copy(struct span image, size_t change, uint8_t flip, struct error *err)
{
    uint8_t *copy = malloc(image.size + 1);
    struct tree tree;
    int r;

    memcpy(copy, image.bytes, image.size);
    if (change < image.size)
        copy[change] ^= flip;
    r = tree_open(span_of(copy, image.size), &tree, err);
    if (tree_open_names(span_of(copy, image.size), &tree, NULL) == 0) {
        struct tree_walk walk;
        struct entry entry;
        tree_walk_init(&walk, &tree, TREE_ROOT);
        while (tree_walk_next(&walk, &entry))
            assert_int_equal(name_check_path(entry.path, NULL), 0);
    }
    free(copy);
    return r;
}

static void test_every_changed_byte_is_refused(void **state)
{
    for (uint32_t seed = 0; seed < 6; seed++) {
        cleanup(sample_tree_release) struct sample_tree sample;
        struct span image;
        struct tree tree;
        sample_tree_make(&sample, seed, 60);
        image = buf_span(&sample.image);
        assert_int_equal(tree_open(image, &tree, NULL), 0);
        for (size_t i = 0; i < image.size; i++) {
            struct error err = { 0 };
            bool verity;
            if (i > 200 && i < 4000)
                continue;
            if (image.bytes[i] == 0 && i % 16 != 0)
                continue;
            /* the image holds verity digests, but is not the judge of those of files with bytes */
            verity = i >= tree.header.digests.offset && i % 64 >= 32 &&
                     i < tree.header.digests.offset + tree.header.digests.size;
            if (verity)
                continue;
            assert_int_equal(open_copy(image, i, 1, &err), -EBADMSG);
            assert_memory_equal(err.text, "offset ", 7);
            assert_int_equal(open_copy(image, i, 0x80, NULL), -EBADMSG);
        }
        for (size_t cut = 0; cut < image.size; cut += 509)
            assert_int_equal(open_copy(span_slice(image, 0, cut), SIZE_MAX, 0, NULL), -EBADMSG);
    }
}

static void refuse_patched(struct span image, size_t offset, uint32_t value, const char *rule)
{
    uint8_t *copy = malloc(image.size);
    struct error err = { 0 };
    struct tree tree;

    memcpy(copy, image.bytes, image.size);
    bytes_set_u32(copy + offset, value);
    assert_int_equal(tree_open_names(span_of(copy, image.size), &tree, &err), -EBADMSG);
    assert_string_equal(err.text, rule);
    free(copy);
}

static void test_hostile_fields(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct span image;

    sample_tree_make(&sample, 0, 0);
    image = buf_span(&sample.image);
    refuse_patched(image, 16, 0, "offset 16: 1 to 16777217 records");
    refuse_patched(image, 16, UINT32_MAX, "offset 16: 1 to 16777217 records");
    refuse_patched(image, 16, 7, "offset 40: 32 bytes for each record");
    refuse_patched(image, 20, 6, "offset 20: fewer files than records");
    refuse_patched(image, 32, 0,
                   "offset 32: a section begins at the end of the one before, rounded up");
    refuse_patched(image, 44, 1, "offset 40: a section is larger than its records can fill");
    refuse_patched(image, 4096 + 12, UINT32_MAX,
                   "offset 4104: the runs of children follow in the order of directories");
    refuse_patched(image, 4096 + 32 + 8, 0,
                   "offset 4136: the runs of children follow in the order of directories");
    refuse_patched(image, 4096 + 32 + 8, 1,
                   "offset 4136: the runs of children follow in the order of directories");
    refuse_patched(image, 4096 + 32 + 24, 1,
                   "offset 4152: the parent is the directory whose run this is");
    refuse_patched(image, 4096 + 5 * 32 + 12, 5000,
                   "offset 4264: targets stand in record order, nothing between them");
}

/* A chain of directories whose names add up to more than a path may have. */
static void test_too_long_path(void **state)
{
    uint32_t depth = 17, name_size = 250;
    size_t names_at = 8192, targets_at = names_at + 8192;
    cleanup(buf_release) struct buf image = buf_init(BUF_UNLIMITED);
    struct error err = { 0 };
    struct tree tree;
    uint64_t sections[10] = {
        4096, (depth + 1) * 32, names_at, (uint64_t)depth * name_size, targets_at, 0, targets_at,
        0,    targets_at,       0
    };

    buf_add_zeros(&image, targets_at);
    memcpy(image.bytes, "KKATREE1", 8);
    bytes_set_u32(image.bytes + 8, 4096);
    bytes_set_u32(image.bytes + 16, depth + 1);
    for (int i = 0; i < 10; i++)
        bytes_set_u64(image.bytes + 32 + 8 * i, sections[i]);
    for (uint32_t i = 0; i <= depth; i++) {
        uint8_t *at = image.bytes + 4096 + (size_t)i * 32;
        bytes_set_u32(at, i == 0 ? 0 : (i - 1) * name_size);
        bytes_set_u16(at + 4, i == 0 ? 0 : (uint16_t)name_size);
        bytes_set_u16(at + 6, 1 << 12 | 0755);
        bytes_set_u32(at + 8, i == depth ? 0 : i + 1);
        bytes_set_u32(at + 12, i == depth ? 0 : 1);
        bytes_set_u32(at + 24, i == 0 ? 0 : i - 1);
    }
    memset(image.bytes + names_at, 'n', (size_t)depth * name_size);
    assert_int_equal(tree_open_names(buf_span(&image), &tree, &err), -EBADMSG);
    assert_string_equal(err.text, "offset 4640: a path has at most 4096 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector_layout),  cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_walk_of_a_part), cmocka_unit_test(test_every_changed_byte_is_refused),
        cmocka_unit_test(test_hostile_fields), cmocka_unit_test(test_too_long_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
