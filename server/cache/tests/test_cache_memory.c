/* SPDX-License-Identifier: MIT */
#include "server/cache/cache_memory.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "server/cache/tests/conformance.h"

static uint64_t now;

static uint64_t now_ms(void)
{
    return now;
}

void conformance_wait(uint32_t ms)
{
    now += ms;
}

struct cache *conformance_open(void)
{
    struct cache *cache;

    now = 1000;
    assert_int_equal(cache_memory_new(128 * 1024, now_ms, &cache, NULL), 0);
    return cache;
}

void conformance_close(struct cache *cache)
{
    assert_null(cache_free(cache));
}

static void the_least_recently_used_goes_first(void **state)
{
    struct cache *cache;
    struct cache_counts counts;
    struct buf out = buf_init(BUF_UNLIMITED);
    uint8_t value[100] = { 0 };

    assert_int_equal(cache_memory_new(1000, now_ms, &cache, NULL), 0);
    cache_put(cache, span_text("a"), span_of(value, 100), 0);
    cache_put(cache, span_text("b"), span_of(value, 100), 0);
    cache_put(cache, span_text("c"), span_of(value, 100), 0);
    assert_true(cache_get(cache, span_text("a"), &out));
    cache_put(cache, span_text("d"), span_of(value, 100), 0); /* no room for four */
    assert_false(cache_get(cache, span_text("b"), &out));
    assert_true(cache_get(cache, span_text("a"), &out));
    assert_true(cache_get(cache, span_text("d"), &out));
    cache_count(cache, &counts);
    assert_int_equal(counts.items, 3);
    assert_true(counts.bytes <= 1000);
    assert_int_equal(counts.evictions, 1);
    assert_int_equal(counts.hits, 3);
    assert_int_equal(counts.misses, 1);
    buf_release(&out);
    conformance_close(cache);
}

static void one_value_does_not_take_the_room_of_all(void **state)
{
    struct cache *cache;
    struct buf out = buf_init(BUF_UNLIMITED);
    static uint8_t value[20000];

    assert_int_equal(cache_memory_new(100000, now_ms, &cache, NULL), 0);
    cache_put(cache, span_text("a"), span_text("small"), 0);
    cache_put(cache, span_text("b"), span_of(value, sizeof(value)), 0);
    cache_put(cache, span_text("a"), span_of(value, sizeof(value)), 0);
    assert_false(cache_get(cache, span_text("b"), &out));
    assert_false(cache_get(cache, span_text("a"), &out)); /* the old value is not right any more */
    buf_release(&out);
    conformance_close(cache);
}

static int make(void)
{
    struct cache *cache = NULL;
    int r = cache_memory_new(1000, NULL, &cache, NULL);

    cache_free(cache);
    return r;
}

static void making_survives_no_memory(void **state)
{
    assert_survives_no_memory(make());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(one_value_does_not_take_the_room_of_all),
        cmocka_unit_test(making_survives_no_memory),
    };

    return conformance_run("cache_memory", tests, sizeof(tests) / sizeof(tests[0]));
}
