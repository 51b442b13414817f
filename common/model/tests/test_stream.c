/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/stream.h"

static void test_buf_and_counter(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(4);
    struct sink sink = sink_to_buf(&buf);
    struct error err = { 0 };
    uint64_t size = 0;

    assert_int_equal(sink_write(&sink, "abc", 3, &err), 0);
    assert_int_equal(sink_write(&sink, "", 0, &err), 0);
    assert_int_equal(sink_write(&sink, "de", 2, &err), -EFBIG);
    sink = sink_to_counter(&size);
    assert_int_equal(sink_write(&sink, "abc", 3, &err), 0);
    assert_int_equal(sink_write(&sink, "de", 2, &err), 0);
    assert_int_equal(size, 5);
}

static void test_span(void **state)
{
    struct span rest = span_text("abcde");
    struct source source = source_of_span(&rest);
    size_t size = 99;
    char out[4];

    assert_int_equal(source.read(source.context, out, 4, &size, NULL), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(out, "abcd", 4);
    assert_int_equal(source.read(source.context, out, 4, &size, NULL), 0);
    assert_int_equal(size, 1);
    assert_int_equal(source.read(source.context, out, 4, &size, NULL), 0);
    assert_int_equal(size, 0);
}

static void test_file(void **state)
{
    FILE *file = tmpfile();
    int fd = fileno(file);
    struct sink sink = sink_to_file(&fd);
    struct source source = source_of_file(&fd);
    size_t size = 0;
    char out[8];

    assert_int_equal(sink_write(&sink, "hello", 5, NULL), 0);
    rewind(file);
    assert_int_equal(source.read(source.context, out, 8, &size, NULL), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "hello", 5);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_and_counter),
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
