/* SPDX-License-Identifier: MIT */
#include "server/security/access.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "tests/support/unit.h"

#define NOW 1000

/* Where a token's scope lies to a route's place: I contains it, A lies within it, O elsewhere.
 * Rows: scopes (everything, p, p/a); columns: places (nothing, p, q, p/a, p/b, q/a). */
static const struct {
    const char *project, *app;
} scopes[] = { { NULL, NULL }, { "p", NULL }, { "p", "a" } },
  places[] = { { NULL, NULL }, { "p", NULL }, { "q", NULL },
               { "p", "a" },   { "p", "b" },  { "q", "a" } };
static const char relations[3][7] = { "IIIIII", "AIOIIO", "AAOIOO" };

static enum access_answer expected(char relation, enum access_reach reach, uint32_t have,
                                   uint32_t need)
{
    bool may = (have & ACCESS_ADMIN) != 0 || (need & ~have) == 0;

    if (need == 0)
        return ACCESS_OK;
    if (relation == 'O')
        return ACCESS_HIDDEN;
    if (relation == 'A' && reach == ACCESS_WHOLE)
        return ACCESS_FORBIDDEN;
    return may ? ACCESS_OK : ACCESS_FORBIDDEN;
}

static void every_token_at_every_place(void **state)
{
    struct access_need need;
    struct access_token token;

    for (unsigned scope = 0; scope < 3; scope++)
        for (unsigned place = 0; place < 6; place++)
            for (uint32_t have = 0; have <= ACCESS_ALL; have++)
                for (uint32_t wanted = 0; wanted <= ACCESS_ALL; wanted++)
                    for (unsigned reach = ACCESS_WHOLE; reach <= ACCESS_VISIBLE; reach++) {
                        token = (struct access_token){ .project = scopes[scope].project,
                                                       .app = scopes[scope].app,
                                                       .permissions = have };
                        need = (struct access_need){ wanted, (enum access_reach)reach };
                        assert_int_equal(access_decide(&token, NOW, &need, places[place].project,
                                                       places[place].app),
                                         expected(relations[scope][place], need.reach, have,
                                                  wanted));
                    }
}

static void ended_tokens_are_unknown_wherever_they_point(void **state)
{
    struct access_need need = { ACCESS_PULL, ACCESS_WHOLE };
    struct access_need open = { 0, ACCESS_WHOLE };
    struct access_token token = { .project = "p", .permissions = ACCESS_ALL, .expires_at_s = NOW };

    assert_int_equal(access_decide(NULL, NOW, &need, "p", NULL), ACCESS_UNKNOWN);
    assert_int_equal(access_decide(NULL, NOW, &open, "p", NULL), ACCESS_OK);
    assert_int_equal(access_decide(&token, NOW - 1, &need, "p", NULL), ACCESS_OK);
    assert_int_equal(access_decide(&token, NOW, &need, "p", NULL), ACCESS_EXPIRED);
    assert_int_equal(access_decide(&token, NOW, &need, "q", NULL), ACCESS_EXPIRED);
    assert_int_equal(access_decide(&token, NOW, &open, "q", NULL), ACCESS_OK);
    token.revoked = true;
    assert_int_equal(access_decide(&token, NOW - 1, &need, "p", NULL), ACCESS_REVOKED);
    assert_int_equal(access_decide(&token, NOW + 1, &need, "q", NULL), ACCESS_REVOKED);
}

static void names_are_compared_whole(void **state)
{
    struct access_need need = { ACCESS_PULL, ACCESS_WHOLE };
    struct access_token token = { .project = "shop", .app = "api", .permissions = ACCESS_ALL };

    assert_int_equal(access_decide(&token, NOW, &need, "shop", "api"), ACCESS_OK);
    assert_int_equal(access_decide(&token, NOW, &need, "Shop", "api"), ACCESS_HIDDEN);
    assert_int_equal(access_decide(&token, NOW, &need, "shop", "api2"), ACCESS_HIDDEN);
    assert_int_equal(access_decide(&token, NOW, &need, "shop", "ap"), ACCESS_HIDDEN);
    assert_int_equal(access_decide(&token, NOW, &need, "sho", "api"), ACCESS_HIDDEN);
}

static void permissions_are_written_and_read(void **state)
{
    struct buf text = buf_init(100);
    uint32_t read;

    for (uint32_t permissions = 1; permissions <= ACCESS_ALL; permissions++) {
        buf_clear(&text);
        access_permissions_format(permissions, &text);
        assert_int_equal(access_permissions_parse(buf_text(&text), &read, NULL), 0);
        assert_int_equal(read, permissions);
    }
    assert_string_equal(buf_text(&text), "pull,push,promote,admin");
    buf_release(&text);
    assert_int_equal(access_permissions_parse("push,pull", &read, NULL), 0);
    assert_int_equal(read, ACCESS_PULL | ACCESS_PUSH);
    assert_string_equal(access_permission_name(ACCESS_PUSH | ACCESS_ADMIN, 1), "admin");
    assert_null(access_permission_name(ACCESS_PUSH | ACCESS_ADMIN, 2));
}

static void words_that_are_no_permission_are_refused(void **state)
{
    static const char *const texts[] = { "",           ",",         "pull,", ",pull",
                                         "pull,,push", "pull,pull", "Pull",  "pull push",
                                         "pull, push", "all",       "pul",   "pullx" };
    uint32_t read = 77;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(access_permissions_parse(texts[i], &read, NULL), -EINVAL);
    assert_int_equal(read, 77);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_at_every_place),
        cmocka_unit_test(ended_tokens_are_unknown_wherever_they_point),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(permissions_are_written_and_read),
        cmocka_unit_test(words_that_are_no_permission_are_refused),
    };

    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
