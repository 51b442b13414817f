/* SPDX-License-Identifier: MIT */
#include "server/service/read_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "tests/support/unit.h"

static const struct sample_entry entries[] = {
    { "a", 100, 1 },      { "d/", 0, 0 },    { "d/b", 200, 2 },
    { "d/same", 300, 3 }, { "empty", 0, 0 }, { "z", 50, 5 },
};

struct fixture {
    struct sample_tree sample;
    struct tree tree;
};

static void open_tree(struct fixture *fixture, const struct sample_entry *of, size_t count)
{
    sample_tree_make_of(&fixture->sample, of, count);
    assert_int_equal(tree_open(buf_span(&fixture->sample.image), &fixture->tree, NULL), 0);
}

static int setup(void **state)
{
    static struct fixture fixture;

    open_tree(&fixture, entries, sizeof(entries) / sizeof(entries[0]));
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    sample_tree_release(&((struct fixture *)*state)->sample);
    return 0;
}

#define TREE(state) (&((struct fixture *)*(state))->tree)

/* "path", or "path offset+length ...", one a line. */
static void read_lines(const char *lines, struct reads *out)
{
    struct span rest = span_text(lines), line, word, path;

    while (span_cut(&rest, '\n', &line)) {
        struct read_range ranges[READS_RANGES_MAX];
        size_t count = 0;

        span_cut(&line, ' ', &path);
        while (span_cut(&line, ' ', &word)) {
            unsigned long long offset, length;
            char text[64];

            snprintf(text, sizeof(text), "%.*s", (int)word.size, (const char *)word.bytes);
            assert_int_equal(sscanf(text, "%llu+%llu", &offset, &length), 2);
            ranges[count++] = (struct read_range){ offset, length };
        }
        assert_int_equal(reads_add(out, path, ranges, count, NULL), 0);
    }
}

static struct read_report report_of(const char *lines, const struct tree *tree)
{
    cleanup(reads_release) struct reads reads = reads_init();
    struct read_report report;

    read_lines(lines, &reads);
    assert_int_equal(read_report_of(&reads, tree, &report, NULL), 0);
    return report;
}

static void expect(struct read_report *report, const struct tree *tree, const char *lines)
{
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    assert_int_equal(read_report_paths(report, tree, &reads, NULL), 0);
    for (size_t i = 0; i < reads.count; i++) {
        struct span path = reads_path(&reads, i);

        buf_add_span(&out, path);
        for (size_t k = 0; k < reads.files[i].range_count; k++)
            buf_format(&out, " %llu+%llu", (unsigned long long)reads_ranges(&reads, i)[k].offset,
                       (unsigned long long)reads_ranges(&reads, i)[k].length);
        buf_add_text(&out, "\n");
    }
    assert_string_equal(buf_text(&out), lines);
    read_report_release(report);
}

static void what_the_tree_has(void **state)
{
    struct read_report report =
        report_of("z\nabsent\nd\nempty\nd/b 0+20 150+999\na 99+1 100+1\nz 0+1\nd/same 900+1\n",
                  TREE(state));

    expect(&report, TREE(state), "z\nd/b 0+20 150+50\na 99+1\n");
    report = report_of("a 0+100\nd/b 100+100 0+100\n", TREE(state));
    expect(&report, TREE(state), "a\nd/b\n");
}

static void in_bytes_and_back(void **state)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    struct read_report report = report_of("z\nd/b 0+20 150+50\na\n", TREE(state)), again;

    read_report_write(&report, &bytes);
    assert_int_equal(bytes.size, 4 + 3 * 8 + 2 * 16);
    assert_int_equal(read_report_parse(buf_span(&bytes), TREE(state), &again, NULL), 0);
    read_report_release(&report);
    expect(&again, TREE(state), "z\nd/b 0+20 150+50\na\n");
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(read_report_parse(span_of(bytes.bytes, size), TREE(state), &again, NULL),
                         -EBADMSG);
    buf_add_byte(&bytes, 0);
    assert_int_equal(read_report_parse(buf_span(&bytes), TREE(state), &again, NULL), -EBADMSG);
}

static void expect_refused(const struct tree *tree, uint32_t count, uint32_t file, uint32_t ranges,
                           uint64_t offset, uint64_t length)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    struct read_report report;

    buf_add_u32(&bytes, count);
    buf_add_u32(&bytes, file);
    buf_add_u32(&bytes, ranges);
    for (uint32_t i = 0; i < ranges && i < 100; i++) {
        buf_add_u64(&bytes, offset);
        buf_add_u64(&bytes, length);
    }
    assert_int_equal(read_report_parse(buf_span(&bytes), tree, &report, NULL), -EBADMSG);
}

static void what_is_no_report(void **state)
{
    expect_refused(TREE(state), 1, 5, 0, 0, 0); /* it has five files */
    expect_refused(TREE(state), 1, UINT32_MAX, 0, 0, 0);
    expect_refused(TREE(state), READS_MAX + 1, 0, 0, 0, 0);
    expect_refused(TREE(state), 1, 0, READS_RANGES_MAX + 1, 0, 1);
    expect_refused(TREE(state), 1, 0, UINT32_MAX, 0, 1);
    expect_refused(TREE(state), 1, 0, 1, 0, 0);
    expect_refused(TREE(state), 1, 0, 1, UINT64_MAX, 2);
}

static struct read_report merge(const struct tree *tree, const char *const *texts, size_t count)
{
    struct read_report reports[8] = { { 0 } }, out;

    for (size_t i = 0; i < count; i++)
        reports[i] = report_of(texts[i], tree);
    assert_int_equal(read_reports_merge(reports, count, tree, &out, NULL), 0);
    for (size_t i = 0; i < count; i++)
        read_report_release(&reports[i]);
    return out;
}

static void several_are_their_union(void **state)
{
    struct read_report merged =
        merge(TREE(state), (const char *[]){ "a\nd/b 0+10\n", "a\nz\n", "d/b 20+10\nd/same\n" }, 3);

    expect(&merged, TREE(state), "a\nz\nd/b 0+10 20+10\nd/same\n");
    merged = merge(TREE(state), (const char *[]){ "a 0+50\nd/b\n", "a 50+50\nd/b 0+1\n" }, 2);
    expect(&merged, TREE(state), "a\nd/b\n");
    merged = merge(TREE(state), NULL, 0);
    expect(&merged, TREE(state), "");
    /* by the median of the places: one that is out of line moves nothing */
    merged = merge(TREE(state),
                   (const char *[]){ "z\nd/b\na\n", "z\nd/b\na\n", "a\nd/b\nd/same\nz\n" }, 3);
    expect(&merged, TREE(state), "z\nd/b\na\nd/same\n");
}

/* A tree of more files than a list may have, and three reports that overlap in the first half. */
static void those_that_most_have_stay(void **state)
{
    static struct sample_entry many[READS_MAX + 100];
    static char names[READS_MAX + 100][8];
    struct fixture fixture;
    struct read_report reports[2] = { { 0 }, { 0 } }, merged;
    const size_t count = sizeof(many) / sizeof(many[0]);

    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "f%05zu", i);
        many[i] = (struct sample_entry){ names[i], 10, 1 };
    }
    open_tree(&fixture, many, count);
    for (int k = 0; k < 2; k++) {
        cleanup(reads_release) struct reads reads = reads_init();

        /* the first has the first READS_MAX, the other the last 100 and 100 of the first's end */
        for (size_t i = k == 0 ? 0 : READS_MAX - 100; i < (k == 0 ? READS_MAX : count); i++)
            assert_int_equal(reads_add(&reads, span_text(names[i]), NULL, 0, NULL), 0);
        assert_int_equal(read_report_of(&reads, &fixture.tree, &reports[k], NULL), 0);
    }
    assert_int_equal(read_reports_merge(reports, 2, &fixture.tree, &merged, NULL), 0);
    assert_int_equal(merged.count, READS_MAX);
    for (int in_both = 0; in_both < 100; in_both++) {
        bool found = false;

        for (size_t i = 0; i < merged.count; i++)
            found = found || merged.files[i].file == reports[1].files[in_both].file;
        assert_true(found);
    }
    read_report_release(&merged);
    read_report_release(&reports[0]);
    read_report_release(&reports[1]);
    sample_tree_release(&fixture.sample);
}

static void carried_over_by_content_then_by_path(void **state)
{
    /* d/b was moved, a was changed and is shorter, z is as it was, and so is a copy of it */
    static const struct sample_entry next[] = {
        { "a", 60, 77 },        { "b/", 0, 0 }, { "b/b", 200, 2 },
        { "copy-of-z", 50, 5 }, { "d/", 0, 0 }, { "z", 50, 5 },
    };
    struct read_report report =
        report_of("d/b 0+20 150+50\nz\nd/same\na 0+50 90+10\n", TREE(state));
    struct read_report carried;
    struct fixture to;

    open_tree(&to, next, sizeof(next) / sizeof(next[0]));
    assert_int_equal(read_report_carry(&report, TREE(state), &to.tree, &carried, NULL), 0);
    read_report_release(&report);
    expect(&carried, &to.tree, "b/b 0+20 150+50\nz\na 0+50\n");
    sample_tree_release(&to.sample);
}

static void two_that_become_one_are_one(void **state)
{
    static const struct sample_entry next[] = { { "a", 200, 2 } };
    struct read_report report = report_of("d/b 0+20\na\n", TREE(state)), carried;
    struct fixture to;

    open_tree(&to, next, 1);
    assert_int_equal(read_report_carry(&report, TREE(state), &to.tree, &carried, NULL), 0);
    read_report_release(&report);
    expect(&carried, &to.tree, "a 0+20\n");
    sample_tree_release(&to.sample);
}

static int all_steps(const struct tree *tree, const struct reads *reads)
{
    cleanup(read_report_release) struct read_report report = { 0 }, parsed = { 0 };
    cleanup(read_report_release) struct read_report merged = { 0 }, carried = { 0 };
    cleanup(reads_release) struct reads paths = reads_init();
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    int r = read_report_of(reads, tree, &report, NULL);

    if (r == 0) {
        read_report_write(&report, &bytes);
        r = bytes.failure;
    }
    if (r == 0)
        r = read_report_parse(buf_span(&bytes), tree, &parsed, NULL);
    if (r == 0)
        r = read_reports_merge(&parsed, 1, tree, &merged, NULL);
    if (r == 0)
        r = read_report_carry(&merged, tree, tree, &carried, NULL);
    return r < 0 ? r : read_report_paths(&carried, tree, &paths, NULL);
}

static void without_memory(void **state)
{
    cleanup(reads_release) struct reads reads = reads_init();

    read_lines("a\nd/b 0+20\n", &reads);
    assert_survives_no_memory(all_steps(TREE(state), &reads));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_tree_has),
        cmocka_unit_test(in_bytes_and_back),
        cmocka_unit_test(what_is_no_report),
        cmocka_unit_test(several_are_their_union),
        cmocka_unit_test(those_that_most_have_stay),
        cmocka_unit_test(carried_over_by_content_then_by_path),
        cmocka_unit_test(two_that_become_one_are_one),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
