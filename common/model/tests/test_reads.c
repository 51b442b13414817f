/* SPDX-License-Identifier: MIT */
#include "common/model/reads.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(json, json_free);

static int parse(const char *text, struct reads *out, char pointer[READS_POINTER_SIZE])
{
    cleanup(cleanup_json) struct json *json = NULL;

    assert_int_equal(json_parse(span_text(text), &json, NULL), 0);
    return reads_parse(json_root(json), out, pointer, NULL);
}

static void a_list_is_written_as_it_was_read(void **state)
{
    static const char *const texts[] = {
        "[]",
        "[{\"path\":\"a\"}]",
        ("[{\"path\":\"bin/app\"},{\"path\":\"b\",\"ranges\":[{\"offset\":0,\"length\":7},"
         "{\"offset\":9007199254740990,\"length\":1}]},{\"path_base64\":\"/w==\"}]"),
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cleanup(reads_release) struct reads reads = reads_init();
        cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
        struct json_writer writer = json_writer_init(&out);
        char pointer[READS_POINTER_SIZE];

        assert_int_equal(parse(texts[i], &reads, pointer), 0);
        reads_write(&reads, &writer, NULL);
        assert_string_equal(buf_text(&out), texts[i]);
    }
}

static void expect_wrong(const char *text, int code, const char *where)
{
    cleanup(reads_release) struct reads reads = reads_init();
    char pointer[READS_POINTER_SIZE];

    assert_int_equal(parse(text, &reads, pointer), code);
    assert_string_equal(pointer, where);
}

static void what_is_wrong_is_named(void **state)
{
    expect_wrong("{}", -EINVAL, "");
    expect_wrong("[1]", -EINVAL, "/0");
    expect_wrong("[{}]", -EINVAL, "/0");
    expect_wrong("[{\"path\":\"a\"},{\"path\":\"a\",\"path_base64\":\"YQ==\"}]", -EINVAL, "/1");
    expect_wrong("[{\"path\":7}]", -EINVAL, "/0/path");
    expect_wrong("[{\"path\":\"../a\"}]", -EINVAL, "/0/path");
    expect_wrong("[{\"path\":\"/a\"}]", -EINVAL, "/0/path");
    expect_wrong("[{\"path\":\"\"}]", -EINVAL, "/0/path");
    expect_wrong("[{\"path_base64\":\"%\"}]", -EINVAL, "/0/path_base64");
    expect_wrong("[{\"path_base64\":\"YQBi\"}]", -EINVAL, "/0/path_base64");
    expect_wrong("[{\"path\":\"a\",\"ranges\":{}}]", -EINVAL, "/0/ranges");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[]}]", -EINVAL, "/0/ranges");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[3]}]", -EINVAL, "/0/ranges/0");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[{\"offset\":1}]}]", -EINVAL, "/0/ranges/0");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[{\"offset\":0,\"length\":0}]}]", -EINVAL,
                 "/0/ranges/0");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[{\"offset\":0,\"length\":1},"
                 "{\"offset\":-1,\"length\":1}]}]",
                 -EINVAL, "/0/ranges/1");
    expect_wrong("[{\"path\":\"a\",\"ranges\":[{\"offset\":9007199254740991,\"length\":1}]}]",
                 -EINVAL, "/0/ranges/0");
}

static void a_list_has_bounds(void **state)
{
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct read_range ranges[READS_RANGES_MAX + 1] = { { 0, 1 } };

    for (size_t i = 0; i <= READS_MAX; i++)
        buf_format(&text, "%c{\"path\":\"f\"}", i == 0 ? '[' : ',');
    buf_add_text(&text, "]");
    expect_wrong(buf_text(&text), -EFBIG, "");
    buf_clear(&text);
    buf_add_text(&text, "[{\"path\":\"f\",\"ranges\":");
    for (size_t i = 0; i <= READS_RANGES_MAX; i++)
        buf_format(&text, "%c{\"offset\":%zu,\"length\":1}", i == 0 ? '[' : ',', 2 * i);
    buf_add_text(&text, "]}]");
    expect_wrong(buf_text(&text), -EINVAL, "/0/ranges");

    assert_int_equal(reads_add(&reads, span_text("f"), ranges, READS_RANGES_MAX + 1, NULL), -EFBIG);
    for (size_t i = 0; i < READS_RANGES_ALL / READS_RANGES_MAX; i++)
        assert_int_equal(reads_add(&reads, span_text("f"), ranges, READS_RANGES_MAX, NULL), 0);
    assert_int_equal(reads_add(&reads, span_text("f"), ranges, 1, NULL), -EFBIG);
    while (reads.count < READS_MAX)
        assert_int_equal(reads_add(&reads, span_text("f"), NULL, 0, NULL), 0);
    assert_int_equal(reads_add(&reads, span_text("f"), NULL, 0, NULL), -EFBIG);
}

static void paths_have_a_bound_together(void **state)
{
    cleanup(reads_release) struct reads reads = reads_init();
    static char path[4000];

    memset(path, 'p', sizeof(path));
    for (size_t i = 0; i < READS_PATHS_MAX / sizeof(path); i++)
        assert_int_equal(reads_add(&reads, span_of(path, sizeof(path)), NULL, 0, NULL), 0);
    assert_int_equal(reads_add(&reads, span_of(path, sizeof(path)), NULL, 0, NULL), -EFBIG);
    assert_int_equal(reads_add(&reads, span_text("short"), NULL, 0, NULL), 0);
    assert_true(span_equal_text(reads_path(&reads, reads.count - 1), "short"));
}

/* Every byte written as two, and numbers as long as they get: within READS_JSON_MAX. */
static void the_largest_list_has_its_bound(void **state)
{
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(buf_release) struct buf out = buf_init(READS_JSON_MAX);
    struct json_writer writer = json_writer_init(&out);
    struct read_range range = { 4503599627370496, 4503599627370495 };
    static char path[READS_PATHS_MAX / READS_MAX];

    memset(path, '\\', sizeof(path));
    for (size_t i = 0; i < READS_MAX; i++)
        assert_int_equal(reads_add(&reads, span_of(path, sizeof(path)), &range, 1, NULL), 0);
    reads_write(&reads, &writer, NULL);
    assert_int_equal(buf_check(&out, NULL), 0);
}

static void expect_joined(const struct read_range *from, size_t count, uint64_t size, size_t most,
                          const struct read_range *to, size_t left)
{
    struct read_range ranges[8];

    memcpy(ranges, from, count * sizeof(*from));
    assert_int_equal(read_ranges_join(ranges, count, size, most), left);
    for (size_t i = 0; i < left; i++) {
        assert_int_equal(ranges[i].offset, to[i].offset);
        assert_int_equal(ranges[i].length, to[i].length);
    }
}

#define RANGES(...)                             \
    (const struct read_range[]){ __VA_ARGS__ }, \
        sizeof((const struct read_range[]){ __VA_ARGS__ }) / sizeof(struct read_range)

static void ranges_are_joined(void **state)
{
    const struct read_range *to;

    to = (const struct read_range[]){ { 0, 30 } };
    expect_joined(RANGES({ 20, 10 }, { 0, 20 }), 100, 8, to, 1);
    expect_joined(RANGES({ 0, 30 }, { 5, 3 }), 100, 8, to, 1);
    expect_joined(RANGES({ 0, 100 }), 30, 8, to, 1);
    to = (const struct read_range[]){ { 0, 5 }, { 10, 5 } };
    expect_joined(RANGES({ 10, 5 }, { 0, 5 }), 100, 8, to, 2);
    expect_joined(RANGES({ 200, 5 }, { 10, 90 }, { 0, 5 }), 15, 8, to, 2);
    expect_joined(RANGES({ 200, 5 }), 15, 8, to, 0);
    expect_joined(RANGES({ 15, 1 }), 15, 8, to, 0);
    to = (const struct read_range[]){ { 0, 13 }, { 50, 5 } };
    expect_joined(RANGES({ 0, 5 }, { 8, 5 }, { 50, 5 }), 100, 2, to, 2);
    to = (const struct read_range[]){ { 0, 55 } };
    expect_joined(RANGES({ 0, 5 }, { 8, 5 }, { 50, 5 }), 100, 1, to, 1);
    to = (const struct read_range[]){ { 0, UINT64_MAX / 4 } };
    expect_joined(RANGES({ 0, UINT64_MAX / 4 }, { 7, UINT64_MAX / 8 }), UINT64_MAX, 8, to, 1);
    assert_int_equal(read_ranges_join(NULL, 0, 5, 8), 0);
}

static int parse_and_write(void)
{
    static const char text[] = "[{\"path\":\"a\",\"ranges\":[{\"offset\":0,\"length\":1}]},"
                               "{\"path_base64\":\"/w==\"}]";
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(cleanup_json) struct json *json = NULL;
    char pointer[READS_POINTER_SIZE];
    int r = json_parse(span_text(text), &json, NULL);

    return r < 0 ? r : reads_parse(json_root(json), &reads, pointer, NULL);
}

static void without_memory(void **state)
{
    assert_survives_no_memory(parse_and_write());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_written_as_it_was_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_list_has_bounds),
        cmocka_unit_test(paths_have_a_bound_together),
        cmocka_unit_test(the_largest_list_has_its_bound),
        cmocka_unit_test(ranges_are_joined),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
