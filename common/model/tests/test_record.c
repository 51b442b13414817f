/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/record.h"

CLEANUP_DEFINE(json, json_free);

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SIG \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

#define NAMES "format: 1\nproject: \"p\"\napp: \"a\"\nversion: \"1.0\"\n"
#define DIGESTS "content: \"" HEX_A "\"\ntimes: \"" HEX_B "\"\ntree: \"" HEX_A "\"\n"
#define COUNTS "tree_size: 8192\nfile_count: 0\nbytes: 0\n"
#define CREATED "created_at: \"2024-05-17T12:00:00Z\"\n"
#define SHORT NAMES DIGESTS COUNTS CREATED
#define FULL                                                                                      \
    NAMES DIGESTS COUNTS "git_commit: \"0123\"\ngit_ref: \"refs/heads/main\"\n"                   \
                         "vcs_url: \"https://example.org/a@b\"\n"                                 \
                         "build_time: \"1999-12-31T23:59:59Z\"\nbuilder: \"ci \\\"7\\\" \\\\\"\n" \
                         "build_url: \"https://ci/1\"\nlabels:\n  \"a/b\": \"\"\n"                \
                         "  \"team\": \"\xc3\xa4\"\n" CREATED "pushed_by: \"ci\"\nsignatures:\n"  \
                         "  - key: \"" KEY "\"\n    time: -5\n    sig: \"" SIG "\"\n"

static void round_trip(const char *text)
{
    cleanup(record_release) struct record record = { 0 };
    cleanup(record_release) struct record copy = { 0 };
    cleanup(buf_release) struct buf out = buf_init(100000);
    struct error err = { 0 };

    if (record_read(span_text(text), &record, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(record_check(&record, NULL), 0);
    assert_int_equal(record_copy(&record, &copy, NULL), 0);
    record_write(&copy, &out);
    assert_string_equal(buf_text(&out), text);
}

static void test_round_trips(void **state)
{
    round_trip(SHORT);
    round_trip(FULL);
}

static void test_read_freely(void **state)
{
    cleanup(record_release) struct record record = { 0 };
    cleanup(buf_release) struct buf out = buf_init(100000);
    const char *text =
        "# hand made\n" CREATED "bytes: \"0\"\nfile_count: '0'\ntree_size: 8192\n" DIGESTS
        "version: 1.0\napp: a\nproject: p\nbuild_time: 1999-12-31T23:59:59\n"
        "labels:\n    z: 1\n    'a': \"x\"\nformat: 1\n";

    assert_int_equal(record_read(span_text(text), &record, NULL), 0);
    record_write(&record, &out);
    assert_string_equal(buf_text(&out), NAMES DIGESTS COUNTS
                        "build_time: \"1999-12-31T23:59:59Z\"\nlabels:\n  \"a\": \"x\"\n"
                        "  \"z\": \"1\"\n" CREATED);
}

static void refused(const char *text)
{
    struct record record = { .signature_count = 77 };
    struct error err = { 0 };

    if (record_read(span_text(text), &record, &err) != -EBADMSG)
        fail_msg("not refused: %s", text);
    assert_memory_equal(err.text, "offset ", 7);
    assert_int_equal(record.signature_count, 77);
}

static void test_refused(void **state)
{
    static const char *const bad_lines[] = {
        "format: 1\n",
        "unknown: 1\n",
        "files:\n  - path: x\n",
        "git_commit: \"\"\n",
        "git_ref:\n",
        "vcs_url: \"https://u:p@example.org/\"\n",
        "vcs_url: \"ssh://git@h/x\"\n",
        "build_time: \"1999-12-31T23:59:59+01:00\"\n",
        "build_time: \"1999-02-29T00:00:00Z\"\n",
        "build_time: \"1999-12-31 23:59:59Z\"\n",
        "build_time: \"0000-12-31T23:59:59Z\"\n",
        "build_time: \"1999-12-31T23:59:60Z\"\n",
        "build_time: \"1999-12-31T23:59:59.5Z\"\n",
        "builder: \"a\\tb\"\n",
        "builder: |\n  x\n",
        "builder: [a]\n",
        "labels: x\n",
        "labels:\n",
        "labels:\n  A: x\n",
        "labels:\n  a: x\n  a: y\n",
        "labels:\n  a:\n    b: c\n",
        "labels:\n  - a\n",
        "labels: {}\n",
        "signatures: []\n",
        "signatures:\n  - x\n",
        "signatures:\n  - key: \"" KEY "\"\n    time: 1\n",
        "signatures:\n  - key: \"" KEY "\"\n    time: x\n    sig: \"" SIG "\"\n",
        "signatures:\n  - key: \"" SIG "\"\n    time: 1\n    sig: \"" SIG "\"\n",
        "signatures:\n  - key: \"" KEY "\"\n    time: 1\n    sig: \"" SIG "\"\n    more: x\n",
        "pushed_by: &a b\n",
        "pushed_by: *a\n",
        "pushed_by: !!str b\n",
        "---\n",
        "...\n",
        "\tx: y\n",
    };
    static const char *const bad[] = {
        "",
        "format: 1\n",
        NAMES,
        NAMES DIGESTS COUNTS,
        "- a\n",
        "a\n",
        "format: 2\nproject: \"p\"\napp: \"a\"\nversion: \"1.0\"\n" DIGESTS COUNTS CREATED,
        "project: \"p\"\napp: \"a\"\nversion: \"1.0\"\n" DIGESTS COUNTS CREATED,
        "format: 1\nproject: \"latest\"\napp: \"a\"\nversion: \"1\"\n" DIGESTS COUNTS CREATED,
        "format: 1\nproject: \"p\"\napp: \"a\"\nversion: \"latest\"\n" DIGESTS COUNTS CREATED,
        NAMES DIGESTS "tree_size: 4096\nfile_count: 0\nbytes: 0\n" CREATED,
        NAMES DIGESTS "tree_size: 8193\nfile_count: 0\nbytes: 0\n" CREATED,
        NAMES DIGESTS "tree_size: 8192\nfile_count: 00\nbytes: 0\n" CREATED,
        NAMES DIGESTS "tree_size: 8192\nfile_count: -1\nbytes: 0\n" CREATED,
        NAMES DIGESTS "tree_size: 8192\nfile_count: 0\nbytes: 9007199254740992\n" CREATED,
        NAMES DIGESTS "tree_size: 8192\nfile_count: 16777217\nbytes: 0\n" CREATED,
        NAMES DIGESTS COUNTS "created_at: \"2024-05-17T12:00:00\"\n",
        NAMES "content: \"AA\"\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
        cleanup(buf_release) struct buf text = buf_init(10000);
        buf_add_text(&text, SHORT);
        buf_add_text(&text, bad_lines[i]);
        refused(buf_text(&text));
    }
}

static int set(struct record *record, const char *name, const char *value)
{
    return record_set_field(record, name, span_text(value), NULL);
}

static void test_set_by_hand(void **state)
{
    cleanup(record_release) struct record record;

    record_init(&record);
    assert_int_equal(record_check(&record, NULL), -EINVAL);
    assert_int_equal(record_set_names(&record, span_text("p"), span_text("a"), span_text("v"),
                                      NULL),
                     0);
    assert_int_equal(record_set_names(&record, span_text("p/"), span_text("b"), span_text("v"),
                                      NULL),
                     -EINVAL);
    assert_string_equal(record.app, "a");
    assert_int_equal(set(&record, "vcs_url", "https://user:secret@example.org/x@y"), 0);
    assert_string_equal(record.vcs_url, "https://example.org/x@y");
    assert_int_equal(set(&record, "vcs_url", "git@example.org:x"), 0);
    assert_string_equal(record.vcs_url, "git@example.org:x");
    assert_int_equal(set(&record, "build_time", "1970-01-01T02:00:00+02:00"), 0);
    assert_true(record.has_build_time);
    assert_int_equal(record.build_time_s, 0);
    assert_int_equal(set(&record, "build_time", "yesterday"), -EINVAL);
    assert_int_equal(set(&record, "build_time", ""), 0);
    assert_false(record.has_build_time);
    assert_int_equal(set(&record, "git_ref", "x"), 0);
    assert_int_equal(set(&record, "git_ref", ""), 0);
    assert_null(record.git_ref);
    assert_int_equal(set(&record, "builder", "a\nb"), -EINVAL);
    assert_int_equal(set(&record, "content", HEX_A), -EINVAL);
    assert_int_equal(set(&record, "nothing", "x"), -EINVAL);
}

static void test_json(void **state)
{
    cleanup(record_release) struct record record = { 0 };
    cleanup(record_release) struct record again = { 0 };
    cleanup(buf_release) struct buf json_text_out = buf_init(100000);
    cleanup(buf_release) struct buf yaml = buf_init(100000);
    cleanup(cleanup_json) struct json *json = NULL;
    struct json_writer writer = json_writer_init(&json_text_out);

    assert_int_equal(record_read(span_text(FULL), &record, NULL), 0);
    json_begin_object(&writer, NULL);
    record_write_json(&record, &writer);
    json_text(&writer, "state", "ready");
    json_end(&writer);
    assert_int_equal(json_parse(buf_span(&json_text_out), &json, NULL), 0);
    assert_int_equal(record_read_json(json_root(json), &again, NULL), 0);
    record_write(&again, &yaml);
    assert_string_equal(buf_text(&yaml), FULL);
}

static int read_json(const char *text, bool metadata, struct record *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    int r = json_parse(span_text(text), &json, err);

    assert_int_equal(r, 0);
    if (metadata)
        return record_read_metadata(json_root(json), out, err);
    return record_read_json(json_root(json), out, err);
}

static void test_json_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{\"project\":7}",
        "{\"project\":\"a/b\"}",
        "{\"content\":\"x\"}",
        "{\"bytes\":-1}",
        "{\"tree_size\":1}",
        "{\"labels\":[]}",
        "{\"labels\":{\"A\":\"x\"}}",
        "{\"labels\":{\"a\":1}}",
        "{\"signatures\":{}}",
        "{\"signatures\":[{}]}",
        "{\"created_at\":\"now\"}",
    };
    struct record record = { .signature_count = 77 };
    struct error err = { 0 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_json(bad[i], false, &record, NULL), -EINVAL);
    assert_int_equal(record.signature_count, 77);
    assert_int_equal(read_json("{\"what\":1,\"project\":\"p\",\"app\":null}", false, &record, NULL),
                     0);
    assert_string_equal(record.project, "p");
    assert_int_equal(read_json("{\"git_ref\":\"main\",\"labels\":{\"a\":\"b\"},\"builder\":null}",
                               true, &record, NULL),
                     0);
    assert_string_equal(record.git_ref, "main");
    assert_string_equal(labels_get(&record.labels, "a"), "b");
    assert_int_equal(read_json("{\"project\":\"x\"}", true, &record, &err), -EINVAL);
    assert_string_equal(err.text, "/metadata/project: no such member");
    record_release(&record);
}

static int read_full(void)
{
    cleanup(record_release) struct record record = { 0 };
    cleanup(record_release) struct record copy = { 0 };
    int r = record_read(span_text(FULL), &record, NULL);

    return r == 0 ? record_copy(&record, &copy, NULL) : r;
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(read_full());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_read_freely),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_set_by_hand),
        cmocka_unit_test(test_json),        cmocka_unit_test(test_json_refused),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
