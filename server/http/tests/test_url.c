/* SPDX-License-Identifier: MIT */
#include "server/http/url.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static void path_is_split_before_it_is_decoded(void **state)
{
    struct url url = { 0 };

    assert_int_equal(url_parse(&url, span_text("/a%2Fb/c%00d//%41+%e2%82%ac/.."), NULL), 0);
    assert_int_equal(url.segment_count, 5);
    assert_true(span_equal_text(url.segments[0], "a/b"));
    assert_true(span_equal(url.segments[1], span_of("c\0d", 3)));
    assert_int_equal(url.segments[2].size, 0);
    assert_true(span_equal_text(url.segments[3], "A+\xe2\x82\xac"));
    assert_true(span_equal_text(url.segments[4], ".."));
    url_release(&url);
}

static void root_and_trailing_slash(void **state)
{
    struct url url = { 0 };

    assert_int_equal(url_parse(&url, span_text("/"), NULL), 0);
    assert_int_equal(url.segment_count, 0);
    url_release(&url);
    assert_int_equal(url_parse(&url, span_text("/a/"), NULL), 0);
    assert_int_equal(url.segment_count, 2);
    assert_int_equal(url.segments[1].size, 0);
    url_release(&url);
}

static void query(void **state)
{
    struct url url = { 0 };
    struct span value;

    assert_int_equal(url_parse(&url, span_text("/x?a=1&b=%26%3d+z&c&&a=2&=e?f"), NULL), 0);
    assert_true(url_query(&url, "a", &value));
    assert_true(span_equal_text(value, "1"));
    assert_true(url_query(&url, "b", &value));
    assert_true(span_equal_text(value, "&= z"));
    assert_true(url_query(&url, "c", &value));
    assert_int_equal(value.size, 0);
    assert_true(url_query(&url, "", &value));
    assert_true(span_equal_text(value, "e?f"));
    assert_false(url_query(&url, "d", &value));
    for (size_t i = 0; i < url.query_count; i++)
        assert_int_equal(url.query[i].value.bytes[url.query[i].value.size], 0);
    url_release(&url);
    /* as many ends as there can be */
    assert_int_equal(url_parse(&url, span_text("/?a&b&c&d&e=&f="), NULL), 0);
    assert_int_equal(url.query_count, 6);
    for (size_t i = 0; i < url.query_count; i++) {
        assert_int_equal(url.query[i].value.size, 0);
        assert_int_equal(url.query[i].value.bytes[0], 0);
    }
    url_release(&url);
}

static void refused(void **state)
{
    static const char *const targets[] = { "",    "a",    "*",      "?a",     "/%",
                                           "/%4", "/%zz", "/a?x=%", "/a?%4=1" };
    struct error err;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct url url = { 0 };

        assert_int_equal(url_parse(&url, span_text(targets[i]), &err), -EINVAL);
        assert_null(url.decoded);
    }
}

static void limits(void **state)
{
    cleanup(buf_release) struct buf target = buf_init(BUF_UNLIMITED);
    struct url url = { 0 };

    for (int i = 0; i < URL_SEGMENTS_MAX; i++)
        buf_add_text(&target, "/a");
    assert_int_equal(url_parse(&url, buf_span(&target), NULL), 0);
    assert_int_equal(url.segment_count, URL_SEGMENTS_MAX);
    url_release(&url);
    buf_add_text(&target, "/a");
    assert_int_equal(url_parse(&url, buf_span(&target), NULL), -EFBIG);

    buf_clear(&target);
    buf_add_text(&target, "/?");
    for (int i = 0; i <= URL_QUERY_MAX; i++)
        buf_add_text(&target, "a&");
    assert_int_equal(url_parse(&url, buf_span(&target), NULL), -EFBIG);
}

static int parse_once(void)
{
    struct url url = { 0 };
    int r = url_parse(&url, span_text("/a/b?c=d"), NULL);

    url_release(&url);
    return r;
}

static void no_memory(void **state)
{
    assert_survives_no_memory(parse_once());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_is_split_before_it_is_decoded),
        cmocka_unit_test(root_and_trailing_slash),
        cmocka_unit_test(query),
        cmocka_unit_test(refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
