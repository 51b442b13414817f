/* SPDX-License-Identifier: MIT */
#include "common/net/event_parser.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "tests/support/unit.h"

/* What was told, as "type(data)". */
struct told {
    struct buf text;
    int result;
};

static int take(void *context, const struct event_message *message, struct error *err)
{
    struct told *told = context;

    buf_add_span(&told->text, message->type);
    buf_add_byte(&told->text, '(');
    buf_add_span(&told->text, message->data);
    buf_add_byte(&told->text, ')');
    return told->result;
}

static int parse(const char *stream, size_t size, size_t piece, struct told *told, char id[64])
{
    struct event_parser parser;
    int r = 0;

    buf_clear(&told->text);
    event_parser_init(&parser, 40, take, told);
    for (size_t at = 0; r == 0 && at < size; at += piece)
        r = event_parser_feed(&parser, span_of(stream + at, size - at < piece ? size - at : piece),
                              NULL);
    snprintf(id, 64, "%s", event_parser_id(&parser));
    event_parser_release(&parser);
    return r;
}

static void messages(void **state)
{
    static const struct {
        const char *stream, *told, *id;
    } cases[] = {
        { "", "", "" },
        { "data: a\n\n", "message(a)", "" },
        { "data: a\n", "", "" },
        { "event: x\ndata: a\ndata: b\nid: 7\n\n", "x(a\nb)", "7" },
        { ": beat\nid: 9\n\n", "", "9" },
        { "id: 9\n", "", "" }, /* not whole */
        { "id: 9\n\nid: 10\ndata: cut", "", "9" },
        { "data:a\r\n\r\ndata: b\r\rdata:  c\n\n", "message(a)message(b)message( c)", "" },
        { "\xef\xbb\xbf"
          "data: a\n\n\xef\xbb\xbf"
          "data: b\n\n",
          "message(a)", "" },
        { "event: x\n\ndata: a\n\n", "message(a)", "" },
        { "id: 5\ndata: a\n\ndata: b\n\n", "message(a)message(b)", "5" },
        { "id: 5\n\nid\n\n", "", "" },
        { "data\n\n", "message()", "" },
        { "data\ndata\n\n", "message(\n)", "" },
        { "retry: 10\nunknown: x\nda ta: y\n\n", "", "" },
        { "data: a: b\n\n", "message(a: b)", "" },
    };
    struct told told = { .text = buf_init(4096) };
    char id[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            assert_int_equal(parse(cases[i].stream, strlen(cases[i].stream), piece, &told, id), 0);
            assert_string_equal(buf_text(&told.text), cases[i].told);
            assert_string_equal(id, cases[i].id);
        }
    }
    assert_int_equal(parse("id: 5\n\nid: a\0b\n\n", 16, 3, &told, id), 0);
    assert_string_equal(id, "5");
    buf_release(&told.text);
}

static void limits(void **state)
{
    struct told told = { .text = buf_init(4096) };
    char id[64];
    const char *fits = "data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n";
    const char *line = "data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const char *lines = "data: aaaaaaaaaaaaaaaaaaaaaaaa\ndata: aaaaaaaaaaaaaaaaaaaaaaaa\n\n";
    const char *comment = ":aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    for (size_t piece = 1; piece < 60; piece += 7) {
        assert_int_equal(parse(fits, strlen(fits), piece, &told, id), 0);
        assert_int_equal(parse(line, strlen(line), piece, &told, id), -EFBIG);
        assert_int_equal(parse(lines, strlen(lines), piece, &told, id), -EFBIG);
        assert_int_equal(parse(comment, strlen(comment), piece, &told, id), -EFBIG);
    }
    told.result = -ECANCELED;
    assert_int_equal(parse("data: a\n\ndata: b\n\n", 18, 18, &told, id), -ECANCELED);
    assert_string_equal(buf_text(&told.text), "message(a)");
    buf_release(&told.text);
}

static void memory_runs_out(void **state)
{
    const char *stream = "id: 5\nevent: x\ndata: a\n\ndata: b\n\n";
    bool failed = true;

    for (int64_t n = 0; failed; n++) {
        struct event_parser parser;
        struct told told = { .text = buf_init(4096) };
        int r;

        buf_reserve(&told.text, 100);
        memory_fail_after(n);
        event_parser_init(&parser, 40, take, &told);
        r = event_parser_feed(&parser, span_text(stream), NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        assert_int_equal(r, failed ? -ENOMEM : 0);
        event_parser_release(&parser);
        buf_release(&told.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(limits),
        cmocka_unit_test(memory_runs_out),
    };

    return cmocka_run_group_tests_name("event_parser", tests, NULL, NULL);
}
