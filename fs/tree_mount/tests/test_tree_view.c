/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/tree_view.h"

#include <errno.h>
#include <string.h>

#include "common/model/tests/sample_tree.h"
#include "tests/support/unit.h"

struct shown {
    struct sample_tree sample;
    struct tree tree;
    struct tree_view view;
};

static void make(struct shown *shown, uint32_t seed, uint32_t count)
{
    sample_tree_make(&shown->sample, seed, count);
    assert_int_equal(tree_open_names(buf_span(&shown->sample.image), &shown->tree, NULL), 0);
    shown->view = tree_view_of(&shown->tree, 1234, 77);
}

static uint64_t find(const struct tree_view *view, uint64_t parent, const char *name)
{
    uint64_t index = UINT64_MAX;

    assert_int_equal(tree_view_find(view, parent, span_text(name), &index), 0);
    return index;
}

static struct tree_node node_at(const struct tree_view *view, uint64_t index)
{
    struct tree_node node;

    assert_int_equal(tree_view_node(view, index, &node), 0);
    return node;
}

static void the_tree_is_shown_as_it_is(void **state)
{
    struct shown shown;
    struct tree_node node;
    uint64_t a, index;

    make(&shown, 0, 0);
    a = find(&shown.view, TREE_ROOT, "a");
    node = node_at(&shown.view, a);
    assert_int_equal(node.kind, ENTRY_DIRECTORY);
    assert_int_equal(node.mode, 0755);
    assert_int_equal(node.link_count, 2);
    node = node_at(&shown.view, find(&shown.view, a, "b"));
    assert_int_equal(node.kind, ENTRY_FILE);
    assert_int_equal(node.size, 5);
    assert_int_equal(node.mode, 0644);
    assert_int_equal(node.parent, a);
    node = node_at(&shown.view, find(&shown.view, a, "l"));
    assert_int_equal(node.kind, ENTRY_LINK);
    assert_int_equal(node.mode, 0777);
    assert_int_equal(node.size, 6);
    assert_true(span_equal_text(node.target, "../a-b"));
    assert_int_equal(tree_view_find(&shown.view, TREE_ROOT, span_text("b"), &index), -ENOENT);
    assert_int_equal(tree_view_find(&shown.view, find(&shown.view, a, "b"), span_text("x"), &index),
                     -ENOTDIR);
    sample_tree_release(&shown.sample);
}

static void the_manifest_stands_beside_it(void **state)
{
    struct shown shown;
    struct tree_node node;
    uint64_t ours, index;

    make(&shown, 0, 0);
    ours = find(&shown.view, TREE_ROOT, ".kkartifact");
    node = node_at(&shown.view, ours);
    assert_int_equal(node.kind, ENTRY_DIRECTORY);
    assert_int_equal(node.parent, TREE_ROOT);
    node = node_at(&shown.view, find(&shown.view, ours, "meta.yaml"));
    assert_true(node.is_manifest);
    assert_int_equal(node.size, 1234);
    assert_int_equal(node.mtime, 77);
    assert_int_equal(node.parent, ours);
    node = node_at(&shown.view, find(&shown.view, TREE_ROOT, "meta.yaml"));
    assert_true(node.is_manifest);
    assert_int_equal(node.parent, TREE_ROOT);
    assert_int_equal(tree_view_find(&shown.view, ours, span_text("other"), &index), -ENOENT);
    assert_int_equal(tree_view_find(&shown.view, find(&shown.view, ours, "meta.yaml"),
                                    span_text("x"), &index),
                     -ENOTDIR);
    sample_tree_release(&shown.sample);
}

/* Every index is reached by exactly one way, its name finds it, and ".." leads back. */
static void walk(const struct tree_view *view, uint64_t directory, uint32_t *seen, uint32_t *links)
{
    struct span name;
    uint64_t index;

    *links = 2;
    for (uint64_t at = 0; tree_view_child(view, directory, at, &index, &name); at++) {
        struct tree_node node = node_at(view, index);
        uint64_t found = UINT64_MAX;
        uint32_t inner;
        (*seen)++;
        assert_int_equal(node.parent, directory);
        assert_int_equal(tree_view_find(view, directory, name, &found), 0);
        assert_int_equal(found, index);
        if (node.kind == ENTRY_DIRECTORY) {
            (*links)++;
            walk(view, index, seen, &inner);
            assert_int_equal(node.link_count, inner);
        } else {
            assert_false(tree_view_child(view, index, 0, &found, &name));
        }
    }
}

static void every_node_has_one_place(void **state)
{
    for (uint32_t seed = 0; seed < 30; seed++) {
        struct shown shown;
        struct tree_node node;
        uint32_t seen = 1, links = 0;
        make(&shown, seed, 200);
        walk(&shown.view, TREE_ROOT, &seen, &links);
        assert_int_equal(seen, shown.view.count);
        assert_int_equal(node_at(&shown.view, TREE_ROOT).link_count, links);
        assert_int_equal(tree_view_node(&shown.view, shown.view.count, &node), -ENOENT);
        assert_int_equal(tree_view_node(&shown.view, UINT64_MAX, &node), -ENOENT);
        sample_tree_release(&shown.sample);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_shown_as_it_is),
        cmocka_unit_test(the_manifest_stands_beside_it),
        cmocka_unit_test(every_node_has_one_place),
    };

    return cmocka_run_group_tests_name("tree_view", tests, NULL, NULL);
}
