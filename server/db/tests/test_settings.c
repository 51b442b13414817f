/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/buf.h"
#include "server/db/acts.h"
#include "server/db/audit.h"
#include "server/db/settings.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static void a_setting_is_replaced(void **state)
{
    struct buf value = buf_init(100);
    struct setting_change change;

    assert_int_equal(setting_get(DB(state), "retain", &value, NULL), -ENOENT);
    assert_true(setting_put(DB(state), "retain", "10", &actor_host, NULL) >= 0);
    assert_true(setting_put(DB(state), "retain", "12", &actor_host, NULL) >= 0);
    assert_int_equal(setting_get(DB(state), "retain", &value, NULL), 0);
    assert_string_equal(buf_text(&value), "12");
    buf_clear(&value);
    assert_int_equal(setting_get_changed(DB(state), "retain", &value, &change, NULL), 0);
    assert_int_equal(change.at_s, fixture_now);
    assert_string_equal(change.by, "host");
    buf_release(&value);
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
        CASE(a_shared_key_stays),
        CASE(audit_is_kept),
    };

    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
