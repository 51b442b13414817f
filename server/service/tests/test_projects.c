/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/db/retention.h"
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

static void test_put_and_get(void **state)
{
    struct project_info project;
    struct app_info app;
    struct refusal why = { 0 };

    assert_int_equal(projects_put(world.services, &world.caller, "one", NULL, &project, NULL, NULL),
                     1);
    assert_int_equal(projects_put(world.services, &world.caller, "one", NULL, &project, NULL, NULL),
                     0);
    assert_string_equal(project.project, "one");
    assert_int_equal(project.created_at_s, world_now());
    assert_int_equal(apps_put(world.services, &world.caller, "two", "api", NULL, &app, NULL, NULL),
                     1);
    assert_int_equal(apps_put(world.services, &world.caller, "two", "api", NULL, &app, NULL, NULL),
                     0);
    assert_string_equal(app.project, "two");
    assert_string_equal(app.app, "api");
    assert_string_equal(app.latest, "");
    assert_int_equal(projects_get(world.services, &world.caller.identity, "two", &project, NULL,
                                  NULL),
                     0);
    assert_int_equal(project.app_count, 1);
    assert_int_equal(projects_get(world.services, &world.caller.identity, "none", &project, &why,
                                  NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(apps_get(world.services, &world.caller.identity, "one", "none", &app, NULL,
                              NULL),
                     -ENOENT);
    assert_int_equal(projects_put(world.services, &world.caller, "..", NULL, &project, &why, NULL),
                     -EINVAL);
    assert_int_equal(apps_put(world.services, &world.caller, "two", "a/b", NULL, &app, &why, NULL),
                     -EINVAL);
}

static void test_rights(void **state)
{
    struct caller pusher, admin, of_app;
    struct project_info project;
    struct app_info app;
    char text[64];

    world_token(&world, NULL, NULL, ACCESS_PUSH | ACCESS_PULL, &pusher, text);
    world_token(&world, "mine", NULL, ACCESS_ADMIN, &admin, text);
    world_token(&world, "mine", "a", ACCESS_ADMIN, &of_app, text);
    assert_int_equal(projects_put(world.services, &pusher, "x", NULL, &project, NULL, NULL),
                     -EACCES);
    assert_int_equal(projects_put(world.services, &admin, "theirs", NULL, &project, NULL, NULL),
                     -ENOENT);
    assert_int_equal(projects_put(world.services, &of_app, "mine", NULL, &project, NULL, NULL),
                     -EACCES);
    assert_int_equal(projects_put(world.services, &admin, "mine", NULL, &project, NULL, NULL), 1);
    assert_int_equal(apps_put(world.services, &of_app, "mine", "a", NULL, &app, NULL, NULL), 1);
    assert_int_equal(apps_put(world.services, &of_app, "mine", "b", NULL, &app, NULL, NULL),
                     -ENOENT);
    assert_int_equal(apps_put(world.services, &admin, "mine", "b", NULL, &app, NULL, NULL), 1);
    /* The token of one app sees that app, and its project with it alone. */
    assert_int_equal(projects_get(world.services, &of_app.identity, "mine", &project, NULL, NULL),
                     0);
    assert_int_equal(project.app_count, 1);
    assert_int_equal(apps_get(world.services, &of_app.identity, "mine", "b", &app, NULL, NULL),
                     -ENOENT);
}

static void test_pages(void **state)
{
    struct page_request request = { .limit = 7 };
    char names[40][NAME_TEXT_SIZE];
    char cursor[CURSOR_SIZE] = "";
    struct project_page page;
    struct app_info app;
    size_t seen = 0;
    int pages = 0;

    for (int i = 0; i < 30; i++) {
        char name[16];

        snprintf(name, sizeof(name), "app%02d", (i * 7) % 30);
        assert_int_equal(apps_put(world.services, &world.caller, "pages", name, NULL, &app, NULL,
                                  NULL),
                         1);
        snprintf(name, sizeof(name), "zz%02d", i);
        assert_int_equal(apps_put(world.services, &world.caller, name, "a", NULL, &app, NULL, NULL),
                         1);
    }
    do {
        struct app_page apps;

        request.cursor = cursor;
        assert_int_equal(apps_list(world.services, &world.caller.identity, "pages", &request, &apps,
                                   NULL, NULL),
                         0);
        for (size_t i = 0; i < apps.count; i++) {
            memcpy(names[seen], apps.items[i].app, NAME_TEXT_SIZE);
            assert_true(seen == 0 || strcmp(names[seen - 1], names[seen]) < 0);
            seen++;
        }
        memcpy(cursor, apps.next_cursor, sizeof(cursor));
        app_page_release(&apps);
        pages++;
    } while (cursor[0] != '\0');
    assert_int_equal(seen, 30);
    assert_int_equal(pages, 5);
    seen = 0;
    do {
        request.cursor = cursor;
        assert_int_equal(projects_list(world.services, &world.caller.identity, &request, &page,
                                       NULL, NULL),
                         0);
        seen += page.count;
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        project_page_release(&page);
    } while (cursor[0] != '\0');
    assert_true(seen >= 31);
    request.cursor = "0203";
    assert_int_equal(projects_list(world.services, &world.caller.identity, &request, &page, NULL,
                                   NULL),
                     -EINVAL);
    request = (struct page_request){ .limit = 501 };
    assert_int_equal(projects_list(world.services, &world.caller.identity, &request, &page, NULL,
                                   NULL),
                     -EINVAL);
}

static void test_lists_hold_what_is_seen(void **state)
{
    struct caller of_project, of_app, blind;
    struct project_page projects;
    struct app_page apps;
    struct app_info app;
    struct refusal why = { 0 };
    char text[64];

    assert_int_equal(apps_put(world.services, &world.caller, "seen", "a", NULL, &app, NULL, NULL),
                     1);
    assert_int_equal(apps_put(world.services, &world.caller, "seen", "b", NULL, &app, NULL, NULL),
                     1);
    world_token(&world, "seen", NULL, ACCESS_PULL, &of_project, text);
    world_token(&world, "seen", "b", ACCESS_PULL, &of_app, text);
    world_token(&world, "absent", NULL, ACCESS_PULL, &blind, text);
    assert_int_equal(projects_list(world.services, &of_project.identity, NULL, &projects, NULL,
                                   NULL),
                     0);
    assert_int_equal(projects.count, 1);
    assert_int_equal(projects.items[0].app_count, 2);
    project_page_release(&projects);
    assert_int_equal(projects_list(world.services, &of_app.identity, NULL, &projects, NULL, NULL),
                     0);
    assert_int_equal(projects.count, 1);
    assert_int_equal(projects.items[0].app_count, 1);
    project_page_release(&projects);
    assert_int_equal(apps_list(world.services, &of_app.identity, "seen", NULL, &apps, NULL, NULL),
                     0);
    assert_int_equal(apps.count, 1);
    assert_string_equal(apps.items[0].app, "b");
    app_page_release(&apps);
    assert_int_equal(projects_list(world.services, &blind.identity, NULL, &projects, NULL, NULL),
                     0);
    assert_int_equal(projects.count, 0);
    project_page_release(&projects);
    assert_int_equal(apps_list(world.services, &blind.identity, "seen", NULL, &apps, &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
}

static void test_how_many_versions_stay(void **state)
{
    struct project_info project;
    struct app_info app;
    struct refusal why = { 0 };
    int64_t retain = 3;

    assert_int_equal(apps_put(world.services, &world.caller, "kept", "a", &retain, &app, NULL,
                              NULL),
                     1);
    assert_int_equal(app.retain_versions, 3);
    retain = 0;
    assert_int_equal(projects_put(world.services, &world.caller, "kept", &retain, &project, NULL,
                                  NULL),
                     0);
    assert_int_equal(project.retain_versions, 0);
    assert_int_equal(apps_put(world.services, &world.caller, "kept", "a", NULL, &app, NULL, NULL),
                     0);
    assert_int_equal(app.retain_versions, 3); /* not said: left */
    retain = RETENTION_INHERIT;
    assert_int_equal(apps_put(world.services, &world.caller, "kept", "a", &retain, &app, NULL,
                              NULL),
                     0);
    assert_int_equal(app.retain_versions, -1);
    retain = POLICY_RETAIN_MAX + 1;
    assert_int_equal(apps_put(world.services, &world.caller, "kept", "a", &retain, &app, &why,
                              NULL),
                     -EINVAL);
    assert_string_equal(why.pointer, "/retain_versions");
    /* and nothing is made by what is refused */
    assert_int_equal(apps_put(world.services, &world.caller, "wrong", "a", &retain, &app, &why,
                              NULL),
                     -EINVAL);
    assert_int_equal(projects_put(world.services, &world.caller, "wrong", &retain, &project, &why,
                                  NULL),
                     -EINVAL);
    assert_int_equal(projects_get(world.services, &world.caller.identity, "wrong", &project, &why,
                                  NULL),
                     -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_many_versions_stay),
        cmocka_unit_test(test_put_and_get),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_lists_hold_what_is_seen),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
