/* SPDX-License-Identifier: MIT */
#include "common/net/http_headers.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static int add_all(struct http_header_list *list, const char *const *lines, size_t count)
{
    bool end = false;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = http_header_list_add(list, span_text(lines[i]), &end, NULL);
    return r == 0 && end ? 1 : r;
}

static void lines_become_headers(void **state)
{
    static const char *const lines[] = { "HTTP/1.1 200 OK\r\n", "ETag:  \"a\" \r\n", "X-A: 1\r\n",
                                         "x-a:2\r\n",           "Empty:\r\n",        "\r\n" };
    cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();
    struct http_headers headers;

    assert_int_equal(add_all(&list, lines, 6), 1);
    assert_int_equal(list.status, 200);
    assert_int_equal(http_header_list_view(&list, &headers, NULL), 0);
    assert_int_equal(headers.count, 4);
    assert_string_equal(http_headers_get(&headers, "etag"), "\"a\"");
    assert_string_equal(http_headers_list(&headers, "X-a", 1), "2");
    assert_null(http_headers_list(&headers, "X-a", 2));
    assert_string_equal(http_headers_get(&headers, "EMPTY"), "");
    assert_null(http_headers_get(&headers, "ETa"));
    assert_null(http_headers_get(NULL, "a"));
}

static void a_status_line_begins_anew(void **state)
{
    static const char *const lines[] = { "HTTP/1.1 100 Continue\r\n", "A: b\r\n", "\r\n",
                                         "HTTP/1.1 404\r\n",          "C: d\r\n", "\r\n" };
    cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();
    struct http_headers headers;

    assert_int_equal(add_all(&list, lines, 6), 1);
    assert_int_equal(list.status, 404);
    assert_int_equal(http_header_list_view(&list, &headers, NULL), 0);
    assert_int_equal(headers.count, 1);
}

static void nonsense_is_refused(void **state)
{
    static const char *const lines[] = { "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1\r\n", " folded: x\r\n",
                                         "no colon\r\n" };
    bool end;

    for (size_t i = 0; i < 4; i++) {
        cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();

        assert_int_equal(http_header_list_add(&list, span_text(lines[i]), &end, NULL), -EIO);
    }
    cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();
    assert_int_equal(http_header_list_add(&list, span_of("a: b\0c\r\n", 8), &end, NULL), -EIO);
}

static void there_is_a_limit(void **state)
{
    cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();
    char line[1024];
    bool end;
    int r = 0, count = 0;

    memset(line, 'x', sizeof(line));
    line[1] = ':';
    while (r == 0 && count++ < 1000)
        r = http_header_list_add(&list, span_of(line, sizeof(line)), &end, NULL);
    assert_int_equal(r, -EFBIG);
    assert_true(count > 60 && count < 70);
}

static int fill(void)
{
    cleanup(http_header_list_release) struct http_header_list list = http_header_list_init();
    struct http_headers headers;
    bool end;
    int r = http_header_list_add(&list, span_text("a: b\r\n"), &end, NULL);

    return r < 0 ? r : http_header_list_view(&list, &headers, NULL);
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(fill());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_headers),  cmocka_unit_test(a_status_line_begins_anew),
        cmocka_unit_test(nonsense_is_refused),   cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
