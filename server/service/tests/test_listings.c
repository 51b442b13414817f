/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/model/meta_yaml.h"
#include "server/service/content.h"
#include "server/service/listings.h"
#include "server/service/tests/world.h"

static struct world world;
static struct sample sample;

static int setup(void **state)
{
    enum pushes_outcome outcome;

    world_open(&world, WORLD_FILE);
    sample_make(&sample, 5, 25, 10);
    return sample_push(&world, &world.caller, "p", "a", "1", &sample, &outcome, NULL, NULL, NULL);
}

static int teardown(void **state)
{
    sample_release(&sample);
    world_close(&world);
    return 0;
}

static int page(const char *prefix, uint32_t limit, const char *cursor, struct listed_page *out,
                struct refusal *why)
{
    const struct page_request request = { .limit = limit, .cursor = cursor };

    return listings_page(world.services, &world.caller.identity, "p", "a", "1", span_text(prefix),
                         &request, out, why, NULL);
}

static void test_all_entries_in_order(void **state)
{
    char cursor[CURSOR_SIZE] = "";
    struct listed_page got;
    char expected[32];
    size_t seen = 0;

    do {
        assert_int_equal(page("", 4, cursor, &got, NULL), 0);
        assert_true(got.count <= 4);
        for (size_t i = 0; i < got.count; i++, seen++) {
            const struct listed_file *item = &got.items[i];

            if (seen == 0) {
                assert_true(span_equal_text(item->path, "d"));
                assert_int_equal(item->kind, LISTED_DIRECTORY);
                assert_int_equal(item->mode, 0755);
            } else if (seen <= 25) {
                snprintf(expected, sizeof(expected), "d/f%07zu", seen - 1);
                assert_true(span_equal_text(item->path, expected));
                assert_int_equal(item->kind, LISTED_FILE);
                assert_int_equal(item->size, 10 + seen - 1);
                assert_int_equal(item->mtime_s, 1600000000 + (int64_t)seen - 1);
                assert_true(digest_equal(&item->sha256, &sample.blobs[seen - 1].sha256));
                assert_false(digest_is_zero(&item->verity));
            } else {
                assert_int_equal(item->kind, LISTED_LINK);
                assert_true(span_equal_text(item->target, "../elsewhere"));
            }
        }
        memcpy(cursor, got.next_cursor, sizeof(cursor));
        listed_page_release(&got);
    } while (cursor[0] != '\0');
    assert_int_equal(seen, 27);
}

static void test_prefixes(void **state)
{
    struct listed_page got;

    assert_int_equal(page("d", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 26);
    listed_page_release(&got);
    assert_int_equal(page("d/", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 26);
    listed_page_release(&got);
    assert_int_equal(page("d/f0000007", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 1);
    assert_true(span_equal_text(got.items[0].path, "d/f0000007"));
    assert_true(digest_equal(&got.items[0].sha256, &sample.blobs[7].sha256));
    listed_page_release(&got);
    assert_int_equal(page("d/link", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 1);
    assert_true(span_equal_text(got.items[0].target, "../elsewhere"));
    listed_page_release(&got);
    assert_int_equal(page("nothing/here", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 0);
    listed_page_release(&got);
    assert_int_equal(page("../d", 500, NULL, &got, NULL), 0);
    assert_int_equal(got.count, 0);
    listed_page_release(&got);
}

static void test_cursors_of_others(void **state)
{
    static const char *const bad[] = { "04", "0400000000", "04ffffffff0000000000000000",
                                       "0401000000ffffffffffffffff", "zz" };
    struct listed_page got;
    struct refusal why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&why, 0, sizeof(why));
        assert_int_equal(page("", 5, bad[i], &got, &why), -EINVAL);
        assert_int_equal(why.code, REFUSAL_VALIDATION);
    }
    /* The cursor of the whole list, for a part that the place does not lie in. */
    assert_int_equal(page("", 1, NULL, &got, NULL), 0);
    char cursor[CURSOR_SIZE];
    memcpy(cursor, got.next_cursor, sizeof(cursor));
    listed_page_release(&got);
    assert_int_equal(page("d", 5, cursor, &got, NULL), -EINVAL);
}

static void test_meta_yaml(void **state)
{
    cleanup(buf_release) struct buf whole = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    cleanup(record_release) struct record record;
    struct meta_yaml_totals totals;
    struct meta_stream *stream;
    struct span rest;
    uint8_t piece[1000];
    size_t size;

    for (size_t step = 1; step <= sizeof(piece); step = step * 31 + 7) {
        buf_clear(&text);
        assert_int_equal(meta_stream_open(world.services, &world.caller.identity, "p", "a",
                                          "latest", &stream, NULL, NULL),
                         0);
        do {
            assert_int_equal(meta_stream_read(stream, piece, step, &size, NULL), 0);
            assert_true(size <= step);
            buf_add(&text, piece, size);
        } while (size > 0);
        meta_stream_close(stream);
        if (whole.size == 0)
            buf_add_span(&whole, buf_span(&text));
        assert_true(span_equal(buf_span(&whole), buf_span(&text)));
    }
    rest = buf_span(&whole);
    record_init(&record);
    assert_int_equal(meta_yaml_read(source_of_span(&rest), 0, NULL, NULL, &record, &totals, NULL),
                     0);
    assert_true(digest_equal(&totals.content, &sample.content));
    assert_string_equal(record.version, "1");
    assert_int_equal(totals.file_count, 25);
    assert_int_equal(meta_stream_open(world.services, &world.caller.identity, "p", "a", "2",
                                      &stream, NULL, NULL),
                     -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_entries_in_order),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_cursors_of_others),
        cmocka_unit_test(test_meta_yaml),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
