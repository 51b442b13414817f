/* SPDX-License-Identifier: MIT */
#include "fs/usage/usage.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/workers.h"
#include "common/client/secret.h"
#include "common/client/tests/asked.h"
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "fs/ids/ids.h"
#include "fs/usage/uses.h"
#include "tests/support/place.h"

#define TOKEN "kka_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A usage, and the server that it tells: what it was told last, and what it answers. */
struct world {
    struct asked at;
    struct workers *workers;
    struct ids *ids;
    struct usage *usage;
    char file[128];
    atomic_uint requests;
    atomic_int status;
    atomic_bool is_silent;
    pthread_mutex_t lock;
    char said[4096];
    const char *pinned; /* a version, or NULL */
};

static bool reply(void *context, struct origin_request *request)
{
    struct world *world = context;
    const int status = atomic_load(&world->status);
    const char *answer = status == 200   ? "{\"renew_in_s\":3600}"
                         : status == 404 ? "{\"code\":\"not-found\"}"
                                         : "{\"code\":\"not-ready\"}";

    pthread_mutex_lock(&world->lock);
    if (request->body_size < sizeof(world->said)) {
        memcpy(world->said, request->body, request->body_size);
        world->said[request->body_size] = '\0';
    }
    pthread_mutex_unlock(&world->lock);
    atomic_fetch_add(&world->requests, 1);
    while (atomic_load(&world->is_silent))
        usleep(1000);
    return origin_reply(request, status,
                        status == 200 ? NULL : "Content-Type: application/problem+json\r\n", answer,
                        strlen(answer));
}

static void each_pinned(void *context, usage_version *each, void *each_context)
{
    struct world *world = context;

    if (world->pinned != NULL)
        each(each_context, "p", "a", world->pinned);
}

static const char *state_of(void *context, const char *project, const char *app,
                            const char *version)
{
    return strcmp(version, "2") == 0 ? "complete" : NULL;
}

static void open_usage(struct world *world, uint64_t kept_ms)
{
    const struct usage_source sources[] = { { IN_USE_PINNED, each_pinned, world } };
    const struct usage_options options = { .loop = world->at.loop,
                                           .client = world->at.client,
                                           .workers = world->workers,
                                           .ids = world->ids,
                                           .file = world->file,
                                           .mountpoint = "/mnt",
                                           .host = "h",
                                           .sources = sources,
                                           .source_count = 1,
                                           .state = state_of,
                                           .kept_ms = kept_ms,
                                           .look_ms = 1000 };

    assert_int_equal(usage_new(&world->usage, &options, NULL), 0);
    usage_start(world->usage);
}

static void world_open(struct world *world, const struct place *place, uint64_t kept_ms)
{
    struct api_client_options client = { .insecure = true };

    memset(world, 0, sizeof(*world));
    pthread_mutex_init(&world->lock, NULL);
    atomic_store(&world->status, 200);
    assert_int_equal(secret_from_text(TOKEN, &client.token, NULL), 0);
    asked_start(&world->at, reply, world, &client);
    assert_int_equal(workers_new(&world->workers, 1, 8, NULL), 0);
    assert_int_equal(ids_open(NULL, "store", &world->ids, NULL), 0);
    snprintf(world->file, sizeof(world->file), "%s/uses", place->path);
    open_usage(world, kept_ms);
}

static bool is_idle(void *context)
{
    return usage_is_idle(((struct world *)context)->usage);
}

static void close_usage(struct world *world)
{
    usage_end(world->usage, true);
    assert_int_equal(http_loop_run_until(world->at.loop, is_idle, world, UINT64_MAX, NULL), 0);
    workers_drain(world->workers);
}

static void world_close(struct world *world)
{
    atomic_store(&world->is_silent, false);
    close_usage(world);
    workers_free(world->workers);
    asked_stop(&world->at);
    usage_free(world->usage);
    ids_close(world->ids);
    pthread_mutex_destroy(&world->lock);
}

static struct ids_place place_of(struct world *world, const char *version)
{
    struct digest tree = digest_of_span(span_text(version));
    struct ids_place place;
    uint32_t slot;

    assert_int_equal(ids_slot(world->ids, "p", "a", version, &tree, &slot, NULL), 0);
    assert_int_equal(ids_find(world->ids, ids_node(slot, 5), &place, NULL), 0);
    return place;
}

static void read_it(struct world *world, const char *version)
{
    const struct ids_place place = place_of(world, version);

    usage_read(world->usage, &place);
}

static void see_it(struct world *world, const char *version)
{
    const uint32_t slots[] = { 0, place_of(world, version).slot, 4711, UINT32_MAX };

    usage_seen(world->usage, slots, 4);
}

struct waiting {
    struct world *world;
    const char *text; /* in what was said last */
    bool is_there;
};

static bool is_said(void *context)
{
    const struct waiting *waiting = context;
    bool said;

    pthread_mutex_lock(&waiting->world->lock);
    said = atomic_load(&waiting->world->requests) > 0 &&
           (strstr(waiting->world->said, waiting->text) != NULL) == waiting->is_there;
    pthread_mutex_unlock(&waiting->world->lock);
    return said;
}

static void await_said(struct world *world, const char *text, bool is_there)
{
    struct waiting waiting = { world, text, is_there };

    while (http_loop_run_until(world->at.loop, is_said, &waiting, clock_monotonic_ms() + 50,
                               NULL) == -ETIMEDOUT)
        ;
}

static char *told(struct world *world, const char *version)
{
    struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    usage_tell(world->usage, "p", "a", version, &writer);
    usage_tell_all(world->usage, &writer);
    json_end(&writer);
    return buf_take(&text);
}

struct telling {
    struct world *world;
    const char *version, *text;
};

static bool is_told(void *context)
{
    const struct telling *telling = context;
    char *text = told(telling->world, telling->version);
    bool found = strstr(text, telling->text) != NULL;

    memory_free(text);
    return found;
}

static void await_told(struct world *world, const char *version, const char *text)
{
    struct telling telling = { world, version, text };

    while (http_loop_run_until(world->at.loop, is_told, &telling, clock_monotonic_ms() + 50,
                               NULL) == -ETIMEDOUT)
        ;
}

#define V(version, state)                                                                \
    "\"version\":\"" version "\",\"place\":\"/mnt/p/a/" version "\",\"mode\":\"mount\"," \
    "\"state\":\"" state "\""

static void what_is_read_is_said_and_released(void **state)
{
    struct world world;

    world_open(&world, *state, 0);
    read_it(&world, "1");
    read_it(&world, "2");
    await_said(&world, V("1", "remote"), true);
    await_said(&world, V("2", "complete"), true);
    await_told(&world, "1", "\"in_use\":[\"recent\"],\"lease\":{\"state\":\"held\"");
    see_it(&world, "1");
    world.pinned = "1";
    await_told(&world, "1", "\"in_use\":[\"pinned\",\"open\",\"recent\"]");
    assert_int_equal(atomic_load(&world.requests), 1);
    close_usage(&world);
    assert_string_equal(world.said, "{\"replace\":true,\"within\":\"/mnt\",\"leases\":[]}");
    assert_int_equal(atomic_load(&world.requests), 2);
    world_close(&world);
}

static void what_was_used_is_forgotten_in_time(void **state)
{
    struct world world;

    world_open(&world, *state, 2000);
    read_it(&world, "1");
    await_said(&world, V("1", "remote"), true);
    await_said(&world, "\"leases\":[]", true);
    await_told(&world, "1", "\"in_use\":[],\"lease\":null");
    world_close(&world);
}

static void count_it(void *context, const char *project, const char *app, const char *version)
{
    ++*(unsigned *)context;
}

static void it_is_remembered(void **state)
{
    struct world world;
    unsigned count = 0;

    world_open(&world, *state, 0);
    read_it(&world, "1");
    await_said(&world, V("1", "remote"), true);
    close_usage(&world);
    usage_free(world.usage);
    open_usage(&world, 0);
    await_said(&world, V("1", "remote"), true);
    await_told(&world, "1", "\"in_use\":[\"recent\"]");
    usage_each(world.usage, count_it, &count);
    assert_int_equal(count, 1);
    world_close(&world);
}

static void a_server_that_says_no_is_in_nobodys_way(void **state)
{
    struct world world;

    world_open(&world, *state, 0);
    atomic_store(&world.status, 503);
    read_it(&world, "1");
    await_told(&world, "1", "\"lease\":{\"state\":\"failed\"");
    world_close(&world);
    world_open(&world, *state, 0);
    atomic_store(&world.status, 404);
    read_it(&world, "1");
    await_told(&world, "1", "\"lease\":{\"state\":\"unsupported\"");
    world_close(&world);
}

static void a_silent_server_is_given_up(void **state)
{
    struct world world;

    world_open(&world, *state, 0);
    read_it(&world, "1");
    await_told(&world, "1", "\"lease\":{\"state\":\"held\"");
    atomic_store(&world.is_silent, true);
    usage_end(world.usage, true);
    assert_false(usage_is_idle(world.usage));
    usage_give_up(world.usage);
    assert_true(usage_is_idle(world.usage));
    usage_give_up(world.usage);
    world_close(&world);
    usage_end(NULL, true);
    usage_give_up(NULL);
    assert_true(usage_is_idle(NULL));
    assert_null(usage_free(NULL));
}

static void nothing_in_use_is_nothing_to_say(void **state)
{
    struct world world;

    world_open(&world, *state, 0);
    await_told(&world, "1", "\"in_use\":[],\"lease\":null");
    close_usage(&world);
    assert_int_equal(atomic_load(&world.requests), 0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(what_is_read_is_said_and_released),
        IN_A_PLACE(what_was_used_is_forgotten_in_time),
        IN_A_PLACE(it_is_remembered),
        IN_A_PLACE(a_server_that_says_no_is_in_nobodys_way),
        IN_A_PLACE(a_silent_server_is_given_up),
        IN_A_PLACE(nothing_in_use_is_nothing_to_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
