/* SPDX-License-Identifier: MIT */
#include "server/cache/tests/conformance.h"

#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"

void conformance_expect(struct cache *cache, const char *key, const char *value)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    bool is_there = cache_get(cache, span_text(key), &out);

    assert_int_equal(is_there, value != NULL);
    assert_string_equal(buf_text(&out), value == NULL ? "" : value);
    buf_release(&out);
}

static void put(struct cache *cache, const char *key, const char *value, uint32_t ttl_ms)
{
    cache_put(cache, span_text(key), span_text(value), ttl_ms);
}

static void what_is_put_is_found_until_removed(void **state)
{
    struct cache *cache = conformance_open();

    conformance_expect(cache, "a", NULL);
    put(cache, "a", "one", 0);
    put(cache, "b", "two", 0);
    conformance_expect(cache, "a", "one");
    put(cache, "a", "three", 0);
    conformance_expect(cache, "a", "three");
    conformance_expect(cache, "b", "two");
    cache_remove(cache, span_text("a"));
    cache_remove(cache, span_text("a"));
    conformance_expect(cache, "a", NULL);
    put(cache, "empty", "", 0);
    conformance_expect(cache, "empty", "");
    conformance_close(cache);
}

static void it_ends_with_its_time(void **state)
{
    struct cache *cache = conformance_open();

    put(cache, "a", "one", 1000);
    put(cache, "b", "two", 0);
    conformance_wait(500);
    conformance_expect(cache, "a", "one");
    conformance_wait(600);
    conformance_expect(cache, "a", NULL);
    conformance_expect(cache, "b", "two");
    put(cache, "a", "again", 1000);
    conformance_expect(cache, "a", "again");
    conformance_close(cache);
}

static void any_bytes_are_a_key(void **state)
{
    struct cache *cache = conformance_open();
    uint8_t key[CACHE_KEY_MAX + 1];
    struct buf out = buf_init(100);

    memset(key, 0, sizeof(key));
    cache_put(cache, span_of(key, CACHE_KEY_MAX), span_text("x"), 0);
    assert_true(cache_get(cache, span_of(key, CACHE_KEY_MAX), &out));
    assert_false(cache_get(cache, span_of(key, CACHE_KEY_MAX - 1), &out));
    cache_put(cache, span_of(key, CACHE_KEY_MAX + 1), span_text("x"), 0);
    assert_false(cache_get(cache, span_of(key, CACHE_KEY_MAX + 1), &out));
    cache_put(cache, span_of(key, 0), span_text("x"), 0);
    assert_false(cache_get(cache, span_of(key, 0), &out));
    buf_release(&out);
    conformance_close(cache);
}

static void a_get_appends_or_leaves_alone(void **state)
{
    struct cache *cache = conformance_open();
    struct buf out = buf_init(100);

    buf_add_text(&out, "have ");
    put(cache, "a", "one", 0);
    assert_false(cache_get(cache, span_text("b"), &out));
    assert_true(cache_get(cache, span_text("a"), &out));
    assert_string_equal(buf_text(&out), "have one");
    buf_release(&out);
    conformance_close(cache);
}

static void *work(void *context)
{
    struct cache *cache = context;
    struct buf out = buf_init(BUF_UNLIMITED);
    uint8_t key[2] = { 'k', 0 };
    uint8_t value[64];

    for (unsigned i = 0; i < 5000; i++) {
        key[1] = (uint8_t)(i * 7 % 50);
        memset(value, key[1], sizeof(value));
        if (i % 3 == 0) {
            cache_put(cache, span_of(key, 2), span_of(value, sizeof(value)), 0);
        } else if (i % 11 == 0) {
            cache_remove(cache, span_of(key, 2));
        } else {
            buf_clear(&out);
            if (cache_get(cache, span_of(key, 2), &out)) {
                assert_int_equal(out.size, sizeof(value));
                assert_memory_equal(out.bytes, value, sizeof(value));
            }
        }
    }
    buf_release(&out);
    return NULL;
}

static void threads_see_whole_values(void **state)
{
    struct cache *cache = conformance_open();
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, cache), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    conformance_close(cache);
}

static void without_memory_it_is_a_miss(void **state)
{
    struct cache *cache = conformance_open();

    put(cache, "a", "one", 0);
    memory_fail_after(0);
    put(cache, "a", "two", 0);
    put(cache, "b", "two", 0);
    memory_fail_after(-1);
    conformance_expect(cache, "a", NULL); /* never the old value after a put */
    conformance_expect(cache, "b", NULL);
    conformance_close(cache);
}

static const struct CMUnitTest cases[] = {
    cmocka_unit_test(what_is_put_is_found_until_removed),
    cmocka_unit_test(it_ends_with_its_time),
    cmocka_unit_test(any_bytes_are_a_key),
    cmocka_unit_test(a_get_appends_or_leaves_alone),
    cmocka_unit_test(threads_see_whole_values),
    cmocka_unit_test(without_memory_it_is_a_miss),
};

int conformance_run(const char *name, const struct CMUnitTest *own, size_t own_count)
{
    enum { SHARED = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest all[SHARED + CONFORMANCE_OWN_MAX];

    assert_true(own_count <= CONFORMANCE_OWN_MAX);
    memcpy(all, cases, sizeof(cases));
    memcpy(all + SHARED, own, own_count * sizeof(*own));
    return _cmocka_run_group_tests(name, all, SHARED + own_count, NULL, NULL);
}
