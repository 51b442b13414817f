/* SPDX-License-Identifier: MIT */
#include "common/model/prefetch_list.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/span.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "tests/support/unit.h"

static const struct sample_entry entries[] = {
    { PREFETCH_LIST_NAME, 50, 1 }, { "bin/", 0, 0 },  { "bin/app", 5, 2 },
    { "bin/with space", 6, 3 },    { "lib/", 0, 0 },  { "lib/deep/", 0, 0 },
    { "lib/deep/x", 7, 4 },        { "lib/y", 8, 5 }, { "z", 9, 6 },
};

struct seen {
    const struct tree *tree;
    struct buf text;
    size_t count;
    int result;
};

static int note(void *context, uint32_t index)
{
    struct seen *seen = context;
    uint8_t path[PATH_MAX_SIZE];

    buf_add_span(&seen->text, tree_path(seen->tree, index, path));
    buf_add_byte(&seen->text, '|');
    seen->count++;
    return seen->result;
}

static int read_text(const char *text, size_t size, struct seen *seen)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct tree tree;

    sample_tree_make_of(&sample, entries, sizeof(entries) / sizeof(entries[0]));
    assert_int_equal(tree_open_names(buf_span(&sample.image), &tree, NULL), 0);
    seen->tree = &tree;
    seen->count = 0;
    seen->text = buf_init(BUF_UNLIMITED);
    return prefetch_list_read(span_of(text, size), &tree, note, seen, NULL);
}

static void expect(const char *text, const char *files)
{
    struct seen seen = { .result = 0 };

    assert_int_equal(read_text(text, strlen(text), &seen), 0);
    assert_string_equal(buf_text(&seen.text), files);
    buf_release(&seen.text);
}

static void paths_come_in_their_order(void **state)
{
    expect("z\nbin/app\nlib/y\n", "z|bin/app|lib/y|");
    expect("z", "z|");
    expect("/bin/app\r\n  lib/y\t\nbin/with space\n", "bin/app|lib/y|bin/with space|");
    expect("z\nz\n", "z|z|");
}

static void a_directory_is_all_below_it(void **state)
{
    expect("lib\nz", "lib/deep/x|lib/y|z|");
    expect("lib/deep/\n", "lib/deep/x|");
    expect("/", ".kkartifact-prefetch|bin/app|bin/with space|lib/deep/x|lib/y|z|");
    expect(".", ".kkartifact-prefetch|bin/app|bin/with space|lib/deep/x|lib/y|z|");
}

static void what_names_nothing_is_passed_over(void **state)
{
    expect("# a comment\n  # another\n\n \nz\n", "z|");
    expect("../z\nbin/../z\n./z\nbin//app\nabsent\nz/x\n..\n", "");
    expect("\xff\xfe\n", "");
    expect("", "");
}

static void a_nul_ends_no_line(void **state)
{
    struct seen seen = { .result = 0 };

    assert_int_equal(read_text("z\0\nlib/y\0x\nbin/app\n", 20, &seen), 0);
    assert_string_equal(buf_text(&seen.text), "bin/app|");
    buf_release(&seen.text);
}

static void a_hostile_list_has_an_end(void **state)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct seen seen = { .result = 0 };

    for (size_t i = 0; i < PREFETCH_LIST_LINES_MAX + 5; i++)
        buf_add_text(&text, "z\n");
    assert_int_equal(read_text(buf_text(&text), text.size, &seen), 0);
    assert_int_equal(seen.count, PREFETCH_LIST_LINES_MAX);
    buf_release(&seen.text);
    buf_clear(&text);
    while (text.size < PREFETCH_LIST_SIZE_MAX)
        buf_add_byte(&text, 'a');
    buf_add_text(&text, "\nz\n");
    assert_int_equal(read_text(buf_text(&text), text.size, &seen), 0);
    assert_int_equal(seen.count, 0);
    buf_release(&seen.text);
}

/* Each line names all of a tree of 200 files: 4,096 lines would be 819,200. */
static void directories_over_and_over_have_an_end(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct seen seen = { .result = 0 };
    struct tree tree;

    sample_tree_make(&sample, 7, 200);
    assert_int_equal(tree_open_names(buf_span(&sample.image), &tree, NULL), 0);
    assert_true(tree.header.file_count > 20);
    for (size_t i = 0; i < PREFETCH_LIST_LINES_MAX; i++)
        buf_add_text(&text, "/\n");
    seen.tree = &tree;
    seen.text = buf_init(0);
    assert_int_equal(prefetch_list_read(buf_span(&text), &tree, note, &seen, NULL), 0);
    assert_true(seen.count <= PREFETCH_LIST_FILES_MAX);
    assert_true(seen.count > tree.header.file_count);
}

static void its_reader_may_stop(void **state)
{
    struct seen seen = { .result = -ECANCELED };

    assert_int_equal(read_text("z\nbin/app\n", 10, &seen), -ECANCELED);
    assert_int_equal(seen.count, 1);
    buf_release(&seen.text);
    seen.result = 3;
    assert_int_equal(read_text("lib\nz\n", 6, &seen), 3);
    assert_int_equal(seen.count, 1);
    buf_release(&seen.text);
}

static int find(const struct sample_entry *of, size_t count, uint32_t *out_index)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct tree tree;

    sample_tree_make_of(&sample, of, count);
    assert_int_equal(tree_open_names(buf_span(&sample.image), &tree, NULL), 0);
    return prefetch_list_find(&tree, out_index);
}

static void it_is_a_file_at_the_top(void **state)
{
    static const struct sample_entry directory[] = { { PREFETCH_LIST_NAME "/", 0, 0 } };
    static const struct sample_entry huge[] = { { PREFETCH_LIST_NAME, PREFETCH_LIST_SIZE_MAX + 1,
                                                  1 } };
    static const struct sample_entry empty[] = { { PREFETCH_LIST_NAME, 0, 1 } };
    static const struct sample_entry below[] = { { "d/", 0, 0 },
                                                 { "d/" PREFETCH_LIST_NAME, 3, 1 } };
    uint32_t index = 0;

    assert_int_equal(find(entries, sizeof(entries) / sizeof(entries[0]), &index), 0);
    assert_int_equal(index, 1);
    assert_int_equal(find(directory, 1, &index), -ENOENT);
    assert_int_equal(find(huge, 1, &index), -ENOENT);
    assert_int_equal(find(empty, 1, &index), -ENOENT);
    assert_int_equal(find(below, 2, &index), -ENOENT);
}

static int read_one(const struct tree *tree, struct seen *seen)
{
    seen->tree = tree;
    return prefetch_list_read(span_text("z"), tree, note, seen, NULL);
}

static void without_memory(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    struct seen seen = { .text = buf_init(0) };
    struct tree tree;

    sample_tree_make_of(&sample, entries, sizeof(entries) / sizeof(entries[0]));
    assert_int_equal(tree_open_names(buf_span(&sample.image), &tree, NULL), 0);
    assert_survives_no_memory(read_one(&tree, &seen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_come_in_their_order),
        cmocka_unit_test(a_directory_is_all_below_it),
        cmocka_unit_test(what_names_nothing_is_passed_over),
        cmocka_unit_test(a_nul_ends_no_line),
        cmocka_unit_test(a_hostile_list_has_an_end),
        cmocka_unit_test(directories_over_and_over_have_an_end),
        cmocka_unit_test(its_reader_may_stop),
        cmocka_unit_test(it_is_a_file_at_the_top),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
