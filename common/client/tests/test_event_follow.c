/* SPDX-License-Identifier: MIT */
#include "common/client/event_follow.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/tests/asked.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

#define STEPS 8
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

/* What the server answers to each of the connections in turn. */
struct step {
    const char *answer;
    bool holds; /* and the connection stays open */
};

struct world {
    struct step steps[STEPS];
    char ids[STEPS][32]; /* Last-Event-ID of each; "-" without one */
    char path[256];
    _Atomic unsigned next;
    _Atomic bool ending;
    struct asked at;
    struct buf told; /* what was called */
    unsigned calls;
    int ended;
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;
    const unsigned n = atomic_fetch_add(&world->next, 1) % STEPS;
    const struct step *step = &world->steps[n];

    memcpy(world->path, request->path, sizeof(world->path) - 1);
    if (origin_header(request, "Last-Event-ID", world->ids[n], sizeof(world->ids[n])) == NULL)
        memcpy(world->ids[n], "-", 2);
    if (step->answer != NULL)
        origin_send(request, step->answer, strlen(step->answer));
    while (step->holds && !atomic_load(&world->ending))
        usleep(2000);
    return false;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct api_client_options options = { .timeout_ms = 5000 };

    asked_start(&world->at, answer, world, &options);
    world->told = buf_init(4096);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    atomic_store(&world->ending, true);
    asked_stop(&world->at);
    buf_release(&world->told);
    free(world);
    return 0;
}

static void on_event(void *context, struct span type, struct span data)
{
    struct world *world = context;

    buf_add_span(&world->told, type);
    buf_add_byte(&world->told, '=');
    buf_add_span(&world->told, data);
    buf_add_byte(&world->told, ' ');
    world->calls++;
}

static void on_anew(void *context)
{
    struct world *world = context;

    buf_add_text(&world->told, "anew ");
    world->calls++;
}

static void on_end(void *context, const struct error *err)
{
    struct world *world = context;

    world->ended = err->code;
    buf_add_text(&world->told, "end ");
    world->calls++;
}

static void on_pause(void *context, unsigned failures, uint64_t wait_ms, const struct error *err)
{
    struct world *world = context;

    assert_true(failures > 0);
    assert_true(err->code < 0 && err->text[0] != '\0');
    buf_add_text(&world->told, "pause ");
    world->calls++;
}

struct wanted {
    struct world *world;
    unsigned calls;
};

static bool has_come(void *context)
{
    const struct wanted *wanted = context;

    return wanted->world->calls >= wanted->calls;
}

/* Follows until so many calls have come, and compares them. */
static void follow(struct world *world, unsigned calls, uint64_t silence_ms, const char *told)
{
    const struct event_follow_spec spec = {
        .project = "p",
        .app = "a+b",
        .types = "version.promoted,version.rolled-back",
        .on_event = on_event,
        .on_anew = on_anew,
        .on_end = on_end,
        .on_pause = on_pause,
        .context = world,
        .silence_ms = silence_ms,
        .retry = { .base_ms = 5, .max_ms = 20, .retry_after_max_ms = 5000 },
    };
    struct wanted wanted = { world, calls };
    struct event_follow *following;

    assert_int_equal(event_follow_start(world->at.client, &spec, &following, NULL), 0);
    assert_int_equal(http_loop_run_until(world->at.loop, has_come, &wanted,
                                         clock_monotonic_ms() + 60000, NULL),
                     0);
    event_follow_stop(following);
    assert_string_equal(buf_text(&world->told), told);
}

static void goes_on_where_it_was(void **state)
{
    struct world *world = *state;

    world->steps[0].answer = HEAD ": beat\nid: 5\n\nid: 6\nevent: x\ndata: 1\n\nid: 7\ndata: cut";
    world->steps[1].answer = HEAD ": beat\nid: 6\n\nid: 7\nevent: x\ndata: 2\n\n: beat\nid: 9\n\n";
    world->steps[2] = (struct step){ HEAD "id: 10\nevent: y\ndata: 3\n\n", true };
    follow(world, 6, 0, "anew x=1 pause x=2 pause y=3 ");
    assert_string_equal(world->ids[0], "-");
    assert_string_equal(world->ids[1], "6");
    assert_string_equal(world->ids[2], "9");
    assert_string_equal(
        world->path,
        "/api/v1/events?project=p&app=a%2Bb&type=version.promoted%2Cversion.rolled-back");
}

/* Without a number nothing says what was missed. */
static void looks_anew_without_a_number(void **state)
{
    struct world *world = *state;

    world->steps[0].answer = HEAD ": beat\n";
    world->steps[1].answer = HEAD ": beat\nid: 5\n\nid: 9\nevent: gone\ndata: {}\n\n";
    world->steps[2].answer = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    world->steps[3] = (struct step){ HEAD ": beat\nid: 1\n\n", true };
    follow(world, 7, 0, "anew pause anew anew pause pause anew ");
    assert_string_equal(world->ids[1], "-");
    assert_string_equal(world->ids[2], "9");
    assert_string_equal(world->ids[3], "-");
}

static void comes_back_to_a_server_that_is_away(void **state)
{
    struct world *world = *state;

    world->steps[0].answer = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    world->steps[1].answer = "";
    world->steps[2].answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nwelcome";
    world->steps[3].answer = "HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    world->steps[4].answer = HEAD "id: 1\ndata: a\n\nid: ../x\ndata: b\n\n";
    world->steps[5] = (struct step){ HEAD "id: 2\ndata: c\n\n", true };
    follow(world, 10, 0, "pause pause pause pause anew message=a message=b pause anew message=c ");
    assert_string_equal(world->ids[5], "-"); /* what is no number is not sent */
}

static void silence_is_a_dead_connection(void **state)
{
    struct world *world = *state;

    world->steps[0] = (struct step){ HEAD "id: 3\n\n", true };
    world->steps[1] = (struct step){ NULL, true };
    world->steps[2] = (struct step){ HEAD "id: 4\ndata: a\n\n", true };
    follow(world, 4, 200, "anew pause pause message=a ");
    assert_string_equal(world->ids[2], "3");
}

static void refusals_end_it(void **state)
{
    static const struct {
        const char *answer;
        int code;
    } cases[] = {
        { "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", -EPERM },
        { "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", -EACCES },
        { "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", -ENOENT },
        { "HTTP/1.1 422 No\r\nContent-Type: application/problem+json\r\nContent-Length: 21\r\n\r\n"
          "{\"code\":\"validation\"}",
          -EINVAL },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world *world;

        world_new(state);
        world = *state;
        world->steps[0].answer = HEAD "id: 1\n\n";
        world->steps[1].answer = cases[i].answer;
        follow(world, 3, 0, "anew pause end ");
        assert_int_equal(world->ended, cases[i].code);
        world_free(state);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

static void a_promotion_names_its_channel(void **state)
{
    static const struct {
        const char *data;
        bool is;
    } cases[] = {
        { "{\"data\":{\"channel\":\"live\"}}", true },
        { "{\"data\":{\"channel\":\"beta\"}}", false },
        { "{\"data\":{\"channel\":7}}", true }, /* what cannot be read may be */
        { "{\"data\":{}}", true },
        { "{}", true },
        { "no json", true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(event_follow_is_of_channel(span_text(cases[i].data), "live"), cases[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_on_where_it_was),
        CASE(looks_anew_without_a_number),
        CASE(comes_back_to_a_server_that_is_away),
        CASE(silence_is_a_dead_connection),
        cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(a_promotion_names_its_channel),
    };

    return cmocka_run_group_tests_name("event_follow", tests, NULL, NULL);
}
