/* SPDX-License-Identifier: MIT */
#include "common/client/api_versions.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/client/tests/asked.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGESTS "\"content\":\"" HEX "\",\"times\":\"" HEX "\",\"tree\":\"" HEX "\","
#define FACTS                                           \
    "\"tree_size\":8192,\"file_count\":3,\"bytes\":99," \
    "\"created_at\":\"2024-01-02T03:04:05Z\",\"state\":\"ready\",\"pinned\":true"
#define VERSION(name, extra) \
    "{\"project\":\"p\",\"app\":\"a\",\"version\":\"" name "\"," DIGESTS FACTS extra "}"

struct world {
    struct asked at;
    int status; /* 0: 200 */
    const char *body;
    char path[2048];
    unsigned pages;
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;
    char page[1024];
    int n;

    memcpy(world->path, request->path, sizeof(world->path));
    if (world->body != NULL)
        return origin_reply(request, world->status == 0 ? 200 : world->status,
                            "Content-Type: application/problem+json\r\n", world->body,
                            strlen(world->body));
    /* three pages of two projects */
    world->pages++;
    n = snprintf(page, sizeof(page),
                 "{\"items\":[{\"project\":\"p%ua\",\"created_at\":\"2024-01-02T03:04:05Z\","
                 "\"app_count\":5},"
                 "{\"project\":\"p%ub\",\"app_count\":0}]%s%s}",
                 world->pages, world->pages, world->pages < 3 ? ",\"next_cursor\":\"c+" : "",
                 world->pages < 3 ? (world->pages == 1 ? "1\"" : "2\"") : "");
    return origin_reply(request, 200, NULL, page, (size_t)n);
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

static void a_version_is_read(void **state)
{
    struct world *world = *state;
    struct api_version version;

    world->body = VERSION("v1", ",\"unknown\":{\"x\":[1]}");
    assert_int_equal(api_version_get(world->at.client, "p", "a", "v1", &version, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/v1");
    assert_string_equal(version.record.version, "v1");
    assert_int_equal(version.record.bytes, 99);
    assert_int_equal(version.record.tree_size, 8192);
    assert_true(version.pinned);
    assert_false(version.trashed);
    assert_int_equal(version.json.size, strlen(world->body));
    api_version_release(&version);
    assert_int_equal(api_version_get(world->at.client, "p", "a", "@live", &version, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/versions/@live");
    api_version_release(&version);
    assert_int_equal(api_version_get(world->at.client, "p", "a", "latest", &version, NULL), 0);
    api_version_release(&version);
}

static void answers_that_break_the_rules(void **state)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "null",
        "{\"project\":\"p\"}",
        VERSION("v2", ""), /* another version */
        VERSION("../../x", ""),
        VERSION("latest", ""),
        VERSION("v1", ",\"bytes\":98"), /* twice */
        "{\"project\":\"p\",\"app\":\"a\",\"version\":\"v1\",\"content\":\"" HEX "\"}",
    };
    struct world *world = *state;
    struct api_version version;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        /* what is no object at all is not from a kkArtifact server */
        int expected = bodies[i][0] == '{' ? -EBADMSG : -EIO;

        world->body = bodies[i];
        if (api_version_get(world->at.client, "p", "a", "v1", &version, NULL) != expected)
            fail_msg("taken: %s", bodies[i]);
    }
    world->body = VERSION("v1", "");
    assert_int_equal(api_version_get(world->at.client, "p", "b", "v1", &version, NULL), -EBADMSG);
    assert_int_equal(api_version_get(world->at.client, "q", "a", "v1", &version, NULL), -EBADMSG);
}

static int each_name(void *context, const struct api_name *item, struct error *err)
{
    return 0;
}

static int each_version(void *context, const struct api_version *version, struct error *err)
{
    return 0;
}

/* What a server says of a thing that is not there or not for this token names nothing. */
static void what_is_refused_is_named(void **state)
{
    struct world *world = *state;
    struct api_client *client = world->at.client;
    struct api_version version;
    struct error err = { 0 };

    world->status = 404;
    world->body = "{\"code\":\"not-found\",\"detail\":\"no such version\"}";
    assert_int_equal(api_version_get(client, "p", "a", "v1", &version, &err), -ENOENT);
    assert_string_equal(err.text, "p/a/v1: no such version (404 not-found)");
    assert_int_equal(api_version_get(client, "p", "a", "@live", &version, &err), -ENOENT);
    assert_string_equal(err.text, "p/a@live: no such version (404 not-found)");
    assert_int_equal(api_versions_list(client, "p", "a", each_version, NULL, &err), -ENOENT);
    assert_string_equal(err.text, "p/a: no such version (404 not-found)");
    assert_int_equal(api_apps_list(client, "p", each_name, NULL, &err), -ENOENT);
    assert_string_equal(err.text, "p: no such version (404 not-found)");
    world->status = 403;
    world->body = "{\"code\":\"insufficient-scope\",\"detail\":\"no\"}";
    assert_int_equal(api_version_get(client, "p", "a", "v1", &version, &err), -EACCES);
    assert_string_equal(err.text, "p/a/v1: no (403 insufficient-scope)");
    world->status = 401; /* not of this version alone */
    world->body = "{\"code\":\"token-expired\",\"detail\":\"no\"}";
    assert_int_equal(api_version_get(client, "p", "a", "v1", &version, &err), -EPERM);
    assert_string_equal(err.text, "no (401 token-expired)");
}

struct seen {
    char names[256];
    int stop_after;
    bool done;
    int code;
};

static int see_name(void *context, const struct api_name *item, struct error *err)
{
    struct seen *seen = context;
    size_t used = strlen(seen->names);

    (void)snprintf(seen->names + used, sizeof(seen->names) - used, "%s:%d ", item->name,
                   (int)item->count);
    return --seen->stop_after == 0 ? -EXDEV : 0;
}

static void lists_are_walked_page_by_page(void **state)
{
    struct world *world = *state;
    struct seen seen = { .stop_after = 100 };

    assert_int_equal(api_projects_list(world->at.client, see_name, &seen, NULL), 0);
    assert_string_equal(seen.names, "p1a:5 p1b:0 p2a:5 p2b:0 p3a:5 p3b:0 ");
    assert_int_equal(world->pages, 3);
    assert_string_equal(world->path, "/api/v1/projects?limit=500&cursor=c%2B2");
    world->pages = 0;
    seen = (struct seen){ .stop_after = 3 };
    assert_int_equal(api_projects_list(world->at.client, see_name, &seen, NULL), -EXDEV);
    assert_int_equal(world->pages, 2);
}

static void lists_that_break_the_rules(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"items\":{}}",
        "{\"items\":[1]}",
        "{\"items\":[{\"project\":\"a/b\"}]}",
        "{\"items\":[{\"project\":\"..\"}]}",
        "{\"items\":[{\"project\":\"a\"}],\"next_cursor\":5}",
        "{\"items\":[],\"next_cursor\":\"same\"}", /* for ever */
        "{\"items\":[{\"project\":\"a\",\"created_at\":\"yesterday\"}]}",
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct seen seen = { .stop_after = 1000 };

        world->body = bodies[i];
        if (api_projects_list(world->at.client, see_name, &seen, NULL) != -EBADMSG)
            fail_msg("taken: %s", bodies[i]);
    }
}

static void take_names(void *context, const struct api_names *names, const struct error *err)
{
    struct seen *seen = context;

    seen->done = true;
    seen->code = names == NULL ? err->code : 0;
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        size_t used = strlen(seen->names);
        (void)snprintf(seen->names + used, sizeof(seen->names) - used, "%s ", names->names[i]);
    }
}

static bool is_seen(void *context)
{
    return ((struct seen *)context)->done;
}

static void names_come_without_waiting(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };

    assert_int_equal(api_names_start(world->at.client, "/projects", "project", take_names, &seen,
                                     NULL),
                     0);
    assert_false(seen.done);
    assert_int_equal(http_loop_run_until(world->at.loop, is_seen, &seen,
                                         clock_monotonic_ms() + 10000, NULL),
                     0);
    assert_int_equal(seen.code, 0);
    assert_string_equal(seen.names, "p1a p1b p2a p2b p3a p3b ");
    world->body = "{\"items\":[{\"project\":\"a/b\"}]}";
    seen = (struct seen){ 0 };
    assert_int_equal(api_names_start(world->at.client, "/projects", "project", take_names, &seen,
                                     NULL),
                     0);
    assert_int_equal(http_loop_run_until(world->at.loop, is_seen, &seen,
                                         clock_monotonic_ms() + 10000, NULL),
                     0);
    assert_int_equal(seen.code, -EBADMSG);
}

static void the_server_says_what_it_is(void **state)
{
    struct world *world = *state;
    struct api_server server;

    world->body =
        "{\"name\":\"kkartifact-server\",\"version\":\"1.2\",\"api\":1,\"store\":\"s-1\"}";
    assert_int_equal(api_server_get(world->at.client, 0, &server, NULL), 0);
    assert_string_equal(server.store, "s-1");
    assert_int_equal(server.api, 1);
    world->body = "{\"name\":5}";
    assert_int_equal(api_server_get(world->at.client, 0, &server, NULL), -EBADMSG);
}

static int read_one(void)
{
    struct api_version version;
    int r = api_version_read(span_text(VERSION("v1", "")), "p", "a", "v1", &version, NULL);

    if (r == 0)
        api_version_release(&version);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(read_one());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(a_version_is_read),          CASE(answers_that_break_the_rules),
        CASE(what_is_refused_is_named),   CASE(lists_are_walked_page_by_page),
        CASE(lists_that_break_the_rules), CASE(names_come_without_waiting),
        CASE(the_server_says_what_it_is), CASE(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
