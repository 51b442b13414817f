/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "server/db/tests/fixture.h"
#include "server/db/tokens.h"

#define DB(state) (((struct fixture *)*(state))->database)

static const struct token made = { .id = "abcdefghijkl",
                                   .hash = "$argon2id$x",
                                   .name = "deploy",
                                   .project = "shop",
                                   .permissions = 5,
                                   .expires_at_s = 1800000000 };

static void a_token_is_found_as_it_was_made(void **state)
{
    struct token found;

    assert_int_equal(token_create(DB(state), &made, &actor_host, NULL), 0);
    assert_int_equal(token_create(DB(state), &made, &actor_host, NULL), -EEXIST);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit WHERE operation ="
                                                " 'token.create' AND data LIKE '%abcdefghijkl%'"),
                     1);
    assert_int_equal(token_get(DB(state), made.id, &found, NULL), 0);
    assert_string_equal(found.hash, made.hash);
    assert_string_equal(found.name, made.name);
    assert_string_equal(found.project, "shop");
    assert_string_equal(found.app, "");
    assert_int_equal(found.permissions, 5);
    assert_int_equal(found.expires_at_s, made.expires_at_s);
    assert_int_equal(found.created_at_s, fixture_now);
    assert_int_equal(found.revoked_at_s, 0);
    assert_int_equal(found.last_used_s, 0);
    assert_int_equal(token_get(DB(state), "nnnnnnnnnnnn", &found, NULL), -ENOENT);
}

static void every_change_moves_the_epoch(void **state)
{
    uint64_t epoch = database_epoch(DB(state));
    struct token found;

    assert_int_equal(token_create(DB(state), &made, &actor_host, NULL), 0);
    assert_true(database_epoch(DB(state)) > epoch);
    epoch = database_epoch(DB(state));
    assert_int_equal(token_used(DB(state), made.id, NULL), 0);
    assert_true(database_epoch(DB(state)) == epoch);
    assert_int_equal(token_revoke(DB(state), made.id, &actor_host, NULL), 0);
    assert_true(database_epoch(DB(state)) > epoch);
    epoch = database_epoch(DB(state));
    assert_int_equal(token_revoke(DB(state), made.id, &actor_host, NULL), 0);
    assert_true(database_epoch(DB(state)) == epoch);
    assert_int_equal(token_get(DB(state), made.id, &found, NULL), 0);
    assert_int_equal(found.revoked_at_s, fixture_now);
    assert_int_equal(token_revoke(DB(state), "nnnnnnnnnnnn", &actor_host, NULL), -ENOENT);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit WHERE actor = 'host'"
                                                " AND operation = 'token.revoke'"),
                     1);
}

static void use_is_noted_once_a_minute(void **state)
{
    struct token found;
    int64_t first = fixture_now;

    assert_int_equal(token_create(DB(state), &made, &actor_host, NULL), 0);
    assert_int_equal(token_used(DB(state), made.id, NULL), 0);
    fixture_now += 30;
    assert_int_equal(token_used(DB(state), made.id, NULL), 0);
    assert_int_equal(token_get(DB(state), made.id, &found, NULL), 0);
    assert_int_equal(found.last_used_s, first);
    fixture_now += 31;
    assert_int_equal(token_used(DB(state), made.id, NULL), 0);
    assert_int_equal(token_get(DB(state), made.id, &found, NULL), 0);
    assert_int_equal(found.last_used_s, fixture_now);
}

static void all_are_listed_newest_first(void **state)
{
    struct token *items;
    size_t count;

    fixture_now++;
    assert_int_equal(token_create(DB(state), &made, &actor_host, NULL), 0);
    assert_int_equal(token_list(DB(state), &items, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_string_equal(items[0].id, made.id);
    memory_free(items);
}

static void an_app_needs_a_project(void **state)
{
    struct token token = made;

    token.project[0] = '\0';
    memcpy(token.app, "api", 4);
    assert_int_equal(token_create(DB(state), &token, &actor_host, NULL), -EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_token_is_found_as_it_was_made), CASE(every_change_moves_the_epoch),
        CASE(use_is_noted_once_a_minute),      CASE(all_are_listed_newest_first),
        CASE(an_app_needs_a_project),
    };

    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
