/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "server/service/access.h"
#include "server/service/event_filter.h"

static struct event_filter filter_for(const char *project, const char *app, uint32_t permissions)
{
    struct identity identity = { .permissions = permissions };
    struct event_filter filter;

    memcpy(identity.project, project, strlen(project) + 1);
    memcpy(identity.app, app, strlen(app) + 1);
    event_filter_init(&filter, &identity);
    return filter;
}

static void test_scopes(void **state)
{
    static const struct {
        const char *project, *app; /* of the token */
        uint32_t permissions;
        const char *type, *event_project, *event_app;
        bool takes;
    } cases[] = {
        { "", "", ACCESS_PULL, "version.created", "p", "a", true },
        { "", "", ACCESS_PULL, "project.created", "p", "", true },
        { "", "", ACCESS_PULL, "token.created", "", "", false },
        { "", "", ACCESS_PULL, "token.created", "p", "", false },
        { "", "", ACCESS_PULL, "gc.run", "", "", false },
        { "", "", ACCESS_ALL, "token.created", "", "", true },
        { "", "", ACCESS_ALL, "gc.run", "", "", true },
        { "p", "", ACCESS_PULL, "version.created", "p", "a", true },
        { "p", "", ACCESS_PULL, "version.created", "pp", "a", false },
        { "p", "", ACCESS_PULL, "token.created", "p", "", false },
        { "p", "", ACCESS_ALL, "token.created", "p", "", true },
        { "p", "", ACCESS_ALL, "token.created", "", "", false },
        { "p", "", ACCESS_ALL, "gc.run", "", "", false },
        { "p", "a", ACCESS_PULL, "version.created", "p", "a", true },
        { "p", "a", ACCESS_PULL, "version.created", "p", "b", false },
        { "p", "a", ACCESS_PULL, "version.created", "q", "a", false },
        { "p", "a", ACCESS_PULL, "project.created", "p", "", false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event_filter filter =
            filter_for(cases[i].project, cases[i].app, cases[i].permissions);

        if (event_filter_takes(&filter, cases[i].type, cases[i].event_project,
                               cases[i].event_app) != cases[i].takes)
            fail_msg("case %zu", i);
        event_filter_release(&filter);
    }
}

static void test_wishes(void **state)
{
    struct event_filter filter = filter_for("", "", ACCESS_PULL);

    memcpy(filter.project, "p", 2);
    assert_true(event_filter_takes(&filter, "version.created", "p", "a"));
    assert_false(event_filter_takes(&filter, "version.created", "q", "a"));
    memcpy(filter.app, "a", 2);
    assert_false(event_filter_takes(&filter, "version.created", "p", "b"));
    assert_int_equal(event_filter_add_types(&filter, span_text("version.promoted,app.*"), NULL), 0);
    assert_int_equal(event_filter_add_types(&filter, span_text("x"), NULL), 0);
    assert_true(event_filter_takes(&filter, "version.promoted", "p", "a"));
    assert_true(event_filter_takes(&filter, "app.created", "p", "a"));
    assert_true(event_filter_takes(&filter, "x", "p", "a"));
    assert_false(event_filter_takes(&filter, "apps.created", "p", "a"));
    assert_false(event_filter_takes(&filter, "version.promoted2", "p", "a"));
    assert_false(event_filter_takes(&filter, "version.created", "p", "a"));
    event_filter_release(&filter);
}

static void test_types_that_are_none(void **state)
{
    static const char *const wrong[] = { "", ",", "a,,b", "A", "a*b", "*a", "a b", "a\n" };
    struct event_filter filter = filter_for("", "", ACCESS_PULL);
    char text[EVENT_TYPE_SIZE + 1];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(event_filter_add_types(&filter, span_text(wrong[i]), NULL), -EINVAL);
    memset(text, 'a', sizeof(text));
    assert_int_equal(event_filter_add_types(&filter, span_of(text, EVENT_TYPE_SIZE), NULL),
                     -EINVAL);
    event_filter_release(&filter);
    for (int i = 0; i < EVENT_TYPES_MAX; i++)
        assert_int_equal(event_filter_add_types(&filter, span_text("*"), NULL), 0);
    assert_int_equal(event_filter_add_types(&filter, span_text("*"), NULL), -EFBIG);
    event_filter_release(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_types_that_are_none),
    };

    return cmocka_run_group_tests_name("event_filter", tests, NULL, NULL);
}
