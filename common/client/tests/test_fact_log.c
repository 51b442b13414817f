/* SPDX-License-Identifier: MIT */
#include "common/client/fact_log.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

static int join(void *context, const struct span *fields, size_t count, struct error *err)
{
    struct buf *out = context;

    for (size_t i = 0; i < count; i++) {
        buf_add_span(out, fields[i]);
        buf_add_byte(out, i + 1 < count ? ',' : ';');
    }
    return 0;
}

static int stop(void *context, const struct span *fields, size_t count, struct error *err)
{
    return -EXDEV;
}

static void lines_come_back(void **state)
{
    char *folder = temporary_new();
    const char *one[] = { "a", "b", "c" }, *two[] = { "only" }, *bad[] = { "a b" },
               *empty[] = { "" };
    struct buf out = buf_init(1024);
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/log", folder);
    assert_int_equal(fact_log_read(path, join, &out, NULL), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(fact_log_add(path, one, 3, NULL), 0);
    assert_int_equal(fact_log_add(path, two, 1, NULL), 0);
    assert_int_equal(fact_log_add(path, bad, 1, NULL), -EINVAL);
    assert_int_equal(fact_log_add(path, empty, 1, NULL), -EINVAL);
    assert_int_equal(fact_log_read(path, join, &out, NULL), 0);
    assert_string_equal(buf_text(&out), "a,b,c;only;");
    assert_int_equal(fact_log_read(path, stop, NULL, NULL), -EXDEV);
    buf_release(&out);
    temporary_remove(folder);
}

static void every_bit_is_noticed(void **state)
{
    char *folder = temporary_new();
    const char *fields[] = { "alpha", "beta" };
    struct buf content = buf_init(4096);
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/log", folder);
    assert_int_equal(fact_log_add(path, fields, 2, NULL), 0);
    assert_int_equal(file_load(path, &content, NULL), 0);
    for (size_t i = 1; i + 1 < content.size; i++) {
        struct buf out = buf_init(1024);

        content.bytes[i] ^= 2;
        assert_int_equal(file_save(path, buf_span(&content), 0600, NULL), 0);
        assert_int_equal(fact_log_read(path, join, &out, NULL), 0);
        assert_int_equal(out.size, 0);
        content.bytes[i] ^= 2;
        buf_release(&out);
    }
    buf_release(&content);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back),
        cmocka_unit_test(every_bit_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
