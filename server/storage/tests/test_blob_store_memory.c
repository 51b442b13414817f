/* SPDX-License-Identifier: MIT */
#include "server/storage/blob_store_memory.h"

#include <errno.h>

#include "server/storage/tests/conformance.h"

struct blob_store *conformance_open(void **state)
{
    struct blob_store *store;

    assert_int_equal(blob_store_memory_new(CONFORMANCE_ID, 100000000, &store, NULL), 0);
    return store;
}

void conformance_close(void **state, struct blob_store *store)
{
    assert_null(blob_store_free(store));
}

static void a_full_store_says_so(void **state)
{
    struct blob_store *store;
    uint64_t left;

    assert_int_equal(blob_store_memory_new(CONFORMANCE_ID, 100, &store, NULL), 0);
    assert_int_equal(conformance_put(store, "aaaa1111", 1, 60), 0);
    assert_int_equal(conformance_put(store, "bbbb1111", 1, 60), -ENOSPC);
    assert_int_equal(blob_store_free_space(store, &left, NULL), 0);
    assert_int_equal(left, 40); /* what failed is forgotten */
    assert_int_equal(blob_store_remove(store, "aaaa1111", NULL), 0);
    assert_int_equal(conformance_put(store, "cccc1111", 1, 100), 0);
    blob_store_free(store);
}

static void an_id_has_its_form(void **state)
{
    struct blob_store *store;

    assert_int_equal(blob_store_memory_new("x", 100, &store, NULL), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_store_says_so),
        cmocka_unit_test(an_id_has_its_form),
    };

    return conformance_run("blob_store_memory", tests, sizeof(tests) / sizeof(tests[0]));
}
