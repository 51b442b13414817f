/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/service/promotions.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    for (uint32_t i = 1; i <= 3; i++) {
        struct sample sample;
        enum pushes_outcome outcome;
        char name[16];

        snprintf(name, sizeof(name), "%u", (unsigned)i);
        sample_make(&sample, i, 1, 10);
        assert_int_equal(sample_push(&world, &world.caller, "p", "a", name, &sample, &outcome, NULL,
                                     NULL, NULL),
                         0);
        sample_release(&sample);
    }
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static int promote(const char *version, const char *channel, const char *expect,
                   struct channel *out, struct refusal *why)
{
    const struct promotion_request request = {
        .project = "p", .app = "a", .version = version, .channel = channel, .expect = expect
    };

    memset(why, 0, sizeof(*why));
    return promotions_promote(world.services, &world.caller, &request, out, why, NULL);
}

static int rollback(const char *to, struct channel *out, struct refusal *why)
{
    const struct promotion_request request = { .project = "p", .app = "a", .version = to };

    memset(why, 0, sizeof(*why));
    return promotions_rollback(world.services, &world.caller, &request, out, why, NULL);
}

static void test_there_and_back(void **state)
{
    struct channel channel;
    struct refusal why;

    assert_int_equal(rollback(NULL, &channel, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_NO_PREVIOUS);
    assert_int_equal(promote("1", NULL, "", &channel, &why), 1);
    assert_string_equal(channel.name, "live");
    assert_int_equal(promote("1", NULL, NULL, &channel, &why), 0);
    assert_int_equal(promote("2", NULL, "", &channel, &why), -EEXIST);
    assert_int_equal(why.code, REFUSAL_PRECONDITION);
    assert_string_equal(why.names, "1");
    assert_int_equal(promote("2", NULL, "1", &channel, &why), 1);
    assert_int_equal(rollback(NULL, &channel, &why), 1);
    assert_string_equal(channel.version, "1");
    assert_string_equal(channel.previous, "2");
    assert_int_equal(rollback("3", &channel, &why), 1);
    assert_int_equal(rollback("3", &channel, &why), 0);
    assert_int_equal(promote("@live", "beta", NULL, &channel, &why), 1);
    assert_string_equal(channel.version, "3");
}

static void expect_refused(const char *version, const char *channel, const char *expect,
                           const char *pointer)
{
    struct channel out;
    struct refusal why;

    assert_int_equal(promote(version, channel, expect, &out, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_string_equal(why.pointer, pointer);
}

static void test_what_is_refused(void **state)
{
    struct channel channel;
    struct refusal why;

    expect_refused(NULL, NULL, NULL, "/version");
    expect_refused("latest", NULL, NULL, "/version");
    expect_refused("@", NULL, NULL, "/version");
    expect_refused("a/b", NULL, NULL, "/version");
    expect_refused("1", "", NULL, "/channel");
    expect_refused("1", "latest", NULL, "/channel");
    expect_refused("1", "@live", NULL, "/channel");
    expect_refused("1", "../x", NULL, "/channel");
    expect_refused("1", NULL, "a b", "/expect");
    assert_int_equal(rollback("latest", &channel, &why), -EINVAL);
    assert_string_equal(why.pointer, "/to");
    assert_int_equal(promote("9", NULL, NULL, &channel, &why), -ENOENT);
    assert_int_equal(promote("@none", NULL, NULL, &channel, &why), -ENOENT);
}

static void test_who_may(void **state)
{
    struct promotion_request request = { .project = "p", .app = "a", .version = "1" };
    struct promotion_page page;
    struct channel channel;
    struct refusal why = { 0 };
    struct caller caller;
    char text[64];

    world_token(&world, NULL, NULL, ACCESS_PULL | ACCESS_PUSH, &caller, text);
    assert_int_equal(promotions_promote(world.services, &caller, &request, &channel, &why, NULL),
                     -EACCES);
    assert_int_equal(promotions_rollback(world.services, &caller, &request, &channel, &why, NULL),
                     -EACCES);
    world_token(&world, "p", "other", ACCESS_PROMOTE, &caller, text);
    assert_int_equal(promotions_promote(world.services, &caller, &request, &channel, &why, NULL),
                     -ENOENT);
    world_token(&world, "p", "a", ACCESS_PROMOTE, &caller, text);
    assert_true(promotions_promote(world.services, &caller, &request, &channel, &why, NULL) >= 0);
    assert_int_equal(promotions_list(world.services, &caller.identity, "p", "a", NULL, NULL, &page,
                                     &why, NULL),
                     -EACCES);
}

static void test_history(void **state)
{
    struct page_request request = { .limit = 3 };
    char cursor[CURSOR_SIZE] = "", last[VERSION_TEXT_SIZE] = "", oldest[VERSION_TEXT_SIZE] = "";
    struct promotion_page page;
    struct channel channel;
    struct refusal why;
    size_t count = 0;

    for (int i = 0; i < 5; i++)
        assert_true(promote(i % 2 == 0 ? "1" : "2", "page", NULL, &channel, &why) >= 0);
    do {
        request.cursor = cursor;
        assert_int_equal(promotions_list(world.services, &world.caller.identity, "p", "a", "page",
                                         &request, &page, NULL, NULL),
                         0);
        assert_true(page.count <= 3);
        for (size_t i = 0; i < page.count; i++, count++) {
            if (count > 0)
                assert_string_equal(page.items[i].version, last); /* the chain downwards */
            memcpy(last, page.items[i].previous, sizeof(last));
            memcpy(oldest, page.items[i].version, sizeof(oldest));
        }
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        promotion_page_release(&page);
    } while (cursor[0] != '\0');
    assert_int_equal(count, 5);
    assert_string_equal(last, "");
    assert_string_equal(oldest, "1");
    request.cursor = "03aa";
    assert_int_equal(promotions_list(world.services, &world.caller.identity, "p", "a", NULL,
                                     &request, &page, &why, NULL),
                     -EINVAL);
    assert_int_equal(promotions_list(world.services, &world.caller.identity, "p", "a", "@x", NULL,
                                     &page, &why, NULL),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_who_may),
        cmocka_unit_test(test_history),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
