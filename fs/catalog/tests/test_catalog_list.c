/* SPDX-License-Identifier: MIT */
#include "fs/catalog/catalog_list.h"

#include <errno.h>
#include <string.h>

#include "tests/support/unit.h"

/* Nodes in the order of arrival, whatever the names. */
static int number_by_order(void *context, const struct catalog_item *item, uint64_t *out_node)
{
    uint64_t *next = context;

    *out_node = (*next)--;
    return 0;
}

static int refuse(void *context, const struct catalog_item *item, uint64_t *out_node)
{
    return -ENOSPC;
}

static struct catalog_list *three(uint64_t first)
{
    struct catalog_list *list = catalog_list_new();
    struct digest tree = { { 7 } };

    assert_non_null(list);
    assert_int_equal(catalog_list_add(list, "b", 5, &tree), 0);
    assert_int_equal(catalog_list_add(list, "a", 0, NULL), 0);
    assert_int_equal(catalog_list_add(list, "c", 0, NULL), 0);
    assert_int_equal(catalog_list_add(list, "a", 9, NULL), 0); /* twice: once */
    assert_int_equal(catalog_list_seal(list, number_by_order, &first, 42), 0);
    return list;
}

static void names_are_found(void **state)
{
    struct catalog_list *list = three(10);

    assert_int_equal(catalog_list_count(list), 3);
    assert_int_equal(catalog_list_changed_ns(list), 42);
    assert_int_equal(catalog_list_find(list, "b")->node, 10);
    assert_true(catalog_list_find(list, "b")->is_version);
    assert_int_equal(catalog_list_find(list, "b")->tree.bytes[0], 7);
    assert_int_equal(catalog_list_find(list, "a")->node, 9);
    assert_null(catalog_list_find(list, "d"));
    assert_null(catalog_list_find(list, ""));
    catalog_list_unref(list);
}

static void a_walk_goes_by_node(void **state)
{
    struct catalog_list *list = three(10);
    const struct catalog_item *item = NULL;
    char seen[4] = "";
    uint64_t at = 0;

    for (size_t i = 0; (item = catalog_list_after(list, at)) != NULL; i++) {
        seen[i] = item->name[0];
        at = item->node;
    }
    assert_string_equal(seen, "cab");
    catalog_list_unref(list);
}

static void equal_lists_have_equal_nodes(void **state)
{
    struct catalog_list *one = three(10), *two = three(10), *other = three(11);

    assert_true(catalog_list_equal(one, two));
    assert_false(catalog_list_equal(one, other));
    catalog_list_unref(one);
    catalog_list_unref(two);
    catalog_list_unref(other);
}

static void a_name_without_a_node_is_a_failure(void **state)
{
    struct catalog_list *list = catalog_list_new();

    assert_int_equal(catalog_list_add(list, "x", 0, NULL), 0);
    assert_int_equal(catalog_list_seal(list, refuse, NULL, 1), -ENOSPC);
    catalog_list_unref(list);
}

static int use(void)
{
    struct catalog_list *list = catalog_list_new();
    uint64_t next = 100;
    int r = list == NULL ? -ENOMEM : 0;

    for (int i = 0; r == 0 && i < 40; i++) {
        char name[3] = { 'a', (char)('A' + i), 0 };
        r = catalog_list_add(list, name, 0, NULL);
    }
    if (r == 0)
        r = catalog_list_seal(list, number_by_order, &next, 1);
    catalog_list_unref(list);
    return r;
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(use());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(a_walk_goes_by_node),
        cmocka_unit_test(equal_lists_have_equal_nodes),
        cmocka_unit_test(a_name_without_a_node_is_a_failure),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("catalog_list", tests, NULL, NULL);
}
