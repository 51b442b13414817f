/* SPDX-License-Identifier: MIT */
/* The rules of freshness and waiting, with a fake clock and a fetcher that the test answers by
 * hand. */
#include "fs/catalog/catalog.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

static uint64_t fake_ms;

static uint64_t fake_clock(void)
{
    return fake_ms;
}

struct world {
    struct http_loop *loop;
    struct catalog *catalog;
    int fetches;
    catalog_fetched *fetched; /* what the fetch that runs will call */
    void *fetched_context;
    int refuse; /* the fetch cannot be started */
    int told, told_code;
    size_t told_count;
};

static int fetch(void *context, const char *project, const char *app, uint64_t deadline_ms,
                 catalog_fetched *done, void *done_context, struct error *err)
{
    struct world *world = context;

    if (world->refuse != 0)
        return error_set(err, world->refuse, "refused");
    world->fetches++;
    world->fetched = done;
    world->fetched_context = done_context;
    return 0;
}

static int number(void *context, const char *project, const char *app,
                  const struct catalog_item *item, uint64_t *out_node)
{
    *out_node = (uint64_t)(unsigned char)item->name[0];
    return 0;
}

static void told(void *context, struct catalog_list *list, const struct error *err)
{
    struct world *world = context;

    world->told++;
    world->told_code = err != NULL ? err->code : 0;
    world->told_count = list != NULL ? catalog_list_count(list) : 0;
}

static void turn(struct world *world)
{
    assert_int_equal(http_loop_run_once(world->loop, 0, NULL), 0);
    assert_int_equal(http_loop_run_once(world->loop, 0, NULL), 0);
}

static void answer(struct world *world, const char *names)
{
    struct catalog_list *list = catalog_list_new();

    for (; *names != '\0'; names++) {
        char name[2] = { *names, 0 };
        assert_int_equal(catalog_list_add(list, name, 0, NULL), 0);
    }
    world->fetched(world->fetched_context, list, NULL);
}

static void break_off(struct world *world, int code)
{
    struct error err = { .code = code };

    world->fetched(world->fetched_context, NULL, &err);
}

static void make(struct world *world, const char *only_project, const char *only_app)
{
    struct catalog_options options = { .fetch = fetch,
                                       .fetch_context = world,
                                       .number = number,
                                       .clock_ms = fake_clock,
                                       .only_project = only_project,
                                       .only_app = only_app };

    fake_ms = 1000;
    *world = (struct world){ 0 };
    assert_int_equal(http_loop_new(&world->loop, NULL, NULL), 0);
    options.loop = world->loop;
    assert_int_equal(catalog_new(&world->catalog, &options, NULL), 0);
}

static void ask(struct world *world, const char *project)
{
    assert_int_equal(catalog_ask(world->catalog, project, NULL, UINT64_MAX, told, world, NULL), 0);
    turn(world);
}

static void unmake(struct world *world)
{
    catalog_free(world->catalog);
    http_loop_free(world->loop);
}

static void all_who_wait_share_one_request(void **state)
{
    struct world world;
    bool fresh = true;

    make(&world, NULL, NULL);
    assert_null(catalog_peek(world.catalog, NULL, NULL, &fresh));
    assert_false(fresh);
    ask(&world, NULL);
    ask(&world, NULL);
    ask(&world, NULL);
    assert_int_equal(world.fetches, 1);
    assert_int_equal(world.told, 0);
    answer(&world, "ab");
    assert_int_equal(world.told, 3);
    assert_int_equal(world.told_count, 2);
    unmake(&world);
}

static void a_fresh_list_is_not_asked_for_again(void **state)
{
    struct catalog_list *list;
    struct world world;
    bool fresh = false;

    make(&world, NULL, NULL);
    ask(&world, NULL);
    answer(&world, "ab");
    ask(&world, NULL);
    assert_int_equal(world.fetches, 1);
    assert_int_equal(world.told, 2);
    fake_ms += CATALOG_CERTAIN_MS; /* fresh, but a name that it lacks may be there by now */
    list = catalog_peek(world.catalog, NULL, NULL, &fresh);
    assert_true(fresh);
    catalog_list_unref(list);
    ask(&world, NULL);
    assert_int_equal(world.fetches, 2);
    answer(&world, "ab");
    fake_ms += CATALOG_FRESH_MS;
    list = catalog_peek(world.catalog, NULL, NULL, &fresh);
    assert_false(fresh);
    assert_int_equal(catalog_list_count(list), 2); /* old, and shown */
    catalog_list_unref(list);
    catalog_refresh(world.catalog, NULL, NULL, UINT64_MAX);
    catalog_refresh(world.catalog, NULL, NULL, UINT64_MAX);
    turn(&world);
    assert_int_equal(world.fetches, 3);
    answer(&world, "abc");
    list = catalog_peek(world.catalog, NULL, NULL, &fresh);
    assert_true(fresh);
    assert_int_equal(catalog_list_count(list), 3);
    catalog_list_unref(list);
    unmake(&world);
}

static void the_time_of_a_directory_changes_with_its_list_only(void **state)
{
    struct catalog_list *list[3];
    const char *const answers[] = { "ab", "ab", "abc" };
    struct world world;
    bool fresh;

    make(&world, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        fake_ms += CATALOG_FRESH_MS;
        ask(&world, NULL);
        answer(&world, answers[i]);
        list[i] = catalog_peek(world.catalog, NULL, NULL, &fresh);
    }
    assert_true(catalog_list_changed_ns(list[0]) == catalog_list_changed_ns(list[1]));
    assert_true(catalog_list_changed_ns(list[1]) < catalog_list_changed_ns(list[2]));
    for (size_t i = 0; i < 3; i++)
        catalog_list_unref(list[i]);
    unmake(&world);
}

static void a_failure_keeps_the_list_and_is_not_asked_for_at_once(void **state)
{
    struct catalog_list *list;
    struct world world;
    bool fresh;

    make(&world, NULL, NULL);
    ask(&world, NULL);
    answer(&world, "ab");
    fake_ms += CATALOG_FRESH_MS;
    ask(&world, NULL);
    break_off(&world, -EAGAIN);
    assert_int_equal(world.told_code, -EAGAIN);
    assert_int_equal(catalog_last_result(world.catalog), -EAGAIN);
    ask(&world, NULL);
    assert_int_equal(world.told, 3);
    assert_int_equal(world.told_code, -EAGAIN);
    assert_int_equal(world.fetches, 2);
    list = catalog_peek(world.catalog, NULL, NULL, &fresh);
    assert_int_equal(catalog_list_count(list), 2);
    catalog_list_unref(list);
    fake_ms += CATALOG_FRESH_MS;
    ask(&world, NULL);
    assert_int_equal(world.fetches, 3);
    answer(&world, "b");
    assert_int_equal(world.told_count, 1);
    unmake(&world);
}

static void a_fetch_that_does_not_start_is_a_failure(void **state)
{
    struct world world;

    make(&world, NULL, NULL);
    world.refuse = -EACCES;
    ask(&world, "p");
    assert_int_equal(world.told, 1);
    assert_int_equal(world.told_code, -EACCES);
    unmake(&world);
}

static void only_one_name_is_shown_and_not_asked_for(void **state)
{
    struct catalog_list *list;
    struct world world;
    bool fresh = false;

    make(&world, "p", "a");
    list = catalog_peek(world.catalog, NULL, NULL, &fresh);
    assert_true(fresh);
    assert_non_null(catalog_list_find(list, "p"));
    catalog_list_unref(list);
    list = catalog_peek(world.catalog, "p", NULL, &fresh);
    assert_true(fresh);
    assert_non_null(catalog_list_find(list, "a"));
    catalog_list_unref(list);
    ask(&world, NULL);
    assert_int_equal(world.fetches, 0);
    assert_int_equal(world.told_count, 1);
    assert_null(catalog_peek(world.catalog, "p", "a", &fresh));
    unmake(&world);
}

static void who_still_waits_at_the_end_is_told(void **state)
{
    struct world world;

    make(&world, NULL, NULL);
    ask(&world, NULL);
    unmake(&world);
    assert_int_equal(world.told, 1);
    assert_int_equal(world.told_code, -ECANCELED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_who_wait_share_one_request),
        cmocka_unit_test(a_fresh_list_is_not_asked_for_again),
        cmocka_unit_test(the_time_of_a_directory_changes_with_its_list_only),
        cmocka_unit_test(a_failure_keeps_the_list_and_is_not_asked_for_at_once),
        cmocka_unit_test(a_fetch_that_does_not_start_is_a_failure),
        cmocka_unit_test(only_one_name_is_shown_and_not_asked_for),
        cmocka_unit_test(who_still_waits_at_the_end_is_told),
    };

    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
