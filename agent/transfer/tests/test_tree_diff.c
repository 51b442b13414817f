/* SPDX-License-Identifier: MIT */
#include "agent/transfer/tree_diff.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/change.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "tests/support/place.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(scan, scan_free);

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

static int some_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                       struct error *err)
{
    *out = (struct digest){ { 7 } };
    return 0;
}

/* The lines of a listing, '|' for NUL. */
static void make_tree(const char *const *lines, struct buf *out)
{
    static const char listing_head[] = "kkartifact-listing-1", times_head[] = "kkartifact-times-1";
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf times = buf_init(BUF_UNLIMITED);
    struct digest verity;
    uint64_t size;

    buf_add(&listing, listing_head, sizeof(listing_head));
    buf_add(&times, times_head, sizeof(times_head));
    for (; *lines != NULL; lines++) {
        for (const char *c = *lines; *c != '\0'; c++)
            buf_add_byte(&listing, *c == '|' ? 0 : (uint8_t)*c);
        buf_add_byte(&listing, 0);
        buf_add_u64(&times, 0);
    }
    assert_int_equal(tree_build(buf_span(&listing), buf_span(&times), some_verity, NULL,
                                sink_to_buf(out), &verity, &size, NULL),
                     0);
}

static int make_list(const struct buf *from, const struct buf *to, struct change_list *list)
{
    struct tree left, right;
    int r;

    change_list_release(list);
    *list = change_list_init();
    assert_int_equal(tree_open(buf_span(from), &left, NULL), 0);
    assert_int_equal(tree_open(buf_span(to), &right, NULL), 0);
    r = tree_diff(&left, &right, list, NULL);
    return r < 0 ? r : change_list_end(list, NULL);
}

static void write_list(const struct change_list *list, struct buf *out)
{
    for (size_t i = 0; i < change_list_count(list); i++) {
        struct change change = change_list_at(list, i);
        buf_format(out, "%c", change_letter(&change));
        buf_add_span(out, change.path);
        buf_format(out, "%x ", change.what);
    }
}

static void assert_diff(const char *const *from, const char *const *to, const char *expected)
{
    cleanup(buf_release) struct buf left = buf_init(BUF_UNLIMITED), right = left, text = left;
    cleanup(change_list_release) struct change_list list = change_list_init();

    make_tree(from, &left);
    make_tree(to, &right);
    assert_survives_no_memory(make_list(&left, &right, &list));
    write_list(&list, &text);
    assert_string_equal(buf_text(&text), expected);
}

static const char *const first[] = { "d 0755 a",
                                     "f 0644 5 " ONE " a/b",
                                     "f 0644 5 " ONE " a/c",
                                     "l a/l|there",
                                     "f 0644 5 " ONE " a-b",
                                     "d 0755 z",
                                     "f 0644 5 " ONE " z/z",
                                     NULL };
static const char *const second[] = { "d 0700 a",
                                      "f 0755 5 " TWO " a/b",
                                      "f 0600 5 " ONE " a/c",
                                      "l a/l|elsewhere",
                                      "f 0644 5 " ONE " a-b",
                                      "f 0644 5 " ONE " n",
                                      "l z|n",
                                      NULL };

static void every_difference(void **state)
{
    assert_diff(first, second, "Pa8 Ma/ba Pa/c8 Ma/l4 An0 Tz1 Dz/z0 ");
    assert_diff(second, first, "Pa8 Ma/ba Pa/c8 Ma/l4 Dn0 Tz1 Az/z0 ");
}

static void nothing_differs(void **state)
{
    static const char *const empty[] = { NULL };

    assert_diff(first, first, "");
    assert_diff(empty, empty, "");
    assert_diff(empty, second + 6, "Az0 ");
    assert_diff(second + 6, empty, "Dz0 ");
}

static void hash_nothing(void *context, struct scan_entry *entry)
{
    memset(&entry->sha256, 0x11, sizeof(entry->sha256)); /* ONE */
}

static int compare_scan(struct place *place, const struct buf *from, struct change_list *list)
{
    cleanup(cleanup_scan) struct scan *scan = NULL;
    struct transfer transfer = { 0 };
    struct scan_options options = { .transfer = &transfer,
                                    .root = place->at,
                                    .on_unknown = hash_nothing };
    struct tree tree;
    int r = scan_new(&scan, NULL);

    change_list_release(list);
    *list = change_list_init();
    if (r == 0)
        r = scan_run(scan, &options, NULL);
    if (r < 0)
        return r;
    if (from != NULL)
        assert_int_equal(tree_open(buf_span(from), &tree, NULL), 0);
    r = tree_diff_scan(from != NULL ? &tree : NULL, scan, list, NULL);
    return r < 0 ? r : change_list_end(list, NULL);
}

static void a_scan_on_the_right(void **state)
{
    static const char *const lines[] = { "d 0755 a", "f 0644 5 " ONE " a/b", "f 0644 5 " TWO " a/c",
                                         "l x|there", NULL };
    struct place *place = *state;
    cleanup(buf_release) struct buf left = buf_init(BUF_UNLIMITED), text = left;
    cleanup(change_list_release) struct change_list list = change_list_init();

    make_tree(lines, &left);
    place_put(place, "a/b", "hello");
    place_put(place, "a/c", "hello");
    place_put(place, "z", "hello");
    assert_int_equal(directory_set_mode(place->at, "a", 0755, NULL), 0);
    assert_survives_no_memory(compare_scan(place, &left, &list));
    write_list(&list, &text);
    assert_string_equal(buf_text(&text), "Ma/c2 Dx0 Az0 ");
    assert_survives_no_memory(compare_scan(place, NULL, &list));
    buf_clear(&text);
    write_list(&list, &text);
    assert_string_equal(buf_text(&text), "Aa0 Aa/b0 Aa/c0 Az0 ");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_difference),
        cmocka_unit_test(nothing_differs),
        IN_A_PLACE(a_scan_on_the_right),
    };

    return cmocka_run_group_tests_name("tree_diff", tests, NULL, NULL);
}
