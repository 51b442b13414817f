/* SPDX-License-Identifier: MIT */
#include "common/base/memory.h"

#include <errno.h>
#include <string.h>
/* A sanitizer puts another heap in the place of glibc's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_HEAP
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_HEAP
#endif
#endif
#if defined(__GLIBC__) && !defined(OTHER_HEAP)
#include <malloc.h>
#if __GLIBC_PREREQ(2, 33) /* mallinfo2() */
#define COUNTS_MAPPINGS
#endif
#endif

#include "tests/support/unit.h"

static void new_is_zeroed(void **state)
{
    uint8_t *bytes = memory_new(100);

    for (int i = 0; i < 100; i++)
        assert_int_equal(bytes[i], 0);
    memory_free(bytes);
}

static void array_refuses_overflow(void **state)
{
    assert_null(memory_array(SIZE_MAX / 2, 3));
    assert_null(memory_resize(NULL, SIZE_MAX / 2, 3));
}

static void empty_blocks_are_blocks(void **state)
{
    void *empty = memory_new(0);

    assert_non_null(empty);
    memory_free(empty);
    empty = memory_copy(NULL, 0);
    assert_non_null(empty);
    memory_free(empty);
}

static void copy_is_terminated(void **state)
{
    char *copy = memory_copy("abcdef", 3);

    assert_string_equal(copy, "abc");
    assert_null(memory_free(copy));
}

static void the_nth_call_fails_and_all_later_ones(void **state)
{
    void *first;

    memory_fail_after(1);
    first = memory_new(1);
    assert_non_null(first);
    assert_false(memory_failed());
    assert_null(memory_new(1));
    assert_null(memory_text("x"));
    assert_null(memory_resize(NULL, 1, 1));
    assert_true(memory_failed());
    memory_fail_after(-1);
    assert_false(memory_failed());
    memory_free(first);
}

static void free_keeps_errno(void **state)
{
    errno = EINTR;
    memory_free(memory_new(1));
    memory_free(NULL);
    assert_int_equal(errno, EINTR);
}

static void secrets(void **state)
{
    char secret[8] = "abcdefg";

    assert_true(memory_equal_secret("same", "same", 4));
    assert_false(memory_equal_secret("same", "samE", 4));
    assert_true(memory_equal_secret("a", "b", 0));
    memory_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, "\0\0\0\0\0\0\0", 8);
}

#ifdef COUNTS_MAPPINGS
static size_t mapped_count(void)
{
    return mallinfo2().hblks;
}

static void large_blocks_are_given_back(void **state)
{
    size_t before = mapped_count();
    void *block;

    memory_give_back();
    for (int i = 0; i < 3; i++) {
        block = memory_new(8 << 20);
        assert_int_equal(mapped_count(), before + 1);
        memory_free(block);
        assert_int_equal(mapped_count(), before);
    }
}
#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_is_zeroed),
        cmocka_unit_test(array_refuses_overflow),
        cmocka_unit_test(empty_blocks_are_blocks),
        cmocka_unit_test(copy_is_terminated),
        cmocka_unit_test(the_nth_call_fails_and_all_later_ones),
        cmocka_unit_test(free_keeps_errno),
        cmocka_unit_test(secrets),
#ifdef COUNTS_MAPPINGS
        cmocka_unit_test(large_blocks_are_given_back),
#endif
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
