/* SPDX-License-Identifier: MIT */
#include "common/base/map.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void hash_depends_on_every_byte_and_the_key(void **state)
{
    uint64_t key[2] = { 1, 2 }, other[2] = { 1, 3 };
    uint8_t bytes[40] = { 0 };

    for (size_t size = 0; size <= sizeof(bytes); size++) {
        uint64_t hash = map_hash(key, span_of(bytes, size));
        assert_true(hash != map_hash(other, span_of(bytes, size)));
        for (size_t i = 0; i < size; i++) {
            bytes[i] = 1;
            assert_true(hash != map_hash(key, span_of(bytes, size)));
            bytes[i] = 0;
        }
    }
}

static void set_get_remove(void **state)
{
    cleanup(map_release) struct map map = map_init();
    int a = 1, b = 2;
    void *old = &a;

    assert_null(map_get(&map, span_text("x")));
    assert_int_equal(map_set(&map, span_text("x"), &a, &old), 0);
    assert_null(old);
    assert_int_equal(map_set(&map, span_text("x"), &b, &old), 0);
    assert_ptr_equal(old, &a);
    assert_ptr_equal(map_get(&map, span_text("x")), &b);
    assert_ptr_equal(map_remove(&map, span_text("x")), &b);
    assert_null(map_remove(&map, span_text("x")));
    assert_false(map_has(&map, span_text("x")));
    assert_int_equal(map.count, 0);
}

static void many_keys_come_and_go(void **state)
{
    cleanup(map_release) struct map map = map_init();
    size_t at = 0, seen = 0;
    struct span key;
    void *value;

    for (uint32_t i = 0; i < 20000; i++) {
        assert_int_equal(map_set(&map, span_of(&i, sizeof(i)), (void *)(uintptr_t)(i + 1), NULL),
                         0);
        if (i >= 1000) {
            uint32_t gone = i - 1000;
            assert_int_equal((uintptr_t)map_remove(&map, span_of(&gone, sizeof(gone))), gone + 1);
        }
    }
    assert_int_equal(map.count, 1000);
    assert_true(map.capacity <= 4096); /* removed places are used again */
    while (map_next(&map, &at, &key, &value))
        seen++;
    assert_int_equal(seen, 1000);
}

static int fill(void)
{
    cleanup(map_release) struct map map = map_init();

    for (uint32_t i = 0; i < 100; i++) {
        int r = map_set(&map, span_of(&i, sizeof(i)), &map, NULL);
        if (r < 0)
            return map.count == i ? r : -EINVAL;
    }
    return 0;
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(fill());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_depends_on_every_byte_and_the_key),
        cmocka_unit_test(set_get_remove),
        cmocka_unit_test(many_keys_come_and_go),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
