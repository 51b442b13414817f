/* SPDX-License-Identifier: MIT */
#include "common/client/api_deletion.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/net/http_loop.h"
#include "common/net/tests/origin.h"
#include "tests/support/unit.h"

#define ID "0123456789abcdef0123456789abcdef"

/* What is answered, one after the other; the last one for ever. */
struct world {
    struct origin *origin;
    struct http_loop *loop;
    struct api_client *client;
    const char *bodies[4];
    int status; /* of the first; 0: 200 */
    unsigned asked;
    char first[1024]; /* what was asked first */
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;
    unsigned last = 0, at = world->asked++;

    while (last + 1 < 4 && world->bodies[last + 1] != NULL)
        last++;
    at = at < last ? at : last;
    if (world->asked == 1)
        snprintf(world->first, sizeof(world->first), "%s %.900s", request->method, request->path);
    return origin_reply(request, at == 0 && world->status != 0 ? world->status : 200,
                        "Content-Type: application/problem+json\r\n", world->bodies[at],
                        strlen(world->bodies[at]));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct api_client_options options = { .server_count = 1 };
    const char *url;

    world->origin = origin_start(answer, world);
    assert_int_equal(http_loop_new(&world->loop, NULL, NULL), 0);
    url = origin_url(world->origin);
    options.loop = world->loop;
    options.servers = &url;
    assert_int_equal(api_client_new(&world->client, &options, NULL), 0);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    api_client_free(world->client);
    http_loop_free(world->loop);
    origin_stop(world->origin);
    free(world);
    return 0;
}

static int run(struct world *world, const char *app, bool force, struct api_deletion *out)
{
    world->asked = 0;
    return api_deletion_run(world->client, "p", app, force, out, NULL);
}

static void what_went_is_told(void **state)
{
    struct world *world = *state;
    struct api_deletion done;

    world->bodies[0] = "{\"id\":\"" ID "\"}";
    world->bodies[1] = "{\"state\":\"queued\"}";
    world->bodies[2] = "{\"state\":\"done\",\"result\":{\"trashed\":2,\"apps\":1,"
                       "\"versions\":[\"p/a/v1\",\"p/a/v2\"]}}";
    assert_int_equal(run(world, "a", false, &done), 0);
    assert_string_equal(world->first, "DELETE /api/v1/projects/p/apps/a");
    assert_int_equal(world->asked, 3);
    assert_int_equal(done.trashed, 2);
    assert_int_equal(done.apps, 1);
    assert_int_equal(done.version_count, 2);
    assert_string_equal(done.versions[1], "p/a/v2");
    api_deletion_release(&done);
    assert_int_equal(run(world, NULL, true, &done), 0);
    assert_string_equal(world->first, "DELETE /api/v1/projects/p?force=1");
    api_deletion_release(&done);
}

static void how_it_ends(void **state)
{
    static const struct {
        const char *job;
        int code;
    } cases[] = {
        { "{\"state\":\"failed\",\"problem\":\"leased: version v1 is in use by h\"}", -EBUSY },
        { "{\"state\":\"failed\",\"problem\":\"pinned\"}", -EINVAL },
        { "{\"state\":\"failed\"}", -EINVAL },
        { "{\"state\":\"cancelled\",\"problem\":\"x: y\"}", -EINVAL },
        { "{\"state\":\"done\"}", -EBADMSG },
        { "{\"state\":\"done\",\"result\":{\"trashed\":-1,\"apps\":0}}", -EBADMSG },
        { "{\"state\":\"done\",\"result\":{\"trashed\":1,\"apps\":1,\"versions\":[\"p/a\"]}}",
          -EBADMSG },
        { "{\"state\":\"done\",\"result\":{\"trashed\":1,\"apps\":1,"
          "\"versions\":[\"p/a/\\u001b[2J\"]}}",
          -EBADMSG },
    };
    struct world *world = *state;
    struct api_deletion done;

    world->bodies[0] = "{\"id\":\"" ID "\"}";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->bodies[1] = cases[i].job;
        assert_int_equal(run(world, "a", false, &done), cases[i].code);
        api_deletion_release(&done);
    }
    world->status = 409;
    world->bodies[0] = "{\"code\":\"promoted\",\"detail\":\"promoted on live: p/a/v1\"}";
    assert_int_equal(run(world, "a", false, &done), -EBUSY);
    api_deletion_release(&done);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(what_went_is_told),
        CASE(how_it_ends),
    };

    return cmocka_run_group_tests_name("api_deletion", tests, NULL, NULL);
}
