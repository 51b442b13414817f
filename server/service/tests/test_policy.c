/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "server/db/settings.h"
#include "server/service/policy.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static struct policy now(void)
{
    struct policy policy;

    assert_int_equal(policy_get(world.services, &policy, NULL), 0);
    return policy;
}

static int set(const char *key, const char *value, struct refusal *why)
{
    return policy_set(world.services, &world.caller, key, value, why, NULL);
}

/* As another program might. */
static void put(const char *name, const char *value)
{
    const struct setting_change change = { name, value };

    assert_int_equal(setting_put(world.database, &change, 1, &actor_host, NULL), 0);
}

static void test_what_is_not_set(void **state)
{
    assert_int_equal(now().trash_age_s, 7 * 86400);
    assert_int_equal(now().collect_grace_s, 86400);
    assert_int_equal(now().retain_versions, 10);
    assert_int_equal(now().retain_min_age_s, 86400);
}

static void test_setting_and_back(void **state)
{
    assert_int_equal(set("trash_age", "3d", NULL), 0);
    assert_int_equal(set("retain_versions", "0", NULL), 0);
    assert_int_equal(now().trash_age_s, 3 * 86400);
    assert_int_equal(now().retain_versions, 0);
    world_restart(&world);
    assert_int_equal(now().trash_age_s, 3 * 86400);
    assert_int_equal(set("trash_age", NULL, NULL), 0);
    assert_int_equal(now().trash_age_s, 7 * 86400);
}

static void test_what_is_refused(void **state)
{
    static const char *const cases[][2] = { { "trash_age", "soon" },
                                            { "trash_age", "-1" },
                                            { "trash_age", "" },
                                            { "collect_grace", "200000d" },
                                            { "retain_versions", "1000001" },
                                            { "retain_versions", "3d" },
                                            { "retention_schedule", "daily" },
                                            { "retention_schedule", "0 0 30 2 *" },
                                            { "time_zone", "" },
                                            { "time_zone", "../../etc/passwd" },
                                            { "time_zone", "Nowhere/Town" } };
    struct refusal why = { 0 };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set(cases[i][0], cases[i][1], &why), -EINVAL);
        assert_int_equal(why.code, REFUSAL_VALIDATION);
        assert_int_equal(why.pointer[0], '/');
        assert_string_equal(why.pointer + 1, cases[i][0]);
    }
    assert_int_equal(set("nothing", "1", &why), -EINVAL);
}

static void test_texts(void **state)
{
    assert_string_equal(now().retention_schedule, "0 3 * * *");
    assert_string_equal(now().time_zone, "UTC");
    assert_int_equal(set("retention_schedule", "*/5 1-3 * * mon", NULL), 0);
    assert_int_equal(set("time_zone", "Europe/Berlin", NULL), 0);
    assert_string_equal(now().retention_schedule, "*/5 1-3 * * mon");
    assert_string_equal(now().time_zone, "Europe/Berlin");
    for (size_t i = 0; i < 2; i++) {
        struct policy policy;

        assert_int_equal(set("retention_schedule", i == 0 ? "" : "off", NULL), 0);
        policy = now();
        assert_false(policy_has_schedule(&policy));
    }
    assert_int_equal(set("retention_schedule", NULL, NULL), 0);
    assert_int_equal(set("time_zone", NULL, NULL), 0);
    put("retention_schedule", "whenever");
    assert_string_equal(now().retention_schedule, "0 3 * * *");
}

static void test_changes_are_checked_before_the_first_is_set(void **state)
{
    const struct setting_change changes[] = { { "retain_versions", "7" },
                                              { "trash_age", "never" } };
    struct refusal why = { 0 };
    struct policy_entry entries[32], *entry;

    assert_int_equal(set("retain_versions", NULL, NULL), 0);
    assert_int_equal(policy_change(world.services, &world.caller, changes, 2, &why, NULL), -EINVAL);
    assert_string_equal(why.pointer, "/trash_age");
    assert_int_equal(now().retain_versions, 10);
    assert_int_equal(policy_change(world.services, &world.caller, changes, 1, &why, NULL), 0);
    assert_int_equal(now().retain_versions, 7);
    assert_true(policy_key_count() <= sizeof(entries) / sizeof(entries[0]));
    assert_int_equal(policy_entries_get(world.services, entries, NULL), 0);
    for (size_t i = 0; i < policy_key_count(); i++) {
        entry = &entries[i];
        assert_true(entry->help[0] != '\0' && entry->max > 0);
        if (strcmp(entry->key, "retain_versions") == 0) {
            assert_string_equal(entry->value, "7");
            assert_string_equal(entry->fallback, "10");
            assert_int_equal(entry->updated_at_s, world_now());
        }
    }
    assert_int_equal(set("retain_versions", NULL, NULL), 0);
}

/* What another program wrote there is no reason to stop. */
static void test_nonsense_counts_as_the_default(void **state)
{
    put("collect_grace", "never");
    assert_int_equal(now().collect_grace_s, 86400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_set),
        cmocka_unit_test(test_setting_and_back),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_changes_are_checked_before_the_first_is_set),
        cmocka_unit_test(test_nonsense_counts_as_the_default),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
