/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/meta_yaml.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"

#define HEAD "format: 1\nproject: \"p\"\napp: \"a\"\nversion: \"1.0\"\n"
#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FILE_OF(path) "  - path: " path "\n    sha256: \"" HELLO "\"\n    size: 5\n"

static int collect(void *context, const struct entry *entry, bool made, const struct digest *verity,
                   struct error *err)
{
    struct buf *out = context;
    char mode[MODE_TEXT_SIZE];

    name_format_mode(entry->mode, mode);
    buf_format(out, "%c%s%s %s ", " dfl"[entry->kind], made ? "+" : "", verity != NULL ? "v" : "",
               mode);
    buf_add_span(out, entry->path);
    buf_add_byte(out, ' ');
    buf_add_span(out, entry->target);
    buf_add_byte(out, ';');
    return 0;
}

static int read_text(struct span text, struct buf *out, struct meta_yaml_totals *totals,
                     struct error *err)
{
    cleanup(record_release) struct record record = { 0 };
    struct span rest = text;

    return meta_yaml_read(source_of_span(&rest), 0, out == NULL ? NULL : collect, out, &record,
                          totals, err);
}

static void accepted(const char *text, const char *expected)
{
    cleanup(buf_release) struct buf out = buf_init(100000);
    struct meta_yaml_totals totals;
    struct error err = { 0 };

    if (read_text(span_text(text), &out, &totals, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(buf_text(&out), expected);
}

static void test_accepted(void **state)
{
    accepted(HEAD, "");
    accepted(HEAD "files:\n" FILE_OF("a"), "f 0644 a ;");
    accepted(HEAD "files:\n" FILE_OF("a/b/c") FILE_OF("a/b/d") FILE_OF("a-b/c"),
             "d+ 0755 a ;d+ 0755 a/b ;f 0644 a/b/c ;f 0644 a/b/d ;d+ 0755 a-b ;f 0644 a-b/c ;");
    accepted(HEAD "files:\n  - path: d\n    dir: true\n  - path: d/l\n    link: ../x\n",
             "d 0755 d ;l 0000 d/l ../x;");
    accepted(HEAD "files:\n- path: d\n  dir: true\n  mode: '0700'\n", "d 0700 d ;");
    accepted(HEAD "files:\n  - path_base64: \"/w==\"\n    link_base64: \"Cg==\"\n",
             "l 0000 \xff \n;");
    accepted("files:\n" FILE_OF("a") HEAD, "f 0644 a ;");
    accepted(HEAD "file_count: 1\nbytes: 5\nfiles:\n" FILE_OF("a"), "f 0644 a ;");
    accepted(HEAD "files:\n" FILE_OF("a") "    verity: \"" HELLO "\"\n    mtime: -7\n",
             "fv 0644 a ;");
}

static void refused(const char *text)
{
    struct meta_yaml_totals totals = { .count = 77 };
    struct error err = { 0 };

    if (read_text(span_text(text), NULL, &totals, &err) != -EBADMSG)
        fail_msg("not refused: %s", text);
    assert_memory_equal(err.text, "offset ", 7);
    assert_int_equal(totals.count, 77);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "files:\n" FILE_OF("a"),
        HEAD "files: []\n",
        HEAD "files:\n",
        HEAD "files:\n  a: b\n",
        HEAD "files:\n  - a\n",
        HEAD "other: x\n",
        HEAD "file_count: 1\n",
        HEAD "bytes: 1\n",
        HEAD "content: \"" HELLO "\"\n",
        HEAD "files:\n" FILE_OF("a") "    mode: 644\n",
        HEAD "files:\n" FILE_OF("a") "    mtime: -0\n",
        HEAD "files:\n" FILE_OF("a") "    x: y\n",
        HEAD "files:\n" FILE_OF("a") "    dir: true\n",
        HEAD "files:\n" FILE_OF("a") "    link: x\n",
        HEAD "files:\n" FILE_OF("a") "    path_base64: \"/w==\"\n",
        HEAD "files:\n  - path: a\n",
        HEAD "files:\n  - dir: true\n",
        HEAD "files:\n  - path: a\n    dir: false\n",
        HEAD "files:\n  - path: a\n    link: b\n    mode: \"0777\"\n",
        HEAD "files:\n  - path: a\n    link: b\n    link_base64: \"/w==\"\n",
        HEAD "files:\n  - path_base64: \"YQ==\"\n    dir: true\n",
        HEAD "files:\n  - path_base64: \"/w\"\n    dir: true\n",
        HEAD "files:\n  - path: ../a\n    dir: true\n",
        HEAD "files:\n  - path: /a\n    dir: true\n",
        HEAD "files:\n  - path: .kkartifact\n    dir: true\n",
        HEAD "files:\n" FILE_OF("b") FILE_OF("a"),
        HEAD "files:\n" FILE_OF("a") FILE_OF("a"),
        HEAD "files:\n" FILE_OF("a") FILE_OF("a/b"),
        HEAD "files:\n" FILE_OF("a/b") FILE_OF("a"),
        HEAD "files:\n" FILE_OF("a/b") "  - path: a\n    dir: true\n",
        HEAD "files:\n  - path: a\n    sha256: \"" HELLO "\"\n    size: 0\n",
        HEAD "files:\n  - path: a\n    sha256: \"" EMPTY "\"\n    size: 5\n",
        HEAD "files:\n  - path: a\n    sha256: \"" HELLO "\"\n    size: 9007199254740992\n",
        HEAD "files:\n  - path: a\n    sha256: \"" HELLO "\"\n    size: 05\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
}

static void fill(struct record *record, const struct sample_tree *sample)
{
    record_init(record);
    assert_int_equal(record_set_names(record, span_text("p"), span_text("a"), span_text("1"), NULL),
                     0);
    record->has_content = record->has_file_count = true;
    record->content = sample->content;
    record->file_count = sample->file_count;
}

static void test_written_and_read(void **state)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        cleanup(sample_tree_release) struct sample_tree sample;
        cleanup(record_release) struct record record;
        cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
        struct meta_yaml_totals totals;
        struct error err = { 0 };
        struct tree tree, names;
        uint64_t size = 0;
        sample_tree_make(&sample, seed, seed * 20);
        fill(&record, &sample);
        assert_int_equal(tree_open(buf_span(&sample.image), &tree, NULL), 0);
        assert_int_equal(meta_yaml_write(&record, &tree, sink_to_buf(&out), NULL), 0);
        assert_int_equal(meta_yaml_size(&record, &tree, &size, NULL), 0);
        assert_int_equal(size, out.size);
        size = 0;
        assert_int_equal(tree_open_names(buf_span(&sample.image), &names, NULL), 0);
        assert_int_equal(meta_yaml_size(&record, &names, &size, NULL), 0);
        assert_int_equal(size, out.size);
        assert_int_equal(meta_yaml_write(&record, &names, sink_to_counter(&size), NULL), -EINVAL);
        if (read_text(buf_span(&out), NULL, &totals, &err) < 0)
            fail_msg("%s", err.text);
        assert_memory_equal(totals.content.bytes, sample.content.bytes, DIGEST_SIZE);
        assert_int_equal(totals.count, sample.count);
        assert_int_equal(totals.file_count, sample.file_count);
    }
}

static void test_canonical(void **state)
{
    cleanup(sample_tree_release) struct sample_tree sample;
    cleanup(record_release) struct record record;
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct tree tree;
    const char *files;

    sample_tree_make(&sample, 0, 0);
    fill(&record, &sample);
    assert_int_equal(tree_open(buf_span(&sample.image), &tree, NULL), 0);
    assert_int_equal(meta_yaml_write(&record, &tree, sink_to_buf(&out), NULL), 0);
    files = strstr(buf_text(&out), "files:\n");
    assert_non_null(files);
    assert_memory_equal(files,
                        "files:\n  - path: \"a\"\n    dir: true\n    mode: \"0755\"\n    mtime: 0\n"
                        "  - path: \"a/b\"\n    sha256: \"" HELLO "\"\n    size: 5\n"
                        "    mode: \"0644\"\n    mtime: 1700000000\n    verity: \"",
                        200);
    assert_non_null(strstr(files, "  - path: \"a/l\"\n    link: \"../a-b\"\n"));
    assert_non_null(strstr(files, "  - path_base64: \"bgps\"\n    sha256: "));
}

static void test_json_item(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1000);
    struct json_writer writer = json_writer_init(&out);
    struct entry entry = { .kind = ENTRY_LINK,
                           .path = span_text("\xff"),
                           .target = span_text("t") };

    meta_yaml_write_json(&entry, &writer);
    assert_string_equal(buf_text(&out),
                        "{\"path_base64\":\"/w==\",\"kind\":\"link\",\"link\":\"t\"}");
}

static int read_sample(void)
{
    struct meta_yaml_totals totals;

    return read_text(span_text(HEAD "files:\n" FILE_OF(
                         "a/b") "  - path_base64: \"/w==\"\n    link_base64: \"Cg==\"\n"),
                     NULL, &totals, NULL);
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(read_sample());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_written_and_read), cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_json_item),        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
