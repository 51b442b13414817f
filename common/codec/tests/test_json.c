/* SPDX-License-Identifier: MIT */
#include "common/codec/json.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json_check.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(json, json_free);

static void reading(void **state)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *root, *list;
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;

    assert_int_equal(
        json_parse(span_text(" {\"a\": \"x\\u00e9\\ud83d\\ude00\", \"n\": -9007199254740991, "
                             "\"l\": [1, true, null, {}], \"z\": null} "),
                   &json, NULL),
        0);
    root = json_root(json);
    assert_true(json_is_object(root));
    assert_int_equal(json_member_text(root, "a", &text, NULL), 0);
    assert_string_equal(text, "x\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(json_member_integer(root, "n", &number, NULL), 0);
    assert_true(number == -JSON_INTEGER_MAX);
    list = json_member(root, "l");
    assert_int_equal(json_count(list), 4);
    assert_int_equal(json_get_bool(json_next(list, json_next(list, NULL)), "l", &flag, NULL), 0);
    assert_true(flag);
    text = "kept";
    assert_int_equal(json_member_text(root, "z", &text, NULL), 0);
    assert_int_equal(json_member_text(root, "absent", &text, NULL), 0);
    assert_string_equal(text, "kept");
    assert_string_equal(json_name(json_next(root, NULL)), "a");
}

static void types_are_checked(void **state)
{
    cleanup(cleanup_json) struct json *json = NULL;
    struct error err = { 0 };
    const char *text;
    int64_t number;
    bool flag;

    assert_int_equal(
        json_parse(span_text("{\"f\":1.5,\"big\":9007199254740992,\"s\":\"1\",\"huge\":1e300}"),
                   &json, NULL),
        0);
    assert_int_equal(json_member_integer(json_root(json), "f", &number, &err), -EINVAL);
    assert_string_equal(err.text, "f must be an integer");
    assert_int_equal(json_member_integer(json_root(json), "big", &number, NULL), -EINVAL);
    assert_int_equal(json_member_integer(json_root(json), "huge", &number, NULL), -EINVAL);
    assert_int_equal(json_member_integer(json_root(json), "s", &number, NULL), -EINVAL);
    assert_int_equal(json_member_text(json_root(json), "f", &text, NULL), -EINVAL);
    assert_int_equal(json_member_bool(json_root(json), "s", &flag, NULL), -EINVAL);
    assert_int_equal(json_get_text(NULL, "x", &text, NULL), -EINVAL);
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "--1",
        "tru",
        "nul",
        "NaN",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "\"\x80\"",
        "1 1",
        "[]]",
        "{}{}",
        "{\"a\":1,\"a\":2}",
        "[{\"a\":1,\"a\":1}]",
        "'a'",
        "/**/1",
        "[1}",
        "{\"a\":1]",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct json *json = NULL;
        int r = json_parse(span_text(bad[i]), &json, NULL);
        if (r != -EBADMSG)
            fail_msg("%s gave %d", bad[i], r);
        assert_null(json);
    }
}

static void depth_is_limited(void **state)
{
    char text[400000];
    struct json *json = NULL;

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_check(span_of(text, 2 * JSON_DEPTH_MAX), NULL), 0);
    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    assert_int_equal(json_parse(span_of(text, sizeof(text)), &json, NULL), -EBADMSG);
}

static void writing(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1000);
    struct json_writer w = json_writer_init(&out);

    json_begin_object(&w, NULL);
    json_text(&w, "a", "q\"\\\n\x01\x7f\xc3\xa9\xff");
    json_text(&w, "left_out", NULL);
    json_begin_array(&w, "l");
    json_integer(&w, NULL, -5);
    json_begin_object(&w, NULL);
    json_end(&w);
    json_bool(&w, NULL, false);
    json_end(&w);
    json_null(&w, "n");
    json_time(&w, "t", 1704164645);
    json_time(&w, "never", INT64_MAX);
    json_end(&w);
    assert_string_equal(buf_text(&out), "{\"a\":\"q\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\","
                                        "\"l\":[-5,{},false],\"n\":null,"
                                        "\"t\":\"2024-01-02T03:04:05Z\"}");
    assert_int_equal(json_check(buf_span(&out), NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading), cmocka_unit_test(types_are_checked),
        cmocka_unit_test(refused), cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(writing),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
