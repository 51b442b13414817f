/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/db/purge.h"
#include "server/db/read_reports.h"
#include "server/db/tests/fixture.h"
#include "server/db/version_copy.h"

#define DB(state) (((struct fixture *)*(state))->database)

static int put_as(struct database *database, int64_t version_id, const char *token_id,
                  const char *host, const char *list, bool *out_kept)
{
    struct read_report_put put = { version_id, token_id, host, span_text(list) };

    return read_report_put(database, &put, out_kept, NULL);
}

static bool put(struct database *database, int64_t version_id, const char *host, const char *list)
{
    bool kept = false;

    assert_int_equal(put_as(database, version_id, FIXTURE_TOKEN, host, list, &kept), 0);
    return kept;
}

static void expect(struct database *database, int64_t version_id, const char *lists)
{
    struct read_report_list found[READ_REPORTS_MAX];
    char text[200] = "";
    size_t count = 99;

    assert_int_equal(read_report_get(database, version_id, found, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s|", (int)found[i].size,
                 (const char *)found[i].bytes);
    read_report_lists_release(found, count);
    assert_string_equal(text, lists);
}

static int64_t make(struct database *database, const char *app, const char *version,
                    unsigned content)
{
    return fixture_version(database, "shop", app, version, content, 0, 1);
}

static void a_host_has_one_report(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000);

    expect(database, id, "");
    assert_true(put(database, id, "web1", "first"));
    assert_true(put(database, id, "web2", "other"));
    fixture_now++;
    assert_true(put(database, id, "web1", "second"));
    expect(database, id, "other|second|");
}

static void what_was_told_already_is_not_written(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000);
    char host[20];

    assert_true(put(database, id, "web1", "alike"));
    fixture_now++;
    for (int i = 0; i < 1000; i++) {
        snprintf(host, sizeof(host), "web%d", i);
        assert_false(put(database, id, host, "alike"));
    }
    expect(database, id, "alike|");
    assert_int_equal(fixture_integer(database, "SELECT at FROM read_reports"), fixture_now - 1);
}

/* The bytes are any. */
static void a_list_may_hold_any_byte(void **state)
{
    static const char bytes[] = "\0\xff\0x";
    struct database *database = DB(state);
    struct read_report_list found[READ_REPORTS_MAX];
    int64_t id = make(database, "api", "1", 1000);
    struct read_report_put put = { id, FIXTURE_TOKEN, "h", span_of(bytes, sizeof(bytes)) };
    bool kept;
    size_t count;

    assert_int_equal(read_report_put(database, &put, &kept, NULL), 0);
    assert_int_equal(read_report_get(database, id, found, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].size, sizeof(bytes));
    assert_memory_equal(found[0].bytes, bytes, sizeof(bytes));
    read_report_lists_release(found, count);
}

static void no_token_takes_every_place(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000);
    char host[20], list[20];
    bool kept;

    for (int i = 0; i < 6; i++) {
        snprintf(host, sizeof(host), "web%d", i);
        snprintf(list, sizeof(list), "a%d", i);
        assert_int_equal(put(database, id, host, list), i < READ_REPORTS_TOKEN_MAX);
    }
    for (int i = 0; i < 6; i++) {
        snprintf(host, sizeof(host), "web%d", i);
        snprintf(list, sizeof(list), "b%d", i);
        assert_int_equal(put_as(database, id, FIXTURE_OTHER, host, list, &kept), 0);
        assert_int_equal(kept, i < READ_REPORTS_TOKEN_MAX);
    }
    expect(database, id, "a0|a1|a2|a3|b0|b1|b2|b3|");
    /* its own may be told anew at any time */
    assert_true(put(database, id, "web3", "a9"));
    expect(database, id, "a0|a1|a2|b0|b1|b2|b3|a9|");
}

static void the_oldest_makes_room_after_a_day(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000);
    char host[20];
    bool kept;

    assert_int_equal(put_as(database, id, FIXTURE_OTHER, "old", "other", &kept), 0);
    for (int i = 0; i < READ_REPORTS_TOKEN_MAX; i++) {
        snprintf(host, sizeof(host), "web%d", i);
        fixture_now++;
        assert_true(put(database, id, host, host));
    }
    fixture_now += READ_REPORT_AGE_S - READ_REPORTS_TOKEN_MAX;
    assert_false(put(database, id, "late", "late"));
    fixture_now++;
    /* of the token's own, not the older one of another */
    assert_true(put(database, id, "late", "late"));
    expect(database, id, "other|web1|web2|web3|late|");
}

static void a_version_that_is_gone(void **state)
{
    bool kept;

    assert_int_equal(put_as(DB(state), 12345, FIXTURE_TOKEN, "h", "x", &kept), -ENOENT);
    expect(DB(state), 12345, "");
}

static int earlier(struct database *database, int64_t id, char out[VERSION_NAME_SIZE])
{
    return read_report_earlier(database, id, out, NULL);
}

static void the_nearest_earlier_version_that_has_one(void **state)
{
    struct database *database = DB(state);
    char name[VERSION_NAME_SIZE];
    int64_t ids[5];

    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        ids[i] = make(database, "api", name, 1000 * (i + 1));
        fixture_now += i % 2; /* some in one second */
    }
    put(database, make(database, "ui", "v0", 9000), "h", "of another app");
    assert_int_equal(earlier(database, ids[4], name), -ENOENT);
    put(database, ids[0], "h", "x");
    assert_int_equal(earlier(database, ids[4], name), 0);
    assert_string_equal(name, "v0");
    put(database, ids[2], "h", "x");
    put(database, ids[4], "h", "its own does not count");
    assert_int_equal(earlier(database, ids[4], name), 0);
    assert_string_equal(name, "v2");
    assert_int_equal(earlier(database, ids[2], name), 0);
    assert_string_equal(name, "v0");
    assert_int_equal(earlier(database, ids[0], name), -ENOENT);
    assert_int_equal(earlier(database, 12345, name), -ENOENT);
    /* what is in the trash is passed over */
    assert_int_equal(version_trash(database, ids[2], &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(earlier(database, ids[4], name), 0);
    assert_string_equal(name, "v0");
}

static void a_purged_version_takes_them_along(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000), other = make(database, "api", "2", 2000);

    put(database, id, "h", "x");
    put(database, other, "h", "y");
    assert_int_equal(version_trash(database, id, &actor_host, NULL, true, NULL, NULL), 0);
    expect(database, id, "x|"); /* it may come back */
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    expect(database, id, "");
    expect(database, other, "y|");
}

static void a_copy_has_them_too(void **state)
{
    struct database *database = DB(state);
    int64_t id = make(database, "api", "1", 1000);
    const struct version_copy copy = {
        .from_id = id, .project = "shop", .app = "ui", .version = "copy", .by = actor_host
    };
    struct push_result result = { 0 };

    put(database, id, "h", "x");
    put(database, id, "i", "y");
    assert_int_equal(version_copy(database, &copy, &result, NULL), 0);
    expect(database, result.version.id, "x|y|");
    push_result_release(&result);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_host_has_one_report),
        CASE(what_was_told_already_is_not_written),
        CASE(a_list_may_hold_any_byte),
        CASE(no_token_takes_every_place),
        CASE(the_oldest_makes_room_after_a_day),
        CASE(a_version_that_is_gone),
        CASE(the_nearest_earlier_version_that_has_one),
        CASE(a_purged_version_takes_them_along),
        CASE(a_copy_has_them_too),
    };

    return cmocka_run_group_tests_name("read_reports", tests, NULL, NULL);
}
