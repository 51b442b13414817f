/* SPDX-License-Identifier: MIT */
#include "common/client/api_leases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/client/tests/asked.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

struct world {
    struct asked at;
    int status;
    const char *lines, *body;
    char path[2048], said[1024];
    bool done;
    struct api_leases_answer answer;
};

static const struct api_lease_item two[] = {
    { "p", "a", "1", "/mnt/p/a/1", "mount", "partial" },
    { "p", "a", "2", "/mnt/p/a/2", "attach", "complete" },
};
static const struct api_leases both = {
    .host = "web 1", .items = two, .count = 2, .within = "/mnt"
};

static bool reply(void *context, struct origin_request *request)
{
    struct world *world = context;

    assert_string_equal(request->method, "PUT");
    memcpy(world->path, request->path, sizeof(world->path));
    assert_true(request->body_size < sizeof(world->said));
    memcpy(world->said, request->body, request->body_size);
    world->said[request->body_size] = '\0';
    return origin_reply(request, world->status, world->lines, world->body, strlen(world->body));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->status = 200;
    world->body = "{\"renew_in_s\":60}";
    asked_start(&world->at, reply, world, NULL);
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

static void came(void *context, const struct api_leases_answer *answer)
{
    struct world *world = context;

    assert_false(world->done);
    world->done = true;
    world->answer = *answer;
}

static bool is_done(void *context)
{
    return ((struct world *)context)->done;
}

static int put(struct world *world, const struct api_leases *leases)
{
    int r;

    world->done = false;
    r = api_leases_start(world->at.client, leases, came, world, NULL, NULL);
    if (r < 0)
        return r;
    assert_int_equal(http_loop_run_until(world->at.loop, is_done, world, UINT64_MAX, NULL), 0);
    return world->answer.code;
}

static void all_of_them_in_one_request(void **state)
{
    struct world *world = *state;
    const struct api_leases none = { .host = "h", .within = "/mnt" };
    const struct api_leases more = { .host = "h", .items = two, .count = 1 };

    assert_int_equal(put(world, &both), 0);
    assert_int_equal(world->answer.renew_in_s, 60);
    assert_int_equal(world->answer.refused, SIZE_MAX);
    assert_int_equal(world->answer.retry_after_ms, 0);
    assert_string_equal(world->path, "/api/v1/hosts/web%201/leases");
    assert_string_equal(world->said,
                        "{\"replace\":true,\"within\":\"/mnt\",\"leases\":["
                        "{\"project\":\"p\",\"app\":\"a\",\"version\":\"1\","
                        "\"place\":\"/mnt/p/a/1\",\"mode\":\"mount\",\"state\":\"partial\"},"
                        "{\"project\":\"p\",\"app\":\"a\",\"version\":\"2\","
                        "\"place\":\"/mnt/p/a/2\",\"mode\":\"attach\",\"state\":\"complete\"}]}");
    assert_int_equal(put(world, &none), 0);
    assert_string_equal(world->said, "{\"replace\":true,\"within\":\"/mnt\",\"leases\":[]}");
    assert_int_equal(put(world, &more), 0);
    assert_null(strstr(world->said, "replace"));
    assert_null(strstr(world->said, "within"));
}

static void the_one_that_is_refused_is_told(void **state)
{
    static const struct {
        int status;
        const char *body;
        int code;
        size_t refused;
    } cases[] = {
        { 404, "{\"code\":\"not-found\",\"errors\":[{\"pointer\":\"/leases/1\"}]}", -ENOENT, 1 },
        { 410, "{\"code\":\"purged\",\"errors\":[{\"pointer\":\"/leases/0\"}]}", -ESTALE, 0 },
        { 422,
          "{\"code\":\"validation\",\"errors\":[{\"pointer\":\"/host\"},"
          "{\"pointer\":\"/leases/1/place\"}]}",
          -EINVAL, 1 },
        { 404, "{\"code\":\"not-found\"}", -ENOENT, SIZE_MAX },
        /* What no server of ours says. */
        { 404, "{\"code\":\"not-found\",\"errors\":[{\"pointer\":\"/leases/2\"}]}", -ENOENT,
          SIZE_MAX },
        { 404, "{\"code\":\"not-found\",\"errors\":[{\"pointer\":\"/leases/-1\"}]}", -ENOENT,
          SIZE_MAX },
        { 404, "{\"code\":\"not-found\",\"errors\":[{\"pointer\":7},7]}", -ENOENT, SIZE_MAX },
        { 404, "{\"code\":\"not-found\",\"errors\":\"/leases/0\"}", -ENOENT, SIZE_MAX },
        { 404, "not JSON", -ENOENT, SIZE_MAX },
        { 503, "{\"errors\":[{\"pointer\":\"/leases/1\"}]}", -EAGAIN, SIZE_MAX },
    };
    struct world *world = *state;

    world->lines = "Content-Type: application/problem+json\r\n";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->status = cases[i].status;
        world->body = cases[i].body;
        assert_int_equal(put(world, &both), cases[i].code);
        assert_int_equal(world->answer.refused, cases[i].refused);
        assert_true(world->answer.err.text[0] != '\0');
    }
    assert_int_equal(origin_requests(world->at.origin), sizeof(cases) / sizeof(cases[0]));
}

static void it_is_tried_once_and_the_wait_is_told(void **state)
{
    struct world *world = *state;

    world->status = 429;
    world->lines = "Content-Type: application/problem+json\r\nRetry-After: 7\r\n";
    world->body = "{\"code\":\"rate-limited\"}";
    assert_int_equal(put(world, &both), -EAGAIN);
    assert_int_equal(world->answer.retry_after_ms, 7000);
    assert_int_equal(origin_requests(world->at.origin), 1);
}

static void renewals_are_checked(void **state)
{
    static const char *const bodies[] = { "{}", "{\"renew_in_s\":-5}",
                                          "{\"renew_in_s\":99999999999}",
                                          "{\"renew_in_s\":\"60\"}" };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        world->body = bodies[i];
        assert_int_equal(put(world, &both), 0);
        assert_int_equal(world->answer.renew_in_s, 0);
    }
}

static void more_than_a_request_holds_is_not_sent(void **state)
{
    struct world *world = *state;
    struct api_leases many = both;
    struct api_lease_item *items = calloc(API_LEASES_MAX, sizeof(*items));
    char *place = calloc(1, 2001);

    many.count = API_LEASES_MAX + 1;
    assert_int_equal(put(world, &many), -EFBIG);
    memset(place, 'x', 2000);
    for (size_t i = 0; i < API_LEASES_MAX; i++) {
        items[i] = two[0];
        items[i].place = place;
    }
    many.items = items;
    many.count = API_LEASES_MAX;
    assert_int_equal(put(world, &many), -EFBIG);
    assert_int_equal(origin_requests(world->at.origin), 0);
    free(place);
    free(items);
}

static void one_that_is_cancelled_is_told_so(void **state)
{
    struct world *world = *state;
    struct api_leases_put *started = NULL;

    world->done = false;
    assert_int_equal(api_leases_start(world->at.client, &both, came, world, &started, NULL), 0);
    api_leases_cancel(started);
    assert_true(world->done);
    assert_int_equal(world->answer.code, -ECANCELED);
}

static void lack_of_memory_is_told(void **state)
{
    struct world *world = *state;

    for (int64_t n = 0;; n++) {
        struct api_leases_put *started = NULL;
        bool failed;
        int r;

        world->done = false;
        memory_fail_after(n);
        r = api_leases_start(world->at.client, &both, came, world, &started, NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        if (r == 0)
            api_leases_cancel(started);
        if (!failed)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_false(world->done);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
    const struct CMUnitTest tests[] = {
        TEST(all_of_them_in_one_request),
        TEST(the_one_that_is_refused_is_told),
        TEST(it_is_tried_once_and_the_wait_is_told),
        TEST(renewals_are_checked),
        TEST(more_than_a_request_holds_is_not_sent),
        TEST(one_that_is_cancelled_is_told_so),
        TEST(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
