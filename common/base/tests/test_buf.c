/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static void additions_follow_each_other(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(BUF_UNLIMITED);

    buf_add_text(&buf, "ab");
    buf_add_byte(&buf, 'c');
    buf_format(&buf, "%d", 42);
    buf_add_zeros(&buf, 1);
    buf_add_u16(&buf, 0x0201);
    buf_add_u32(&buf, 0x06050403);
    buf_add_u64(&buf, 0x0e0d0c0b0a090807);
    buf_add_span(&buf, span_text("z"));
    assert_int_equal(buf_check(&buf, NULL), 0);
    assert_int_equal(buf.size, 21);
    assert_memory_equal(buf.bytes, "abc42\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xez", 21);
}

static void the_limit_is_exact_and_sticks(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(4);
    struct error err = { 0 };

    buf_add_text(&buf, "abcd");
    assert_int_equal(buf_check(&buf, &err), 0);
    buf_add_byte(&buf, 'e');
    buf_add(&buf, "", 0);
    assert_int_equal(buf_check(&buf, &err), -EFBIG);
    assert_string_equal(buf_text(&buf), "");
    assert_null(buf_take(&buf));
    buf_clear(&buf);
    buf_add_text(&buf, "x");
    assert_string_equal(buf_text(&buf), "x");
}

static void huge_sizes_do_not_wrap(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(BUF_UNLIMITED);

    buf_add_byte(&buf, 'x');
    assert_null(buf_reserve(&buf, SIZE_MAX - 1));
    assert_int_equal(buf_check(&buf, NULL), -EFBIG);
}

static void text_and_take_are_terminated(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(100);
    char *taken;

    assert_string_equal(buf_text(&buf), "");
    buf_add_text(&buf, "hello");
    assert_string_equal(buf_text(&buf), "hello");
    taken = buf_take(&buf);
    assert_string_equal(taken, "hello");
    assert_int_equal(buf.size, 0);
    memory_free(taken);
}

static void front_is_dropped(void **state)
{
    cleanup(buf_release) struct buf buf = buf_init(100);

    buf_add_text(&buf, "hello");
    buf_drop_front(&buf, 2);
    assert_string_equal(buf_text(&buf), "llo");
    buf_drop_front(&buf, 9);
    assert_int_equal(buf.size, 0);
}

static int fill(void)
{
    cleanup(buf_release) struct buf buf = buf_init(BUF_UNLIMITED);

    for (int i = 0; i < 1000; i++)
        buf_format(&buf, "line %d\n", i);
    return buf_check(&buf, NULL);
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(fill());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(additions_follow_each_other),
        cmocka_unit_test(the_limit_is_exact_and_sticks),
        cmocka_unit_test(huge_sizes_do_not_wrap),
        cmocka_unit_test(text_and_take_are_terminated),
        cmocka_unit_test(front_is_dropped),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
