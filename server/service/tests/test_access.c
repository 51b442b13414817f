/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/database.h"
#include "server/service/context.h"
#include "server/service/gate.h"
#include "server/service/tests/world.h"
#include "server/service/tokens.h"

static int setup(void **state)
{
    static struct world world;

    world_open(&world, WORLD_MEMORY);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

static int identify(struct world *world, const char *text, struct identity *out,
                    enum refusal_code *out_code)
{
    struct refusal why = { 0 };
    struct error err = { 0 };
    int r = access_identify(world->services, span_text(text), out, &why, &err);

    *out_code = why.code;
    assert_null(strstr(err.text, text));
    return r;
}

static void test_a_token_is_known_slowly_then_at_once(void **state)
{
    struct world *world = *state;
    struct identity identity;
    struct caller caller;
    enum refusal_code code;
    char text[64];

    world_token(world, "shop", NULL, ACCESS_PULL | ACCESS_PUSH, &caller, text);
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, NULL,
                                            NULL),
                     -EAGAIN);
    assert_int_equal(identify(world, text, &identity, &code), 0);
    assert_string_equal(identity.id, caller.identity.id);
    assert_string_equal(identity.project, "shop");
    assert_string_equal(identity.app, "");
    assert_string_equal(identity.name, "tester");
    assert_int_equal(identity.permissions, ACCESS_PULL | ACCESS_PUSH);
    memset(&identity, 0, sizeof(identity));
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, NULL,
                                            NULL),
                     0);
    assert_string_equal(identity.id, caller.identity.id);
    assert_int_equal(access_flush_used(world->services, NULL), 0);
}

static void test_what_is_no_token(void **state)
{
    static const char *const bad[] = {
        "",
        "kka_",
        "Bearer",
        "kka_abcdefghijkl_short",
        "kka_abcdefghijkl_0123456789012345678901234567890123456789012",
        "xxx_abcdefghijkl_0123456789012345678901234567890123456789012"
    };
    struct world *world = *state;
    struct identity identity;
    enum refusal_code code;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct refusal why = { 0 };

        if (bad[i][0] != '\0') {
            assert_int_equal(identify(world, bad[i], &identity, &code), -EPERM);
            assert_int_equal(code, REFUSAL_UNAUTHENTICATED);
        }
        assert_true(
            access_identify_cached(world->services, span_text(bad[i]), &identity, &why, NULL) < 0);
    }
}

static void test_a_wrong_secret(void **state)
{
    struct world *world = *state;
    struct identity identity;
    struct caller caller;
    enum refusal_code code;
    char text[64];

    world_token(world, NULL, NULL, ACCESS_PULL, &caller, text);
    assert_int_equal(identify(world, text, &identity, &code), 0);
    text[30] = text[30] == 'a' ? 'b' : 'a';
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, NULL,
                                            NULL),
                     -EAGAIN);
    assert_int_equal(identify(world, text, &identity, &code), -EPERM);
    assert_int_equal(code, REFUSAL_UNAUTHENTICATED);
}

static void test_revocation_counts_at_once(void **state)
{
    struct world *world = *state;
    struct identity identity;
    struct refusal why = { 0 };
    struct caller caller;
    enum refusal_code code;
    char text[64], wrong[64];

    world_token(world, NULL, NULL, ACCESS_PULL, &caller, text);
    assert_int_equal(identify(world, text, &identity, &code), 0);
    assert_int_equal(tokens_revoke(world->services, NULL, caller.identity.id, NULL), 0);
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, &why,
                                            NULL),
                     -EAGAIN);
    assert_int_equal(identify(world, text, &identity, &code), -EPERM);
    assert_int_equal(code, REFUSAL_TOKEN_REVOKED);
    /* Known again, as revoked: an event loop may say so itself. */
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, &why,
                                            NULL),
                     -EPERM);
    assert_int_equal(why.code, REFUSAL_TOKEN_REVOKED);
    /* Whoever does not know the secret learns nothing of the token's fate. */
    memcpy(wrong, text, sizeof(wrong));
    wrong[30] = wrong[30] == 'a' ? 'b' : 'a';
    assert_int_equal(identify(world, wrong, &identity, &code), -EPERM);
    assert_int_equal(code, REFUSAL_UNAUTHENTICATED);
    assert_int_equal(tokens_revoke(world->services, NULL, caller.identity.id, NULL), 0);
    assert_int_equal(tokens_revoke(world->services, NULL, "aaaaaaaaaaaa", NULL), -ENOENT);
}

static void test_another_process_revokes(void **state)
{
    struct world *world = *state;
    struct services_settings settings = { .store = world->store };
    struct database_options options = { .now_s = world_now };
    struct services *others;
    struct identity identity;
    struct caller caller;
    enum refusal_code code;
    char location[128];
    char text[64];

    world_token(world, NULL, NULL, ACCESS_PULL, &caller, text);
    assert_int_equal(identify(world, text, &identity, &code), 0);
    snprintf(location, sizeof(location), "sqlite:%s/kk.db", world->directory);
    options.location = location;
    assert_int_equal(database_open(&options, &settings.database, NULL), 0);
    assert_int_equal(services_new(&settings, &others, NULL), 0);
    assert_int_equal(tokens_revoke(others, NULL, caller.identity.id, NULL), 0);
    services_free(others);
    database_close(settings.database);
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, NULL,
                                            NULL),
                     -EAGAIN);
    assert_int_equal(identify(world, text, &identity, &code), -EPERM);
    assert_int_equal(code, REFUSAL_TOKEN_REVOKED);
}

static void test_expiry(void **state)
{
    struct world *world = *state;
    const struct token_request request = { .name = "short",
                                           .permissions = ACCESS_PULL,
                                           .expires_at_s = world_now() + 60 };
    struct token_info info;
    struct identity identity;
    struct refusal why = { 0 };
    enum refusal_code code;
    char text[64];

    assert_int_equal(tokens_create(world->services, NULL, &request, text, &info, NULL, NULL), 0);
    assert_int_equal(identify(world, text, &identity, &code), 0);
    world_sleep(61);
    assert_int_equal(access_identify_cached(world->services, span_text(text), &identity, &why,
                                            NULL),
                     -EPERM);
    assert_int_equal(why.code, REFUSAL_TOKEN_EXPIRED);
    assert_int_equal(identify(world, text, &identity, &code), -EPERM);
    assert_int_equal(code, REFUSAL_TOKEN_EXPIRED);
    /* Also one who was let in before: the route's check says so. */
    why.code = REFUSAL_NONE;
    assert_int_equal(access_check(world->services, &info.identity, ACCESS_PULL, ACCESS_WHOLE, "p",
                                  "a", &why, NULL),
                     -EPERM);
    assert_int_equal(why.code, REFUSAL_TOKEN_EXPIRED);
}

static int check(struct world *world, const struct caller *caller, uint32_t permission,
                 const char *project, const char *app)
{
    return access_check(world->services, caller != NULL ? &caller->identity : NULL, permission,
                        ACCESS_WHOLE, project, app, NULL, NULL);
}

static void test_scopes(void **state)
{
    struct world *world = *state;
    struct caller global, project, app, admin;
    char text[64];

    world_token(world, NULL, NULL, ACCESS_PULL, &global, text);
    world_token(world, "p", NULL, ACCESS_PUSH, &project, text);
    world_token(world, "p", "a", ACCESS_PULL, &app, text);
    world_token(world, "p", NULL, ACCESS_ADMIN, &admin, text);
    assert_int_equal(check(world, &global, ACCESS_PULL, "any", "thing"), 0);
    assert_int_equal(check(world, &global, ACCESS_PUSH, "any", "thing"), -EACCES);
    assert_int_equal(check(world, &project, ACCESS_PUSH, "p", "a"), 0);
    assert_int_equal(check(world, &project, ACCESS_PULL, "p", "a"), -EACCES);
    assert_int_equal(check(world, &project, ACCESS_PUSH, "q", "a"), -ENOENT);
    assert_int_equal(check(world, &app, ACCESS_PULL, "p", "a"), 0);
    assert_int_equal(check(world, &app, ACCESS_PULL, "p", "b"), -ENOENT);
    assert_int_equal(check(world, &app, ACCESS_PUSH, "p", "a"), -EACCES);
    assert_int_equal(check(world, &admin, ACCESS_PUSH, "p", "x"), 0);
    assert_int_equal(check(world, &admin, ACCESS_PULL, "q", "x"), -ENOENT);
    assert_int_equal(check(world, NULL, ACCESS_PULL, "p", "a"), -EPERM);
    assert_int_equal(check(world, NULL, 0, NULL, NULL), 0);
}

static void test_token_requests_are_checked(void **state)
{
    struct world *world = *state;
    const struct token_request bad[] = {
        { .name = NULL, .permissions = ACCESS_PULL },
        { .name = "", .permissions = ACCESS_PULL },
        { .name = "a\nb", .permissions = ACCESS_PULL },
        { .name = "\xff", .permissions = ACCESS_PULL },
        { .name = "x", .permissions = 0 },
        { .name = "x", .permissions = 64 },
        { .name = "x", .permissions = ACCESS_PULL, .project = "../p" },
        { .name = "x", .permissions = ACCESS_PULL, .project = "" },
        { .name = "x", .permissions = ACCESS_PULL, .app = "a" },
        { .name = "x", .permissions = ACCESS_PULL, .project = "p", .app = "a/b" },
        { .name = "x", .permissions = ACCESS_PULL, .expires_at_s = 5 },
        { .name = "0123456789012345678901234567890123456789012345678901234567890123456789",
          .permissions = ACCESS_PULL },
    };
    struct token_info info;
    char text[64];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct refusal why = { 0 };

        assert_int_equal(tokens_create(world->services, NULL, &bad[i], text, &info, &why, NULL),
                         -EINVAL);
        assert_int_equal(why.code, REFUSAL_VALIDATION);
    }
}

static void test_list(void **state)
{
    struct world *world = *state;
    struct token_info *items;
    struct caller caller;
    size_t count;
    char text[64];

    world_token(world, "p", "a", ACCESS_PULL, &caller, text);
    assert_int_equal(tokens_revoke(world->services, NULL, caller.identity.id, NULL), 0);
    assert_int_equal(tokens_list(world->services, &items, &count, NULL), 0);
    assert_true(count >= 2);
    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].identity.id, caller.identity.id) == 0) {
            assert_string_equal(items[i].identity.app, "a");
            assert_true(items[i].revoked_at_s != 0);
        }
    memory_free(items);
}

static void test_ready(void **state)
{
    struct world *world = *state;

    assert_int_equal(services_ready(world->services, NULL), 0);
    assert_int_equal(strlen(services_store_id(world->services)), 36);
}

/* How many pieces of other work may begin now. */
static unsigned enter_all(struct gate *gate, uint64_t number)
{
    unsigned count = 0;

    while (gate_enter(gate, span_of(&number, sizeof(number)), 0) == GATE_MINE) {
        count++;
        number++;
    }
    return count;
}

static void test_long_work_leaves_workers_free(void **state)
{
    static const struct {
        unsigned workers, pulls, pushes, waiting;
    } cases[] = {
        { 1, 1, 0, 0 }, { 2, 1, 0, 0 }, { 3, 1, 0, 0 },  { 4, 1, 1, 0 },     { 6, 1, 1, 1 },
        { 8, 2, 1, 1 }, { 0, 2, 2, 4 }, { 16, 2, 2, 4 }, { 256, 2, 2, 124 },
    };
    struct world *world = *state;
    struct services_settings settings = { .store = world->store, .database = world->database };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct services *services;

        settings.workers = cases[i].workers;
        assert_int_equal(services_new(&settings, &services, NULL), 0);
        assert_int_equal(enter_all(services->gate, 0), cases[i].pulls);
        assert_int_equal(enter_all(services->upload_gate, 100), cases[i].pushes);
        if (cases[i].waiting == 0) { /* the answer is no at once */
            assert_int_equal(gate_enter(services->gate, span_text("x"), 600000), GATE_FULL);
            assert_int_equal(gate_enter(services->upload_gate, span_text("x"), 600000), GATE_FULL);
        }
        services_free(services);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_known_slowly_then_at_once),
        cmocka_unit_test(test_what_is_no_token),
        cmocka_unit_test(test_a_wrong_secret),
        cmocka_unit_test(test_revocation_counts_at_once),
        cmocka_unit_test(test_another_process_revokes),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_token_requests_are_checked),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_long_work_leaves_workers_free),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
