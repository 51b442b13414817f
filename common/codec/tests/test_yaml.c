/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/yaml.h"

CLEANUP_DEFINE(yaml_reader, yaml_reader_free);

/* The events as one line: {k:v} maps, [v] lists, texts in between. */
static int trace(struct span text, enum yaml_flags flags, struct buf *out, struct error *err)
{
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    struct yaml_event event;
    int r = yaml_reader_new_span(text, flags, &reader, err);

    while (r == 0) {
        static const char *const marks[] = { "", "{", "}", "[", "]", "", "" };
        r = yaml_next(reader, &event, err);
        if (r < 0 || event.kind == YAML_END)
            break;
        buf_add_text(out, marks[event.kind]);
        if (event.kind == YAML_KEY || event.kind == YAML_SCALAR) {
            buf_add_span(out, event.text);
            buf_add_byte(out, event.kind == YAML_KEY ? ':' : ' ');
        }
    }
    return r;
}

static void accepted(const char *text, enum yaml_flags flags, const char *expected)
{
    cleanup(buf_release) struct buf out = buf_init(10000);
    struct error err = { 0 };

    if (trace(span_text(text), flags, &out, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(buf_text(&out), expected);
}

static void refused_span(struct span text, enum yaml_flags flags)
{
    cleanup(buf_release) struct buf out = buf_init(4 * 1024 * 1024);
    struct error err = { 0 };
    int r = trace(text, flags, &out, &err);

    if (r != -EBADMSG)
        fail_msg("not refused (%d): %.*s", r, (int)text.size, text.bytes);
    assert_int_equal(err.code, -EBADMSG);
    assert_memory_equal(err.text, "offset ", 7);
}

static void refused(const char *text, enum yaml_flags flags)
{
    refused_span(span_text(text), flags);
}

static void test_both_take(void **state)
{
    for (int flags = YAML_PLAIN; flags <= YAML_STRICT; flags++) {
        enum yaml_flags f = (enum yaml_flags)flags;
        accepted("a: b\n", f, "{a:b }");
        accepted("a: b", f, "{a:b }");
        accepted("# c\na: b # d\n\n", f, "{a:b }");
        accepted("a: 'b''c'\n\"d\": \"\"\n", f, "{a:b'c d: }");
        accepted("a: \"q\\\"w\\\\e\"\n", f, "{a:q\"w\\e }");
        accepted("a: \"\xc3\xa4\xe2\x82\xac\\\\\xf0\x9f\x98\x80\"\n", f,
                 "{a:\xc3\xa4\xe2\x82\xac\\\xf0\x9f\x98\x80 }");
        accepted("a:\n  - b\n  - c\n", f, "{a:[b c ]}");
        accepted("a:\n- b: c\n  d: e\n- f: g\nh: i\n", f, "{a:[{b:c d:e }{f:g }]h:i }");
        accepted("a:\n  b: c\n  d:\n    e: f\ng: h\n", f, "{a:{b:c d:{e:f }}g:h }");
        accepted("x: y\\z\n", f, "{x:y\\z }");
        accepted("a: true\nb: 012\nc: ~\n", f, "{a:true b:012 c:~ }");
    }
}

static void test_both_refuse(void **state)
{
    static const char *const bad[] = {
        "a: &x b\n",
        "a: *x\n",
        "&x a: b\n",
        "a: &x\n  b: c\n",
        "a: !!str b\n",
        "a: ! b\n",
        "!!map\na: b\n",
        "%YAML 1.1\n---\na: b\n",
        "%TAG ! tag:x,2000:\n---\na: b\n",
        "a: b\n---\nc: d\n",
        "a: {b: c}\n",
        "{a: b}\n",
        "- a\n",
        "a\n",
        "? a\n: b\n",
        "a: b\n? c\n: d\n",
        "? [a]\n: b\n",
        "[a]: b\n",
        ": b\n",
        "\"\": b\n",
        "a:\n",
        "a: b\nc:\n",
        "a:\n  -\n  - b\n",
        "a: b\na: c\n",
        "a: b\n\"a\": c\n",
        "x:\n  a: b\n  'a': c\n",
        "<<: b\n",
        "a: b\n  c: d\n",
        "a: [b\n",
        "a: [[b]]\n",
        "a: [b: c]\n",
        "a: \"b\n",
        "a: 'b\n",
        "\ta: b\n",
        "a: @b\n",
        "a: b: c\n",
        "a: \x01\n",
        "a: \xff\n",
        "a: \xc0\x80\n",
        "a: \xed\xa0\x80\n",
    };

    for (int flags = YAML_PLAIN; flags <= YAML_STRICT; flags++) {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            refused(bad[i], (enum yaml_flags)flags);
        refused_span(span_of("a: b\0c\n", 7), (enum yaml_flags)flags);
    }
    refused("a: \"b\\0c\"\n", YAML_PLAIN);
}

static void test_only_strict_refuses(void **state)
{
    static const char *const only_plain[][2] = {
        { "a: [b, 'c', \"d\"]\n", "{a:[b c d ]}" },
        { "a: []\n", "{a:[]}" },
        { "---\na: b\n...\n", "{a:b }" },
        { "a: b\r\nc: d\r\n", "{a:b c:d }" },
        { "\xef\xbb\xbf"
          "a: b\n",
          "{a:b }" },
        { "a: b\t# c\n", "{a:b }" },
        { "a: \"\\x41\\u00e4\"\n", "{a:A\xc3\xa4 }" },
        { "a: \"b\\/c\"\n", "{a:b/c }" },
        { "a: b\n  c\n", "{a:b c }" },
        { "a: |\n  b\n  c\n", "{a:b\nc\n }" },
        { "a: \"b\n  c\"\n", "{a:b c }" },
        { "# \xef\xbb\xbf\na: b\n", "{a:b }" },
        { "# \xc2\x85\na: b\n", "{a:b }" },
    };

    for (size_t i = 0; i < sizeof(only_plain) / sizeof(only_plain[0]); i++) {
        accepted(only_plain[i][0], YAML_PLAIN, only_plain[i][1]);
        refused(only_plain[i][0], YAML_STRICT);
    }
    accepted("", YAML_PLAIN, "");
    accepted("# nothing\n", YAML_PLAIN, "");
}

static void test_limits(void **state)
{
    cleanup(buf_release) struct buf text = buf_init(8 * 1024 * 1024);

    for (int i = 0; i < YAML_DEPTH_MAX + 1; i++) {
        for (int j = 0; j < i; j++)
            buf_add_byte(&text, ' ');
        buf_add_text(&text, i == YAML_DEPTH_MAX ? "a: b\n" : "a:\n");
    }
    refused_span(buf_span(&text), YAML_STRICT);
    buf_clear(&text);
    for (int i = 0; i < YAML_KEYS_MAX; i++)
        buf_format(&text, "k%d: v\n", i);
    {
        cleanup(buf_release) struct buf out = buf_init(100000);
        assert_int_equal(trace(buf_span(&text), YAML_STRICT, &out, NULL), 0);
    }
    buf_format(&text, "more: v\n");
    refused_span(buf_span(&text), YAML_STRICT);
    buf_clear(&text);
    buf_add_text(&text, "a: \"");
    for (int i = 0; i < YAML_EVENT_MAX + 20000; i++)
        buf_add_byte(&text, 'x');
    buf_add_text(&text, "\"\n");
    refused_span(buf_span(&text), YAML_STRICT);
    buf_clear(&text);
    buf_add_text(&text, "a: ");
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&text, '[');
    refused_span(buf_span(&text), YAML_PLAIN);
}

struct dripping {
    struct span rest;
    bool fails;
};

/* One byte at a time; a fault of its own at the end. */
static int drip(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct dripping *dripping = context;

    if (dripping->rest.size == 0 && dripping->fails)
        return error_set(err, -EIO, "the line is dead");
    *out_size = dripping->rest.size > 0;
    memcpy(out, dripping->rest.bytes, *out_size);
    dripping->rest = span_slice(dripping->rest, 1, SIZE_MAX);
    return 0;
}

static int drip_all(const char *text, uint64_t max_size, bool fails, struct error *err)
{
    struct dripping dripping = { .rest = span_text(text), .fails = fails };
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    struct yaml_event event = { .kind = YAML_MAP };
    int r = yaml_reader_new(drip, &dripping, YAML_STRICT, max_size, &reader, err);

    while (r == 0 && event.kind != YAML_END)
        r = yaml_next(reader, &event, err);
    return r;
}

static void test_streamed(void **state)
{
    struct error err = { 0 };

    assert_int_equal(drip_all("a: \xe2\x82\xac\nb: c\n", 100, false, &err), 0);
    assert_int_equal(drip_all("a: b\n", 4, false, &err), -EBADMSG);
    assert_int_equal(drip_all("a: b\n", 5, true, &err), -EIO);
    assert_string_equal(err.text, "the line is dead");
    assert_int_equal(drip_all("a: \xe2\x82", 100, false, &err), -EBADMSG);
}

static void test_expect(void **state)
{
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    struct yaml_event event;
    struct error err = { 0 };

    assert_int_equal(yaml_reader_new_span(span_text("a: b\nc: d\n"), YAML_STRICT, &reader, NULL),
                     0);
    assert_int_equal(yaml_expect(reader, YAML_MAP, &event, &err), 0);
    assert_int_equal(yaml_expect(reader, YAML_KEY, &event, &err), 0);
    assert_int_equal(event.line, 1);
    assert_int_equal(yaml_expect(reader, YAML_LIST, &event, &err), -EBADMSG);
    assert_string_equal(err.text, "offset 3: line 1: a list is expected");
}

static void test_plain_text(void **state)
{
    static const char *const not_plain[] = {
        "\x01",         "a\n",          "\x7f",         "\xc2\x80",         "\xc2\x9f",
        "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xef\xbf\xbe",     "\xef\xbf\xbf",
        "\xff",         "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
    };

    assert_true(yaml_text_is_plain(span_text("")));
    assert_true(
        yaml_text_is_plain(span_text(" ~\xc2\xa0\xe2\x80\xa7\xef\xbf\xbd\xf4\x8f\xbf\xbf")));
    for (size_t i = 0; i < sizeof(not_plain) / sizeof(not_plain[0]); i++)
        assert_false(yaml_text_is_plain(span_text(not_plain[i])));
    assert_false(yaml_text_is_plain(span_of("a\0", 2)));
}

static void test_written(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1000);

    yaml_add_plain_line(&out, 2, "size", "5");
    yaml_add_quoted_line(&out, 0, "path", span_text("a\"b\\c"));
    yaml_add_quoted_line(&out, 0, "none", span_text(""));
    assert_string_equal(buf_text(&out), "  size: 5\npath: \"a\\\"b\\\\c\"\nnone: \"\"\n");
}

static int trace_sample(void)
{
    cleanup(buf_release) struct buf out = buf_init(1000);
    int r = trace(span_text("a:\n  - b: c\n    d: e\n"), YAML_STRICT, &out, NULL);

    return r == 0 ? buf_check(&out, NULL) : r;
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(trace_sample());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_take),
        cmocka_unit_test(test_both_refuse),
        cmocka_unit_test(test_only_strict_refuses),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_streamed),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
