/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/manifest_text.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/model/meta_yaml.h"
#include "common/model/record.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "tests/support/unit.h"

static void make_record(struct record *record, const struct sample_tree *sample)
{
    record_init(record);
    assert_int_equal(record_set_names(record, span_text("demo"), span_text("web"), span_text("1.0"),
                                      NULL),
                     0);
    record->has_content = true;
    record->content = sample->content;
}

static void add_all(struct buf *out, const struct record *record, const struct tree *names,
                    const struct tree *whole)
{
    struct tree_walk walk;
    struct entry entry;

    manifest_text_head(out, record, names);
    tree_walk_init(&walk, names, TREE_ROOT);
    while (tree_walk_next(&walk, &entry)) {
        struct digest verity = { { 0 } };
        if (entry.kind == ENTRY_FILE) {
            uint32_t index = tree_record(names, walk.index).digest_index;
            entry.sha256 = tree_sha256(whole, index);
            verity = tree_verity(whole, index);
        }
        manifest_text_entry(out, &entry, &verity);
    }
}

static void same_bytes_as_of_a_whole_image(void **state)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct buf expected = buf_init(BUF_UNLIMITED), got = buf_init(BUF_UNLIMITED);
        struct sample_tree sample;
        struct tree whole, names;
        struct record record;
        uint64_t size = 0;
        sample_tree_make(&sample, seed, 150);
        make_record(&record, &sample);
        assert_int_equal(tree_open(buf_span(&sample.image), &whole, NULL), 0);
        assert_int_equal(tree_open_names(span_slice(buf_span(&sample.image), 0,
                                                    whole.header.names_part_size),
                                         &names, NULL),
                         0);
        assert_int_equal(meta_yaml_write(&record, &whole, sink_to_buf(&expected), NULL), 0);
        add_all(&got, &record, &names, &whole);
        assert_int_equal(got.size, expected.size);
        assert_memory_equal(got.bytes, expected.bytes, got.size);
        assert_int_equal(manifest_text_size(&record, &names, &size, NULL), 0);
        assert_int_equal(size, expected.size);
        buf_release(&expected);
        buf_release(&got);
        record_release(&record);
        sample_tree_release(&sample);
    }
}

static struct tree small;
static struct record small_record;

static int measure(void)
{
    uint64_t size;

    return manifest_text_size(&small_record, &small, &size, NULL);
}

static void survives_no_memory(void **state)
{
    struct sample_tree sample;

    sample_tree_make(&sample, 0, 0);
    make_record(&small_record, &sample);
    assert_int_equal(tree_open_names(buf_span(&sample.image), &small, NULL), 0);
    assert_survives_no_memory(measure());
    record_release(&small_record);
    sample_tree_release(&sample);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_as_of_a_whole_image),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("manifest_text", tests, NULL, NULL);
}
