/* SPDX-License-Identifier: MIT */
#include "common/client/api_acts.h"

#include <errno.h>
#include <string.h>

#include "common/client/tests/asked.h"
#include "tests/support/unit.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define VERSION(state)                                                                             \
    "{\"project\":\"p\",\"app\":\"a\",\"version\":\"v1\",\"content\":\"" HEX "\",\"times\":\"" HEX \
    "\",\"tree\":\"" HEX "\",\"tree_size\":8192,\"file_count\":3,"                                 \
    "\"bytes\":99,\"created_at\":\"2024-01-02T03:04:05Z\",\"state\":\"" state "\"}"

struct world {
    struct asked at;
    int status;
    const char *answer;
    char path[2048];
    char method[16];
    char body[1024];
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;

    memcpy(world->path, request->path, sizeof(world->path));
    snprintf(world->method, sizeof(world->method), "%s", request->method);
    snprintf(world->body, sizeof(world->body), "%.*s", (int)request->body_size,
             request->body == NULL ? "" : (const char *)request->body);
    return origin_reply(request, world->status, "Content-Type: application/problem+json\r\n",
                        world->answer, strlen(world->answer));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct api_client_options options = { .retry = retry_policy_default() };

    options.retry.tries = 2;
    options.retry.base_ms = options.retry.max_ms = 1;
    world->status = 200;
    asked_start(&world->at, answer, world, &options);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    asked_stop(&world->at);
    free(world);
    return 0;
}

static void a_promotion_says_what_is_meant(void **state)
{
    struct world *world = *state;
    struct api_promotion promotion = { .project = "p", .app = "a", .version = "v2" };
    struct api_promoted promoted;

    world->answer = "{\"state\":\"promoted\",\"channel\":\"live\",\"version\":\"v2\","
                    "\"previous\":\"v1\",\"more\":1}";
    assert_int_equal(api_promote(world->at.client, &promotion, &promoted, NULL), 0);
    assert_string_equal(world->method, "POST");
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/promote");
    assert_string_equal(world->body, "{\"version\":\"v2\"}");
    assert_true(promoted.moved);
    assert_string_equal(promoted.channel.name, "live");
    assert_string_equal(promoted.channel.version, "v2");
    assert_string_equal(promoted.channel.previous, "v1");
    promotion.channel = "beta";
    promotion.expect = "";
    promotion.note = "why";
    world->answer = "{\"state\":\"current\",\"channel\":\"beta\",\"version\":\"v2\"}";
    assert_int_equal(api_promote(world->at.client, &promotion, &promoted, NULL), 0);
    assert_string_equal(world->body, "{\"version\":\"v2\",\"channel\":\"beta\",\"expect\":\"\","
                                     "\"note\":\"why\"}");
    assert_false(promoted.moved);
    assert_string_equal(promoted.channel.previous, "");
    promotion = (struct api_promotion){ .project = "p", .app = "a", .version = "v1" };
    world->answer = "{\"state\":\"rolled-back\",\"channel\":\"live\",\"version\":\"v1\"}";
    assert_int_equal(api_rollback(world->at.client, &promotion, &promoted, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/rollback");
    assert_string_equal(world->body, "{\"to\":\"v1\"}");
    assert_true(promoted.moved);
}

/* A server that fails after it did the work is asked again only where that ends the same. */
static void only_what_may_be_repeated_is(void **state)
{
    struct world *world = *state;
    struct api_promotion promotion = { .project = "p", .app = "a", .version = "v2" };
    struct api_promoted promoted;
    unsigned before;

    world->status = 503;
    world->answer = "{\"code\":\"not-ready\"}";
    before = origin_requests(world->at.origin);
    assert_int_equal(api_promote(world->at.client, &promotion, &promoted, NULL), -EAGAIN);
    assert_int_equal(origin_requests(world->at.origin) - before, 2);
    before = origin_requests(world->at.origin);
    assert_int_equal(api_rollback(world->at.client, &promotion, &promoted, NULL), -EAGAIN);
    assert_int_equal(origin_requests(world->at.origin) - before, 2);
    promotion.expect = "v1";
    before = origin_requests(world->at.origin);
    assert_int_equal(api_promote(world->at.client, &promotion, &promoted, NULL), -EAGAIN);
    assert_int_equal(origin_requests(world->at.origin) - before, 1);
    promotion.expect = promotion.version = NULL;
    before = origin_requests(world->at.origin);
    assert_int_equal(api_rollback(world->at.client, &promotion, &promoted, NULL), -EAGAIN);
    assert_int_equal(origin_requests(world->at.origin) - before, 1);
}

static void refusals_are_conflicts(void **state)
{
    struct world *world = *state;
    struct api_promotion promotion = { .project = "p", .app = "a", .version = "v2" };
    struct api_promoted promoted;
    struct api_version version;
    struct error err = { 0 };

    world->status = 412;
    world->answer = "{\"code\":\"precondition-failed\",\"detail\":\"channel live is at v1\"}";
    assert_int_equal(api_promote(world->at.client, &promotion, &promoted, &err), -EEXIST);
    assert_string_equal(err.text, "channel live is at v1 (412 precondition-failed)");
    world->status = 409;
    world->answer = "{\"code\":\"no-previous\",\"detail\":\"no\"}";
    assert_int_equal(api_rollback(world->at.client, &promotion, &promoted, &err), -EBUSY);
    world->answer = "{\"code\":\"leased\",\"detail\":\"in use by h\",\"hosts\":[\"h\"]}";
    assert_int_equal(api_version_delete(world->at.client, "p", "a", "v1", false, &version, &err),
                     -EBUSY);
    world->status = 404;
    world->answer = "{\"code\":\"not-found\",\"detail\":\"no such version\"}";
    assert_int_equal(api_version_restore(world->at.client, "p", "a", "v1", &version, &err),
                     -ENOENT);
    assert_string_equal(err.text, "p/a/v1: no such version (404 not-found)");
}

static void a_version_goes_and_comes_back(void **state)
{
    struct world *world = *state;
    struct api_version version;

    world->answer = VERSION("trashed");
    assert_int_equal(api_version_delete(world->at.client, "p", "a", "v1", false, &version, NULL),
                     0);
    assert_string_equal(world->method, "DELETE");
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v1");
    assert_true(version.trashed);
    api_version_release(&version);
    assert_int_equal(api_version_delete(world->at.client, "p", "a", "v1", true, &version, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v1?force=1");
    api_version_release(&version);
    world->answer = VERSION("ready");
    assert_int_equal(api_version_restore(world->at.client, "p", "a", "v1", &version, NULL), 0);
    assert_string_equal(world->method, "POST");
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v1/restore");
    assert_false(version.trashed);
    api_version_release(&version);
    assert_int_equal(api_version_get_any(world->at.client, "p", "a", "v1", &version, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v1?trashed=1");
    api_version_release(&version);
}

static void channels_are_read(void **state)
{
    struct world *world = *state;
    struct api_channels channels = { 0 };

    world->answer = "{\"app\":\"a\",\"channels\":[{\"name\":\"beta\",\"version\":\"v2\"},"
                    "{\"name\":\"live\",\"version\":\"v1\",\"previous\":\"v0\",\"trashed\":true}]}";
    assert_int_equal(api_channels_get(world->at.client, "p", "a", &channels, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a");
    assert_int_equal(channels.count, 2);
    assert_string_equal(api_channels_find(&channels, "live")->previous, "v0");
    assert_true(api_channels_find(&channels, "live")->trashed);
    assert_string_equal(api_channels_find(&channels, "beta")->previous, "");
    assert_null(api_channels_find(&channels, "none"));
    api_channels_release(&channels);
    world->answer = "{\"app\":\"a\"}"; /* one that is older */
    assert_int_equal(api_channels_get(world->at.client, "p", "a", &channels, NULL), 0);
    assert_int_equal(channels.count, 0);
    api_channels_release(&channels);
}

static void answers_that_break_the_rules(void **state)
{
    static const char *const channels_bad[] = {
        "{\"channels\":{}}",
        "{\"channels\":[1]}",
        "{\"channels\":[{\"name\":\"live\"}]}",
        "{\"channels\":[{\"name\":\"a/b\",\"version\":\"v1\"}]}",
        "{\"channels\":[{\"name\":\"live\",\"version\":\"../x\"}]}",
        "{\"channels\":[{\"name\":\"live\",\"version\":\"v1\",\"previous\":\"\"}]}",
        "{\"channels\":[{\"name\":\"live\",\"version\":\"v1\",\"previous\":5}]}",
    };
    static const char *const promoted_bad[] = {
        "{}",
        "{\"state\":\"promoted\",\"channel\":\"live\"}",
        "{\"channel\":\"live\",\"version\":\"v1\"}",
        "{\"state\":1,\"channel\":\"live\",\"version\":\"v1\"}",
    };
    struct world *world = *state;
    struct api_promotion promotion = { .project = "p", .app = "a", .version = "v1" };
    struct api_channels channels = { 0 };
    struct api_promoted promoted;
    struct api_version version;

    for (size_t i = 0; i < sizeof(channels_bad) / sizeof(channels_bad[0]); i++) {
        world->answer = channels_bad[i];
        if (api_channels_get(world->at.client, "p", "a", &channels, NULL) != -EBADMSG)
            fail_msg("taken: %s", channels_bad[i]);
    }
    for (size_t i = 0; i < sizeof(promoted_bad) / sizeof(promoted_bad[0]); i++) {
        world->answer = promoted_bad[i];
        if (api_promote(world->at.client, &promotion, &promoted, NULL) != -EBADMSG)
            fail_msg("taken: %s", promoted_bad[i]);
    }
    world->answer = VERSION("trashed"); /* another one than was meant */
    assert_int_equal(api_version_delete(world->at.client, "p", "a", "v2", false, &version, NULL),
                     -EBADMSG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_promotion_says_what_is_meant, world_new, world_free),
        cmocka_unit_test_setup_teardown(only_what_may_be_repeated_is, world_new, world_free),
        cmocka_unit_test_setup_teardown(refusals_are_conflicts, world_new, world_free),
        cmocka_unit_test_setup_teardown(a_version_goes_and_comes_back, world_new, world_free),
        cmocka_unit_test_setup_teardown(channels_are_read, world_new, world_free),
        cmocka_unit_test_setup_teardown(answers_that_break_the_rules, world_new, world_free),
    };

    return cmocka_run_group_tests_name("api_acts", tests, NULL, NULL);
}
