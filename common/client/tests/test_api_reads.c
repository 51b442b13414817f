/* SPDX-License-Identifier: MIT */
#include "common/client/api_reads.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/client/tests/asked.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

struct world {
    struct asked at;
    int status; /* 0: no answer at all */
    const char *answer;
    char method[16], path[2048], body[2048];
    _Atomic unsigned requests;
    bool done; /* what the callback got */
    int result;
    char paths[200];
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;

    memcpy(world->method, request->method, sizeof(world->method));
    memcpy(world->path, request->path, sizeof(world->path));
    assert_true(request->body_size < sizeof(world->body));
    if (request->body_size > 0)
        memcpy(world->body, request->body, request->body_size);
    world->requests++;
    if (world->status == 0) { /* until the client goes */
        char byte;

        while (recv(request->fd, &byte, 1, 0) > 0)
            ;
        return false;
    }
    return origin_reply(request, world->status, "Content-Type: application/json\r\n", world->answer,
                        strlen(world->answer));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    asked_start(&world->at, answer, world, NULL);
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

static void got(void *context, const struct reads *reads, const struct error *err)
{
    struct world *world = context;

    world->done = true;
    world->result = reads == NULL ? err->code : 0;
    for (size_t i = 0; reads != NULL && i < reads->count; i++) {
        struct span path = reads_path(reads, i);
        size_t at = strlen(world->paths);

        (void)snprintf(world->paths + at, sizeof(world->paths) - at, "%.*s|", (int)path.size,
                       (const char *)path.bytes);
    }
}

static void told(void *context, int result, const struct error *err)
{
    struct world *world = context;

    world->done = true;
    world->result = result;
    assert_true((result < 0) == (err != NULL));
}

static bool is_done(void *context)
{
    return ((struct world *)context)->done;
}

static int finish(struct world *world)
{
    assert_int_equal(http_loop_run_until(world->at.loop, is_done, world,
                                         clock_monotonic_ms() + 30000, NULL),
                     0);
    return world->result;
}

static int get(struct world *world, int status, const char *text, uint64_t timeout_ms)
{
    world->status = status;
    world->answer = text;
    world->done = false;
    assert_int_equal(api_reads_get_start(world->at.client, "p", "a", "v 1", timeout_ms, got, world,
                                         NULL, NULL),
                     0);
    return finish(world);
}

static void a_list_is_asked_for(void **state)
{
    struct world *world = *state;

    assert_int_equal(get(world, 200,
                         "{\"source\":\"own\",\"reads\":[{\"path\":\"b\"},{\"path\":\"a\"}]}",
                         10000),
                     0);
    assert_string_equal(world->method, "GET");
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v%201/reads");
    assert_string_equal(world->paths, "b|a|");
    assert_true(api_client_online(world->at.client));
}

static void what_breaks_the_rules(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"reads\":{}}",
        "{\"reads\":[{\"path\":\"../etc/passwd\"}]}",
        "{\"reads\":[{\"path\":\"a\",\"ranges\":[{\"offset\":-1,\"length\":1}]}]}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(get(*state, 200, texts[i], 10000), -EBADMSG);
}

/* A server that is slow at this, or fails at it, is no server that is away. */
static void its_failure_says_nothing_of_the_server(void **state)
{
    struct world *world = *state;

    assert_int_equal(get(world, 200, "{\"reads\":[]}", 10000), 0);
    assert_int_equal(get(world, 404, "{}", 10000), -ENOENT);
    assert_int_equal(world->requests, 2);
    assert_int_equal(get(world, 503, "{}", 10000), -EAGAIN);
    assert_int_equal(world->requests, 3); /* once */
    assert_true(api_client_online(world->at.client));
    assert_true(get(world, 0, NULL, 200) < 0);
    assert_int_equal(world->requests, 4);
    assert_true(api_client_online(world->at.client));
}

static void a_list_is_told(void **state)
{
    struct world *world = *state;
    struct reads reads = reads_init();
    const struct read_range range = { 0, 7 };

    assert_int_equal(reads_add(&reads, span_text("bin/app"), &range, 1, NULL), 0);
    world->status = 200;
    world->answer = "{}";
    assert_int_equal(api_reads_put_start(world->at.client, "p", "a", "v1", "web1", &reads, 10000,
                                         told, world, NULL, NULL),
                     0);
    reads_release(&reads);
    assert_int_equal(finish(world), 0);
    assert_string_equal(world->method, "PUT");
    assert_string_equal(world->body, "{\"host\":\"web1\",\"reads\":[{\"path\":\"bin/app\","
                                     "\"ranges\":[{\"offset\":0,\"length\":7}]}]}");
}

static void a_call_can_be_cancelled(void **state)
{
    struct world *world = *state;
    struct api_call *call = NULL;

    assert_int_equal(api_reads_get_start(world->at.client, "p", "a", "v1", 10000, got, world, &call,
                                         NULL),
                     0);
    api_call_cancel(call);
    assert_true(world->done);
    assert_int_equal(world->result, -ECANCELED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_list_is_asked_for),
        CASE(what_breaks_the_rules),
        CASE(its_failure_says_nothing_of_the_server),
        CASE(a_list_is_told),
        CASE(a_call_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
