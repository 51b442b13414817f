/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/memory.h"
#include "server/db/acts.h"
#include "server/db/audit.h"
#include "server/db/settings.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static void put(struct database *database, const char *name, const char *value)
{
    const struct setting_change change = { name, value };

    assert_int_equal(setting_put(database, &change, 1, &actor_host, NULL), 0);
}

static void a_setting_is_replaced(void **state)
{
    struct setting *items;
    size_t count;

    assert_int_equal(setting_list(DB(state), &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    put(DB(state), "retain", "10");
    put(DB(state), "age", "");
    put(DB(state), "retain", "12");
    assert_int_equal(setting_list(DB(state), &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "age");
    assert_string_equal(items[0].value, "");
    assert_string_equal(items[1].name, "retain");
    assert_string_equal(items[1].value, "12");
    assert_int_equal(items[1].updated_at_s, fixture_now);
    assert_string_equal(items[1].updated_by, "host");
    setting_list_free(items, count);
    put(DB(state), "age", NULL);
    put(DB(state), "retain", NULL);
    assert_int_equal(setting_list(DB(state), &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    setting_list_free(items, count);
}

/* Also of an item that is half read nothing stays behind. */
static void a_list_without_memory(void **state)
{
    struct setting *items;
    size_t count;

    for (int i = 0; i < 4; i++)
        put(DB(state), (const char *[]){ "a", "b", "c", "d" }[i], "value");
    for (int64_t n = 0;; n++) {
        bool failed;
        int r;

        memory_fail_after(n);
        r = setting_list(DB(state), &items, &count, NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        if (!failed) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ENOMEM);
    }
    assert_int_equal(count, 4);
    setting_list_free(items, count);
}

static void several_settings_are_put_together_or_not(void **state)
{
    const struct setting_change good[] = { { "retain", "1" }, { "age", "2" } };
    const struct setting_change bad[] = { { "retain", "3" }, { NULL, "4" } };

    assert_int_equal(setting_put(DB(state), good, 2, &actor_host, NULL), 0);
    assert_true(setting_put(DB(state), bad, 2, &actor_host, NULL) < 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM settings"
                                                " WHERE value IN ('1', '2')"),
                     2);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM events"
                                                " WHERE type = 'config.changed'"),
                     2);
}

static void a_shared_key_stays(void **state)
{
    struct fixture *fixture = *state;
    unsigned char first[SHARED_KEY_SIZE];
    unsigned char again[SHARED_KEY_SIZE];
    unsigned char other[SHARED_KEY_SIZE];

    assert_int_equal(shared_key_get(DB(state), "cookie", first, NULL), 0);
    assert_int_equal(shared_key_get(DB(state), "audit", other, NULL), 0);
    fixture_reopen(fixture);
    assert_int_equal(shared_key_get(DB(state), "cookie", again, NULL), 0);
    assert_memory_equal(first, again, SHARED_KEY_SIZE);
    assert_memory_not_equal(first, other, SHARED_KEY_SIZE);
}

static void audit_is_kept(void **state)
{
    struct audit_entry entry = { .operation = "token.use", .actor = "host", .result = "ok" };

    assert_true(audit_add(DB(state), &entry, NULL) >= 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit"
                                                " WHERE operation = 'token.use'"),
                     1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_setting_is_replaced),
        CASE(a_list_without_memory),
        CASE(several_settings_are_put_together_or_not),
        CASE(a_shared_key_stays),
        CASE(audit_is_kept),
    };

    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
