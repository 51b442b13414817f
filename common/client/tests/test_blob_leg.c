/* SPDX-License-Identifier: MIT */
/* Three servers of one store, of which some are down, slow or lying. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/blob_fetch.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

#define MIB (1024 * 1024)
#define SMALLS 64 /* each is read once: nothing is in the cache */
#define SMALL_SIZE 20000
#define LARGE_SIZE (3 * MIB + 12345)
#define LONG_MS 60000 /* longer than any fault here may take */
#define STORE "X-Kkartifact-Store: store-1\r\n"

struct world {
    struct server *servers[3];
    size_t next; /* small one */
    char *folder;
    struct kit kit;
    struct servers_policy policy;
    uint8_t *out;
    unsigned changes[3][SERVER_FOREIGN + 1]; /* told, of each server to each state */
};

static struct sample *shared[SMALLS + 1]; /* the last one is large */

static int shared_new(void **state)
{
    for (uint32_t i = 0; i < SMALLS; i++)
        shared[i] = sample_new(SMALL_SIZE, i + 1);
    shared[SMALLS] = sample_new(LARGE_SIZE, SMALLS + 1);
    return 0;
}

static int shared_free(void **state)
{
    for (size_t i = 0; i <= SMALLS; i++)
        sample_free(shared[i]);
    return 0;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    for (size_t i = 0; i < 3; i++) {
        world->servers[i] = server_start((const struct sample *const *)shared, SMALLS + 1);
        origin_set_lines(world->servers[i]->origin, STORE);
    }
    world->folder = temporary_new();
    world->out = malloc(LARGE_SIZE);
    world->policy = servers_policy_default();
    world->policy.pause = 20;
    world->policy.pause_max = 100;
    world->policy.doubt = LONG_MS;
    world->policy.stall = 300;
    world->policy.hedge_new = 100;
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    if (world->kit.engine != NULL)
        kit_free(&world->kit);
    for (size_t i = 0; i < 3; i++)
        server_stop(world->servers[i]);
    temporary_remove(world->folder);
    free(world->out);
    free(world);
    return 0;
}

static void note_change(void *context, size_t index, const struct server_status *status)
{
    struct world *world = context;

    world->changes[index][status->state]++;
}

/* `first`: the address in the place of the first server's; or NULL. */
static void begin_at(struct world *world, const char *first)
{
    const char *urls[3];
    struct api_client_options options = { .servers = urls,
                                          .server_count = 3,
                                          .policy = &world->policy,
                                          .store = "store-1",
                                          .on_server = note_change,
                                          .server_context = world };

    for (size_t i = 0; i < 3; i++)
        urls[i] = origin_url(world->servers[i]->origin);
    if (first != NULL)
        urls[0] = first;
    world->kit = kit_new_with(&options, world->folder, 0);
    world->next = 0;
}

static void begin(struct world *world)
{
    begin_at(world, NULL);
}

/* A read of all of an object, from the network: 0 and the right bytes, or a failure. */
static int read_all(struct world *world, size_t index, uint64_t timeout_ms)
{
    const struct sample *sample = shared[index];
    struct blob_object *object = kit_object(&world->kit, sample, index);
    int r;

    memset(world->out, 0, sample->size);
    r = kit_read(&world->kit, object, 0, world->out, sample->size, timeout_ms);
    if (r == 0)
        assert_memory_equal(world->out, sample->bytes, sample->size);
    blob_object_unref(object);
    return r;
}

static int read_small(struct world *world, uint64_t timeout_ms)
{
    assert_true(world->next < SMALLS);
    return read_all(world, world->next++, timeout_ms);
}

static int read_large(struct world *world)
{
    return read_all(world, SMALLS, LONG_MS);
}

static unsigned asked(const struct world *world, size_t index)
{
    return atomic_load(&world->servers[index]->blob_requests);
}

static unsigned asked_all(const struct world *world)
{
    return asked(world, 0) + asked(world, 1) + asked(world, 2);
}

static enum server_state state_of(const struct world *world, size_t index)
{
    struct server_status status;

    api_client_server_status(world->kit.client, index, &status);
    return status.state;
}

static uint64_t hedges_of(const struct world *world, size_t index)
{
    struct server_status status;

    api_client_server_status(world->kit.client, index, &status);
    return status.hedges;
}

struct awaited {
    struct world *world;
    size_t index;
    enum server_state state;
};

static bool is_in_state(void *context)
{
    struct awaited *awaited = context;

    return state_of(awaited->world, awaited->index) == awaited->state;
}

static void await(struct world *world, size_t index, enum server_state state)
{
    struct awaited awaited = { world, index, state };

    assert_int_equal(http_loop_run_until(world->kit.loop, is_in_state, &awaited,
                                         clock_monotonic_ms() + LONG_MS, NULL),
                     0);
}

static void the_first_is_used_while_it_is_well(void **state)
{
    struct world *world = *state;

    world->policy.hedge_new = world->policy.hedge_least = LONG_MS;
    world->policy.hedge_most = LONG_MS;
    begin(world);
    for (int i = 0; i < 10; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 0), 10);
    assert_int_equal(asked_all(world), 10);
    assert_int_equal(atomic_load(&world->servers[0]->probes), 0);
}

/* At most one retry; then it is not asked; when it is back it is. */
static void one_that_is_down_costs_one_retry(void **state)
{
    struct world *world = *state;

    begin(world);
    atomic_store(&world->servers[0]->drop, 1);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 1), 1);
    assert_int_equal(state_of(world, 0), SERVER_AWAY);
    for (int i = 0; i < 5; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 1), 6);
    assert_int_equal(asked(world, 2), 0);
    assert_true(api_client_online(world->kit.client));
    atomic_store(&world->servers[0]->drop, 0);
    await(world, 0, SERVER_OK);
    assert_int_equal(api_client_current(world->kit.client), 0);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 0), 1);
    assert_int_equal(asked(world, 1), 6);
    assert_int_equal(world->changes[0][SERVER_AWAY], 1); /* told once */
    assert_int_equal(world->changes[0][SERVER_OK], 1);
}

static void two_that_are_down(void **state)
{
    struct world *world = *state;

    begin(world);
    atomic_store(&world->servers[0]->drop, 1);
    atomic_store(&world->servers[1]->status, 502);
    assert_int_equal(read_large(world), 0);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 0) + asked(world, 1), 0);
    assert_true(asked(world, 2) > 0);
}

/* A listener whose backlog is full: connections are neither made nor refused. */
struct black_hole {
    int listener, held[64];
    size_t count;
    char url[64];
};

static void black_hole_open(struct black_hole *hole)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);

    *hole = (struct black_hole){ .count = 0 };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(hole->listener, 0), 0);
    assert_int_equal(getsockname(hole->listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(hole->url, sizeof(hole->url), "http://127.0.0.1:%d", ntohs(address.sin_port));
    for (; hole->count < 8; hole->count++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        hole->held[hole->count] = fd;
        (void)connect(fd, (struct sockaddr *)&address, sizeof(address));
    }
}

static void black_hole_close(struct black_hole *hole)
{
    for (size_t i = 0; i < hole->count; i++)
        close(hole->held[i]);
    close(hole->listener);
}

static void one_that_swallows_connections(void **state)
{
    struct world *world = *state;
    struct black_hole hole;

    black_hole_open(&hole);
    begin_at(world, hole.url);
    for (int i = 0; i < 6; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked_all(world), 6);
    assert_true(state_of(world, 0) != SERVER_OK);
    assert_int_equal(api_client_current(world->kit.client), 1);
    kit_free(&world->kit);
    black_hole_close(&hole);
}

/* The budget for second requests is spent: the time to connect is limited all the same. */
static void without_a_hedge_connecting_ends_soon(void **state)
{
    struct world *world = *state;
    struct black_hole hole;

    black_hole_open(&hole);
    world->policy.hedge_burst = 0;
    world->policy.connect = 200;
    begin_at(world, hole.url);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked_all(world), 1);
    assert_int_equal(world->changes[0][SERVER_AWAY], 1);
    kit_free(&world->kit);
    black_hole_close(&hole);
}

static void one_that_is_silent(void **state)
{
    struct world *world = *state;

    begin(world);
    atomic_store(&world->servers[0]->hang, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(i == 0 ? read_large(world) : read_small(world, LONG_MS), 0);
    assert_true(state_of(world, 0) == SERVER_SLOW || state_of(world, 0) == SERVER_AWAY);
    assert_int_equal(asked(world, 0), 0);
    assert_true(hedges_of(world, 0) > 0);
    /* a probe is no answer while it is silent; then it is */
    atomic_store(&world->servers[0]->hang, 0);
    await(world, 0, SERVER_OK);
    assert_int_equal(api_client_current(world->kit.client), 0);
}

static void one_whose_answers_begin_late(void **state)
{
    struct world *world = *state;
    unsigned at_first;

    world->policy.hedge_new = 50;
    world->policy.pause = world->policy.pause_max = LONG_MS;
    begin(world);
    atomic_store(&world->servers[0]->delay_ms, 5000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(state_of(world, 0), SERVER_SLOW);
    at_first = asked(world, 0);
    assert_int_equal(at_first, 3);
    assert_int_equal(asked(world, 1), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 0), at_first);
    assert_int_equal(asked(world, 2), 0);
}

/* In the middle of a piece, and of a run of pieces. */
static void one_that_stops_in_the_middle(void **state)
{
    static const int places[] = { 1, 1000, BLOB_PIECE_SIZE, 2 * MIB + 77 };
    struct world *world = *state;

    for (int crawls = 0; crawls < 2; crawls++) {
        for (size_t i = 0; i < 4; i++) {
            struct server *server = world->servers[0];
            char *folder = world->folder;

            world->folder = temporary_new();
            begin(world);
            atomic_store(crawls ? &server->crawl_at : &server->stall_at, places[i]);
            for (size_t k = 0; k < 2; k++) {
                unsigned before = asked(world, 1) + asked(world, 2);

                assert_int_equal(k == 0 ? read_large(world) : read_small(world, LONG_MS), 0);
                if (asked(world, 1) + asked(world, 2) > before + 1)
                    fail_msg("%d: asked %u times more", places[i],
                             asked(world, 1) + asked(world, 2) - before);
            }
            assert_true(hedges_of(world, 0) > 0); /* no limit of the request's was waited for */
            atomic_store(&server->crawl_at, 0);
            atomic_store(&server->stall_at, 0);
            kit_free(&world->kit);
            temporary_remove(world->folder);
            world->folder = folder;
        }
    }
}

/* Whatever is wrong with an answer: the next server is asked at once, and nobody asks the liar. */
static void one_that_lies_costs_one_retry(void **state)
{
    struct world *world = *state;

    for (int lie = LIE_FLIP; lie < LIE_MERKLE_404; lie++) {
        char *folder = world->folder;
        bool of_levels = lie >= LIE_MERKLE_FLIP;
        unsigned before[3], lied;

        if (lie == LIE_LONG_CHUNKED) /* right bytes first: they may be used */
            continue;
        world->folder = temporary_new();
        begin(world);
        atomic_store(&world->servers[0]->lie, lie);
        for (size_t i = 0; i < 3; i++)
            before[i] = asked(world, i);
        if ((of_levels ? read_large(world) : read_small(world, LONG_MS)) != 0)
            fail_msg("lie %d of one of three servers", lie);
        if (!of_levels) {
            assert_int_equal(asked(world, 0) - before[0], 1);
            assert_int_equal(asked(world, 1) - before[1], 1);
            assert_int_equal(asked(world, 2) - before[2], 0);
        }
        if (lie != LIE_SHORT) /* a connection that breaks; not a lie */
            assert_int_equal(state_of(world, 0), SERVER_DOUBTED);
        lied = asked(world, 0);
        assert_int_equal(read_small(world, LONG_MS), 0);
        if (lie != LIE_SHORT)
            assert_int_equal(asked(world, 0), lied);
        atomic_store(&world->servers[0]->lie, LIE_NONE);
        kit_free(&world->kit);
        temporary_remove(world->folder);
        world->folder = folder;
    }
}

static void a_liar_is_quarantined(void **state)
{
    struct world *world = *state;
    struct server_status status;

    world->policy.doubt = 10;
    begin(world);
    atomic_store(&world->servers[0]->lie, LIE_FLIP);
    for (int i = 0; i < 3; i++) {
        await(world, 0, SERVER_OK);
        assert_int_equal(read_small(world, LONG_MS), 0);
    }
    api_client_server_status(world->kit.client, 0, &status);
    assert_int_equal(status.state, SERVER_QUARANTINED);
    assert_int_equal(status.wrong, 3);
    assert_true(status.next_ms > 200000);
    assert_int_equal(asked(world, 0), 3);
    assert_int_equal(asked(world, 1), 3);
    assert_int_equal(world->changes[0][SERVER_QUARANTINED], 1);
}

static void when_all_lie_it_is_said(void **state)
{
    struct world *world = *state;

    begin(world);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&world->servers[i]->lie, LIE_FLIP);
    assert_int_equal(read_small(world, LONG_MS), -EBADMSG);
    /* each, then one of them around caches */
    assert_int_equal(asked_all(world), 4);
    /* liars that mend their ways are believed: there is no other */
    for (size_t i = 0; i < 3; i++)
        atomic_store(&world->servers[i]->lie, LIE_NONE);
    assert_int_equal(read_small(world, LONG_MS), 0);
}

static void one_of_another_store_is_not_used(void **state)
{
    struct world *world = *state;

    begin(world);
    origin_set_lines(world->servers[0]->origin, "X-Kkartifact-Store: store-2\r\n");
    for (int i = 0; i < 4; i++)
        assert_int_equal(i == 0 ? read_large(world) : read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 0), 1); /* whose answer was not taken */
    assert_int_equal(state_of(world, 0), SERVER_FOREIGN);
    assert_int_equal(world->changes[0][SERVER_FOREIGN], 1);
    /* alone it is not used either */
    for (size_t i = 1; i < 3; i++)
        origin_set_lines(world->servers[i]->origin, "X-Kkartifact-Store: store-3\r\n");
    assert_int_equal(read_small(world, LONG_MS), -EIO);
}

static void retry_after_holds_for_one_server(void **state)
{
    struct world *world = *state;

    begin(world);
    world->servers[0]->retry_after = "2";
    atomic_store(&world->servers[0]->status, 503);
    atomic_store(&world->servers[0]->status_left, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    /* not to be seen when the machine is so slow that two seconds are over */
    if (state_of(world, 0) == SERVER_LATER) {
        assert_int_equal(asked(world, 0), 0);
        assert_int_equal(asked(world, 1), 3);
    }
    for (int i = 0; i < 1000 && state_of(world, 0) == SERVER_LATER; i++)
        assert_int_equal(http_loop_run_once(world->kit.loop, 20, NULL), 0);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_true(asked(world, 0) >= 1);
    assert_int_equal(atomic_load(&world->servers[0]->probes), 0);
}

/* A token that one server refuses is refused: there is no way around it by another one. */
static void a_refusal_is_not_worked_around(void **state)
{
    static const struct {
        int status, code;
        const char *lines;
    } cases[] = {
        { 401, -EPERM, "Content-Type: application/problem+json\r\n" },
        { 403, -EACCES, "Content-Type: application/problem+json\r\n" },
        { 403, -EACCES, "Content-Type: text/html\r\n" },
        { 404, -ENOENT, "Content-Type: application/problem+json\r\n" },
        { 410, -ESTALE, "Content-Type: application/problem+json\r\n" },
    };
    struct world *world = *state;

    begin(world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->servers[0]->error_lines = cases[i].lines;
        atomic_store(&world->servers[0]->status, cases[i].status);
        assert_int_equal(read_small(world, LONG_MS), cases[i].code);
        assert_int_equal(asked_all(world), 0);
        assert_int_equal(state_of(world, 0), SERVER_OK);
    }
}

static void a_stranger_that_says_no_is_not_believed(void **state)
{
    struct world *world = *state;

    begin(world);
    world->servers[0]->error_lines = "Content-Type: text/html\r\n";
    atomic_store(&world->servers[0]->status, 404);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 1), 1);
    /* but when all of them say it */
    for (size_t i = 1; i < 3; i++)
        atomic_store(&world->servers[i]->status, 404);
    assert_int_equal(read_small(world, LONG_MS), -ENOENT);
}

/* With all of them slow, and none to blame, second requests stay few. */
static void hedges_stay_few(void **state)
{
    struct world *world = *state;
    const unsigned reads = 60;

    world->policy.hedge_new = world->policy.hedge_least = world->policy.hedge_most = 5;
    world->policy.overtaken = 1000;
    begin(world);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&world->servers[i]->delay_ms, 30);
    for (unsigned i = 0; i < reads; i++)
        assert_int_equal(read_small(world, LONG_MS), 0);
    assert_in_range(asked_all(world), reads + 1, reads + 4 + reads * 5 / 100 + 1);
}

static void with_all_away_it_ends_and_begins_again(void **state)
{
    struct world *world = *state;

    begin(world);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&world->servers[i]->drop, 1);
    assert_int_equal(read_small(world, 600), -EAGAIN);
    assert_false(api_client_online(world->kit.client));
    atomic_store(&world->servers[2]->drop, 0);
    assert_int_equal(read_small(world, LONG_MS), 0);
    assert_int_equal(asked(world, 2), 1);
    assert_true(api_client_online(world->kit.client));
}

static uint32_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

static void set_fault(struct server *server, uint32_t kind, uint32_t random)
{
    atomic_store(&server->drop, kind == 1);
    atomic_store(&server->status, kind == 2 ? 500 + (int)(random % 4) : 0);
    atomic_store(&server->delay_ms, kind == 3 ? 3000 : 0);
    atomic_store(&server->stall_at, kind == 4 ? 1 + (int)(random % SMALL_SIZE) : 0);
    atomic_store(&server->lie, kind == 5 ? 1 + (int)(random % LIE_SWAP) : LIE_NONE);
    origin_set_lines(server->origin, kind == 6 ? "X-Kkartifact-Store: store-2\r\n" : STORE);
}

/* Any faults, changing: right bytes or an error by the deadline. With one faulty server there is no
 * error, and no more than one request in vain; it need not be the same one all the time. */
static void whatever_they_do_bytes_are_right(void **state)
{
    struct world *world = *state;
    const unsigned reads = 12;

    world->policy.hedge_new = world->policy.hedge_least = 60;
    world->policy.doubt = 50;
    world->policy.quarantine = 200;
    world->policy.quarantine_max = 400;
    for (uint64_t seed = 1; seed <= 9; seed++) {
        uint64_t random = seed * 2654435761u;
        bool many = seed % 3 == 0;
        char *folder = world->folder;

        world->folder = temporary_new();
        begin(world);
        for (unsigned i = 0; i < reads; i++) {
            uint32_t faulty = next_random(&random) % 3;
            unsigned before = asked_all(world);
            int r;

            for (uint32_t k = 0; k < 3; k++)
                set_fault(world->servers[k], many || k == faulty ? next_random(&random) % 7 : 0,
                          next_random(&random));
            r = read_small(world, many ? 500 : LONG_MS);
            if (!many && r != 0)
                fail_msg("seed %llu read %u: %d", (unsigned long long)seed, i, r);
            /* what another fault left behind may make the healthy one be passed over once */
            if (!many && asked_all(world) - before > 3)
                fail_msg("seed %llu read %u: %u requests", (unsigned long long)seed, i,
                         asked_all(world) - before);
        }
        for (size_t k = 0; k < 3; k++)
            set_fault(world->servers[k], 0, 0);
        assert_int_equal(read_small(world, LONG_MS), 0);
        kit_free(&world->kit);
        temporary_remove(world->folder);
        world->folder = folder;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(the_first_is_used_while_it_is_well),
        CASE(one_that_is_down_costs_one_retry),
        CASE(two_that_are_down),
        CASE(one_that_swallows_connections),
        CASE(without_a_hedge_connecting_ends_soon),
        CASE(one_that_is_silent),
        CASE(one_whose_answers_begin_late),
        CASE(one_that_stops_in_the_middle),
        CASE(one_that_lies_costs_one_retry),
        CASE(a_liar_is_quarantined),
        CASE(when_all_lie_it_is_said),
        CASE(one_of_another_store_is_not_used),
        CASE(retry_after_holds_for_one_server),
        CASE(a_refusal_is_not_worked_around),
        CASE(a_stranger_that_says_no_is_not_believed),
        CASE(hedges_stay_few),
        CASE(with_all_away_it_ends_and_begins_again),
        CASE(whatever_they_do_bytes_are_right),
    };

    return cmocka_run_group_tests(tests, shared_new, shared_free);
}
