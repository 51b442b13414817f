/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/model/entry.h"

static struct entry directory(const char *path)
{
    return (struct entry){ .kind = ENTRY_DIRECTORY, .mode = 0755, .path = span_text(path) };
}

static struct entry file(const char *path, uint64_t size)
{
    struct entry entry = {
        .kind = ENTRY_FILE, .mode = 0644, .path = span_text(path), .size = size
    };

    entry.sha256 = entry_empty_sha256;
    if (size > 0)
        entry.sha256.bytes[0] ^= 1;
    return entry;
}

static struct entry link_to(const char *path, const char *target)
{
    return (
        struct entry){ .kind = ENTRY_LINK, .path = span_text(path), .target = span_text(target) };
}

static int compare(const char *a, const char *b)
{
    return entry_compare_paths(span_text(a), span_text(b));
}

static void test_order(void **state)
{
    assert_true(compare("a", "a") == 0);
    assert_true(compare("a", "a/b") < 0);
    assert_true(compare("a/b", "a-b") < 0);
    assert_true(compare("a-b", "a/b") > 0);
    assert_true(compare("a\x01", "a/b") > 0);
    assert_true(compare("a", "\xff") < 0);
    assert_true(compare("ab", "b") < 0);
    assert_true(compare("a/z", "aa") < 0);
}

static void test_single_rules(void **state)
{
    struct digest empty = digest_of("", 0);
    struct entry entry = file("a", 0);

    assert_true(digest_equal(&empty, &entry_empty_sha256));
    assert_int_equal(entry_check(&entry, NULL), 0);
    entry.size = 1;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = file("a", 3);
    assert_int_equal(entry_check(&entry, NULL), 0);
    entry.size = 0;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = file("a", ENTRY_MAX_SIZE);
    assert_int_equal(entry_check(&entry, NULL), 0);
    entry.size++;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = file("a", 1);
    entry.mode = 01000;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = directory("a");
    entry.mtime = ENTRY_MAX_TIME + 1;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry.mtime = -ENTRY_MAX_TIME;
    assert_int_equal(entry_check(&entry, NULL), 0);
    entry = link_to("a", "b");
    assert_int_equal(entry_check(&entry, NULL), 0);
    entry.mtime = 1;
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = link_to("a", "");
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
    entry = (struct entry){ .path = span_text("a") };
    assert_int_equal(entry_check(&entry, NULL), -EINVAL);
}

static int feed(struct entry_order *order, struct entry entry)
{
    struct error err = { 0 };
    int r = entry_order_next(order, &entry, &err);

    assert_int_equal(err.code, r);
    return r;
}

static void test_between_entries(void **state)
{
    struct entry_order order;

    entry_order_init(&order);
    assert_int_equal(feed(&order, file("a/b", 1)), -EINVAL);
    assert_int_equal(feed(&order, directory("a")), 0);
    assert_int_equal(feed(&order, directory("a")), -EINVAL);
    assert_int_equal(feed(&order, directory("a/b")), 0);
    assert_int_equal(feed(&order, file("a/b/c", 7)), 0);
    assert_int_equal(feed(&order, file("a/b/c/d", 1)), -EINVAL);
    assert_int_equal(feed(&order, file("a/c", 1)), 0);
    assert_int_equal(feed(&order, file("a/b/d", 1)), -EINVAL);
    assert_int_equal(feed(&order, link_to("a/l", "t")), 0);
    assert_int_equal(feed(&order, file("a/l/x", 1)), -EINVAL);
    assert_int_equal(feed(&order, file("a/ll/x", 1)), -EINVAL);
    assert_int_equal(feed(&order, file("ab/x", 1)), -EINVAL);
    assert_int_equal(feed(&order, directory("ab")), 0);
    assert_int_equal(feed(&order, file("ab/x", 1)), 0);
    assert_int_equal(feed(&order, file("a", 1)), -EINVAL);
    assert_int_equal(order.count, 7);
    assert_int_equal(order.file_count, 3);
    assert_int_equal(order.bytes, 9);
    assert_int_equal(order.target_bytes, 1);
}

static void test_sums(void **state)
{
    struct entry_order order;

    entry_order_init(&order);
    assert_int_equal(feed(&order, file("a", ENTRY_MAX_SIZE - 1)), 0);
    assert_int_equal(feed(&order, file("b", 2)), -EINVAL);
    assert_int_equal(feed(&order, file("b", 1)), 0);
    order.target_bytes = ENTRY_MAX_TARGETS;
    assert_int_equal(feed(&order, link_to("c", "x")), -EINVAL);
    order.count = ENTRY_MAX_COUNT;
    assert_int_equal(feed(&order, directory("d")), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_single_rules),
        cmocka_unit_test(test_between_entries),
        cmocka_unit_test(test_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
