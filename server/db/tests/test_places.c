/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "server/db/apps.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static void asking_makes_nothing(void **state)
{
    struct project project;
    struct app app;
    struct app *apps;
    size_t count;

    assert_int_equal(project_get(DB(state), "shop", &project, NULL), -ENOENT);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), -ENOENT);
    assert_int_equal(app_list(DB(state), "shop", NULL, NULL, 10, &apps, &count, NULL), -ENOENT);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 0);
}

static void putting_twice_makes_one(void **state)
{
    struct project project;
    struct app app;
    bool created;

    assert_int_equal(app_put(DB(state), "shop", "api", &actor_host, &app, &created, NULL), 0);
    assert_true(created);
    assert_int_equal(app_put(DB(state), "shop", "api", &actor_host, &app, &created, NULL), 0);
    assert_false(created);
    assert_int_equal(project_put(DB(state), "shop", &actor_host, &project, &created, NULL), 0);
    assert_false(created);
    assert_int_equal(project.app_count, 1);
    assert_int_equal(project.created_at_s, fixture_now);
    assert_string_equal(app.project, "shop");
    assert_int_equal(fixture_integer(DB(state),
                                     "SELECT count(*) FROM events"
                                     " WHERE type IN ('project.created', 'app.created')"),
                     2);
}

static void lists_go_by_name_in_pages(void **state)
{
    struct project *items;
    struct app *apps;
    struct app app;
    size_t count;

    assert_int_equal(app_put(DB(state), "b", "x", &actor_host, &app, NULL, NULL), 0);
    assert_int_equal(app_put(DB(state), "a", "x", &actor_host, &app, NULL, NULL), 0);
    assert_int_equal(app_put(DB(state), "B", "x", &actor_host, &app, NULL, NULL), 0);
    assert_int_equal(app_put(DB(state), "a", "w", &actor_host, &app, NULL, NULL), 0);
    assert_int_equal(project_list(DB(state), NULL, NULL, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "B"); /* bytes, not letters */
    assert_string_equal(items[1].name, "a");
    memory_free(items);
    assert_int_equal(project_list(DB(state), NULL, "a", 2, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].name, "b");
    memory_free(items);
    assert_int_equal(project_list(DB(state), "a", NULL, 9, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    memory_free(items);
    assert_int_equal(project_list(DB(state), NULL, "b", 2, &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_null(items);
    assert_int_equal(app_list(DB(state), "a", NULL, NULL, 9, &apps, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(apps[0].name, "w");
    memory_free(apps);
    assert_int_equal(app_list(DB(state), "a", "x", NULL, 9, &apps, &count, NULL), 0);
    assert_int_equal(count, 1);
    memory_free(apps);
}

static void an_app_tells_its_latest_version(void **state)
{
    struct app app;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    fixture_now++;
    fixture_version(DB(state), "shop", "api", "2", 2000, 0, 1);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 2);
    assert_string_equal(app.latest, "2");
    assert_string_equal(app.live, "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(asking_makes_nothing),
        CASE(putting_twice_makes_one),
        CASE(lists_go_by_name_in_pages),
        CASE(an_app_tells_its_latest_version),
    };

    return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
