/* SPDX-License-Identifier: MIT */
#include "common/client/api_hosts.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/error.h"
#include "common/client/tests/asked.h"
#include "tests/support/unit.h"

#define TIMES                             \
    "\"since\":\"2024-01-02T03:04:05Z\"," \
    "\"renewed_at\":\"2024-01-02T03:04:06Z\",\"expires_at\":\"2024-02-02T03:04:05Z\","
#define LEASE(host, place, stale)                                                              \
    "{\"host\":\"" host "\",\"place\":\"" place "\",\"project\":\"p\",\"app\":\"a\","          \
    "\"version\":\"1\",\"mode\":\"pull\",\"state\":\"complete\"," TIMES "\"stale\":" stale "," \
    "\"token\":\"t\"}"

struct world {
    struct asked at;
    const char *body; /* NULL: two pages */
    int lease_status, pull_status;
    char paths[4][2048], bodies[4][512];
    atomic_uint requests; /* of several connections */
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;
    const char *page = world->body;
    const unsigned number = atomic_fetch_add(&world->requests, 1);
    const unsigned n = number % 4;
    int status = 200;

    memcpy(world->paths[n], request->path, sizeof(world->paths[n]));
    memset(world->bodies[n], 0, sizeof(world->bodies[n]));
    if (request->body_size < sizeof(world->bodies[n]) && request->body_size > 0)
        memcpy(world->bodies[n], request->body, request->body_size);
    if (strcmp(request->method, "GET") != 0) {
        status = strcmp(request->method, "PUT") == 0 ? world->lease_status : world->pull_status;
        page = world->body != NULL ? world->body : "{}";
    } else if (page == NULL) {
        page = world->requests == 1
                   ? "{\"items\":[" LEASE("h1", "/a", "false") "],"
                                                               "\"next_cursor\":\"c\"}"
                   : "{\"items\":[" LEASE("h2", "/b", "true") "]}";
    }
    return origin_reply(request, status, NULL, page, strlen(page));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->lease_status = world->pull_status = 200;
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

struct seen {
    unsigned count, stale;
    char hosts[64];
    int64_t renewed_at_s;
};

static int see(void *context, const struct api_lease *lease, struct error *err)
{
    struct seen *seen = context;

    seen->count++;
    seen->stale += lease->stale;
    seen->renewed_at_s = lease->renewed_at_s;
    assert_true(strlen(seen->hosts) + strlen(lease->host) < sizeof(seen->hosts));
    memcpy(seen->hosts + strlen(seen->hosts), lease->host, strlen(lease->host) + 1);
    return 0;
}

static void every_page_is_walked(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };

    assert_int_equal(api_hosts_list(world->at.client, "p", "a", "1+x", see, &seen, NULL), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.stale, 1);
    assert_string_equal(seen.hosts, "h1h2");
    assert_int_equal(seen.renewed_at_s, 1704164646);
    assert_string_equal(world->paths[0], "/api/v1/hosts?project=p&app=a&version=1%2Bx&limit=500");
    assert_string_equal(world->paths[1],
                        "/api/v1/hosts?project=p&app=a&version=1%2Bx&limit=500&cursor=c");
    seen = (struct seen){ 0 };
    world->body = "{\"items\":[]}";
    assert_int_equal(api_hosts_list(world->at.client, NULL, NULL, NULL, see, &seen, NULL), 0);
    assert_int_equal(seen.count, 0);
    assert_string_equal(world->paths[2], "/api/v1/hosts?limit=500");
}

static void answers_that_break_the_rules(void **state)
{
    static const char *const bodies[] = {
        "{\"items\":[{}]}",
        "{\"items\":[7]}",
        "{\"items\":7}",
        "{\"items\":[" LEASE("a b", "/a", "false") "]}",
        "{\"items\":[" LEASE("h1", "/a", "1") "]}",
    };
    struct world *world = *state;
    struct seen seen = { 0 };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        world->body = bodies[i];
        assert_int_equal(api_hosts_list(world->at.client, NULL, NULL, NULL, see, &seen, NULL),
                         -EBADMSG);
    }
    assert_int_equal(seen.count, 0);
}

static uint32_t renew_in_s;

static const struct api_in_use in_use = { "web 1", "/srv/\xc3\xa4", "p", "a", "1" };

/* The one whose path ends so. */
static unsigned request_of(const struct world *world, const char *end)
{
    for (unsigned i = 0; i < 2; i++) {
        const size_t size = strlen(world->paths[i]);

        if (size > strlen(end) && strcmp(world->paths[i] + size - strlen(end), end) == 0)
            return i;
    }
    fail_msg("no request to %s", end);
    return 0;
}

static void what_is_in_use_is_said_in_two_requests(void **state)
{
    struct world *world = *state;
    unsigned lease, pull;

    assert_int_equal(api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL), 0);
    assert_int_equal(world->requests, 2);
    lease = request_of(world, "/leases");
    assert_string_equal(world->paths[lease], "/api/v1/hosts/web%201/leases");
    assert_string_equal(world->bodies[lease],
                        "{\"leases\":[{\"project\":\"p\",\"app\":\"a\",\"version\":\"1\","
                        "\"place\":\"/srv/\xc3\xa4\",\"mode\":\"pull\",\"state\":\"complete\"}]}");
    pull = request_of(world, "/pulls");
    assert_string_equal(world->paths[pull], "/api/v1/projects/p/apps/a/versions/1/pulls");
    assert_string_equal(world->bodies[pull], "{\"host\":\"web 1\"}");
}

static void a_renewal_is_one_request(void **state)
{
    static const struct {
        const char *body;
        uint32_t renew_in_s;
    } cases[] = {
        { "{\"renew_in_s\":3600,\"expires_at\":\"2024-01-02T03:04:05Z\"}", 3600 },
        { "{}", 0 },
        { "{\"renew_in_s\":-5}", 0 },
        { "{\"renew_in_s\":99999999999}", 0 },
        { "{\"renew_in_s\":\"60\"}", 0 },
    };
    struct world *world = *state;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        renew_in_s = 7;
        world->body = cases[i].body;
        assert_int_equal(api_hosts_renew(world->at.client, &in_use, &renew_in_s, NULL), 0);
        assert_int_equal(renew_in_s, cases[i].renew_in_s);
        assert_int_equal(world->requests, i + 1);
    }
    assert_string_equal(world->paths[0], "/api/v1/hosts/web%201/leases");
    renew_in_s = 7;
    world->lease_status = 503;
    assert_int_equal(api_hosts_renew(world->at.client, &in_use, &renew_in_s, NULL), -EAGAIN);
    assert_int_equal(renew_in_s, 7);
}

static void one_that_is_refused_does_not_keep_the_other_back(void **state)
{
    struct world *world = *state;

    world->lease_status = 404;
    assert_int_equal(api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL), -ENOENT);
    assert_int_equal(world->requests, 2);
    world->lease_status = 200;
    world->pull_status = 403;
    assert_int_equal(api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL), -EACCES);
    assert_int_equal(world->requests, 4);
}

static void a_server_that_is_away_is_asked_once(void **state)
{
    struct world *world = *state;

    world->lease_status = world->pull_status = 503;
    assert_int_equal(api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL), -EAGAIN);
    assert_int_equal(world->requests, 2);
}

static void an_interrupt_ends_it(void **state)
{
    struct world *world = *state;

    api_client_interrupt(world->at.client);
    assert_int_equal(api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL),
                     -ECANCELED);
}

static void lack_of_memory_is_told(void **state)
{
    struct world *world = *state;
    bool failed;
    int r;

    for (int64_t n = 0;; n++) {
        memory_fail_after(n);
        r = api_hosts_say_pulled(world->at.client, &in_use, &renew_in_s, NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        if (!failed)
            break;
        assert_int_not_equal(r, 0);
    }
    assert_int_equal(r, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(every_page_is_walked),
        CASE(answers_that_break_the_rules),
        CASE(what_is_in_use_is_said_in_two_requests),
        CASE(a_renewal_is_one_request),
        CASE(one_that_is_refused_does_not_keep_the_other_back),
        CASE(a_server_that_is_away_is_asked_once),
        CASE(an_interrupt_ends_it),
        CASE(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests_name("api_hosts", tests, NULL, NULL);
}
