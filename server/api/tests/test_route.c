/* SPDX-License-Identifier: MIT */
#include "server/api/route.h"

#include <errno.h>
#include <string.h>

#include "server/http/url.h"
#include "tests/support/unit.h"

static int find(const char *target, enum http_method method, struct route_match *out,
                unsigned *allowed)
{
    struct url url = { 0 };
    int r;

    assert_int_equal(url_parse(&url, span_text(target), NULL), 0);
    r = route_find(&url, method, out, allowed);
    url_release(&url);
    return r;
}

static void assert_route(const char *target, enum http_method method, const char *pattern)
{
    struct route_match match = { 0 };
    unsigned allowed = 0;

    assert_int_equal(find(target, method, &match, &allowed), 0);
    assert_string_equal(routes[match.index].pattern, pattern);
}

#define APP "/api/v1/projects/{p}/apps/{a}"

static void paths(void **state)
{
    assert_route("/healthz", HTTP_GET, "/healthz");
    assert_route("/api/v1/projects", HTTP_GET, "/api/v1/projects");
    assert_route("/api/v1/projects/apps", HTTP_GET, "/api/v1/projects/{p}");
    assert_route("/api/v1/projects/a%2Fb", HTTP_GET, "/api/v1/projects/{p}");
    assert_route("/api/v1/projects/a/apps/b/versions/v/tree?part=names", HTTP_GET,
                 APP "/versions/{v}/tree");
    assert_route("/api/v1/projects/a/apps/b/versions/v/files", HTTP_GET, APP "/versions/{v}/files");
    assert_route("/api/v1/projects/a/apps/b/versions/v/files/x/y/z", HTTP_GET,
                 APP "/versions/{v}/files/{path...}");
    assert_route("/api/v1/projects/a/apps/b/pushes/1/blobs/2", HTTP_PATCH,
                 APP "/pushes/{id}/blobs/{d}");
}

static void head_of_a_get(void **state)
{
    assert_route("/healthz", HTTP_HEAD, "/healthz");
    assert_route("/api/v1/projects/a", HTTP_HEAD, "/api/v1/projects/{p}");
}

static void parameters(void **state)
{
    struct route_match match = { 0 };
    unsigned allowed = 0;

    assert_int_equal(find("/api/v1/projects/a/apps/b/versions/c/files/d/e", HTTP_GET, &match,
                          &allowed),
                     0);
    assert_int_equal(match.parameter_count, 4);
    assert_int_equal(match.parameters[0].first, 3);
    assert_int_equal(match.parameters[0].name_size, 1);
    assert_memory_equal(match.parameters[3].name, "path", 4);
    assert_int_equal(match.parameters[3].name_size, 4);
    assert_int_equal(match.parameters[3].first, 9);
    assert_int_equal(match.parameters[3].count, 2);
}

static void unknown_paths(void **state)
{
    static const char *const targets[] = {
        "/",         "/api",     "/api/v1",          "/api/v2/projects", "/api/v1/projects/a/b",
        "/healthz/", "/HEALTHZ", "/api/v1//projects"
    };
    struct route_match match;
    unsigned allowed;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        if (find(targets[i], HTTP_GET, &match, &allowed) != -ENOENT)
            fail_msg("%s is known", targets[i]);
    }
}

static void other_methods(void **state)
{
    struct route_match match;
    unsigned allowed = 0;

    assert_int_equal(find("/api/v1/projects/a", HTTP_PATCH, &match, &allowed), -ENOTSUP);
    assert_int_equal(allowed,
                     1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_PUT | 1u << HTTP_DELETE);
    assert_int_equal(find("/api/v1/projects/a/apps/b/pushes", HTTP_GET, &match, &allowed),
                     -ENOTSUP);
    assert_int_equal(allowed, 1u << HTTP_POST);
    assert_int_equal(find("/healthz", HTTP_OTHER, &match, &allowed), -ENOTSUP);
}

/* The table itself: each line can be reached, and says what it has to. */
static void table(void **state)
{
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        struct route_match match = { 0 };
        unsigned allowed = 0;

        assert_int_equal(find(route->pattern, route->method, &match, &allowed), 0);
        assert_int_equal(match.index, i);
        assert_true((route->handle != NULL) != (route->sink != NULL));
        assert_int_equal(route->sink != NULL, route->body == HTTP_BODY_STREAM);
        if (strncmp(route->pattern, "/api/v1/projects", 16) == 0)
            assert_true(route->permit >= PERMIT_SEE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),         cmocka_unit_test(head_of_a_get),
        cmocka_unit_test(parameters),    cmocka_unit_test(unknown_paths),
        cmocka_unit_test(other_methods), cmocka_unit_test(table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
