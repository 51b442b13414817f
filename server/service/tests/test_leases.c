/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/purge.h"
#include "server/db/transaction.h"
#include "server/db/versions.h"
#include "server/service/act_budget.h"
#include "server/service/leases.h"
#include "server/service/tests/world.h"

#define LIFE_S ((int64_t)30 * 24 * 3600)
#define EVENTS "SELECT count(*) FROM events"
#define AUDIT "SELECT count(*) FROM audit"

static struct world world;

static void push(const char *project, const char *app, const char *version, uint32_t seed)
{
    enum pushes_outcome outcome;
    struct sample sample;

    sample_make(&sample, seed, 1, 10);
    assert_int_equal(sample_push(&world, &world.caller, project, app, version, &sample, &outcome,
                                 NULL, NULL, NULL),
                     0);
    sample_release(&sample);
}

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    push("shop", "api", "1", 1);
    push("shop", "api", "2", 2);
    push("shop", "ui", "1", 3);
    push("other", "api", "1", 4);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static struct lease_said said_of(const char *project, const char *app, const char *version,
                                 const char *place)
{
    return (struct lease_said){ .project = project,
                                .app = app,
                                .version = version,
                                .place = place,
                                .mode = "mount",
                                .state = "complete" };
}

static int put(const struct caller *caller, const char *host, const struct lease_said *items,
               size_t count, struct refusal *why)
{
    const struct leases_request request = { .host = host, .items = items, .count = count };
    int64_t expires_at_s = 0;
    int r = leases_put(world.services, caller, &request, &expires_at_s, why, NULL);

    if (r == 0)
        assert_int_equal(expires_at_s, world_now() + LIFE_S);
    return r;
}

static int put_one(const struct caller *caller, const char *host, const char *project,
                   const char *app, const char *version, const char *place, struct refusal *why)
{
    struct lease_said said = said_of(project, app, version, place);

    return put(caller, host, &said, 1, why);
}

/* How many of a page; the first one in *out. */
static size_t list(const struct caller *caller, const struct lease_filter *filter,
                   struct lease *out)
{
    static const struct lease_filter everything = { 0 };
    struct lease_page page;
    size_t count;

    assert_int_equal(leases_list(world.services, &caller->identity,
                                 filter == NULL ? &everything : filter, NULL, &page, NULL, NULL),
                     0);
    count = page.count;
    if (out != NULL && count > 0)
        *out = page.items[0];
    lease_page_release(&page);
    return count;
}

static void purge(const char *version)
{
    struct version row = version_empty();

    assert_int_equal(version_get(world.database, "shop", "api", version, &row, NULL), 0);
    assert_int_equal(version_trash(world.database, row.id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(version_purge(world.database, row.id, INT64_MAX, &actor_host, NULL), 0);
    version_release(&row);
}

static void end_all(const char *host)
{
    const struct leases_request request = { .host = host, .replace = true };
    int64_t expires_at_s;

    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, NULL, NULL),
                     0);
}

static void stale_after_two_missed_renewals(void **state)
{
    struct lease lease;

    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    world_sleep(2 * 3600);
    assert_int_equal(list(&world.caller, NULL, &lease), 1);
    assert_false(leases_is_stale(world.services, &lease));
    world_sleep(1);
    assert_true(leases_is_stale(world.services, &lease));
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    assert_int_equal(list(&world.caller, NULL, &lease), 1);
    assert_false(leases_is_stale(world.services, &lease));
}

static void a_lease_lives_for_thirty_days(void **state)
{
    struct lease_counts counts;
    size_t count = 1;

    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    world_sleep(LIFE_S - 1);
    assert_int_equal(leases_expire(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(list(&world.caller, NULL, NULL), 1);
    world_sleep(1);
    assert_int_equal(list(&world.caller, NULL, NULL), 0);
    assert_int_equal(leases_count(world.services, &counts, NULL), 0);
    assert_int_equal(counts.leases, 0);
    assert_int_equal(leases_expire(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
}

struct counting {
    const char *sql;
    int64_t count;
};

static int count_rows(struct transaction *tx, void *context, struct error *err)
{
    struct counting *counting = context;

    return transaction_integer(tx, counting->sql, NO_VALUES, &counting->count, err);
}

static int64_t rows_of(const char *sql)
{
    struct counting counting = { sql, 0 };

    assert_int_equal(transaction_read(world.database, count_rows, &counting, NULL), 0);
    return counting.count;
}

/* Who lets a thousand leases come and go writes little, and not for long; what he holds he keeps,
 * and others are not hindered. */
static void one_that_flaps_is_bounded(void **state)
{
    struct lease_said *items = memory_array(LEASES_PUT_MAX, sizeof(*items));
    char(*places)[16] = memory_array(LEASES_PUT_MAX, sizeof(*places));
    const int64_t events = rows_of(EVENTS), audit = rows_of(AUDIT);
    struct refusal why = { 0 };
    struct pull_report report;
    struct caller other;
    size_t flaps = 0;
    char text[64];
    int r;

    for (unsigned i = 0; i < LEASES_PUT_MAX; i++) {
        snprintf(places[i], sizeof(places[i]), "/repos/%u", i);
        items[i] = said_of("shop", "api", i % 2 == 0 ? "1" : "2", places[i]);
    }
    for (; (r = put(&world.caller, "web", items, LEASES_PUT_MAX, &why)) == 0; flaps++)
        end_all("web");
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(flaps, ACT_BUDGET_MAX / LEASES_PUT_MAX / 2);
    assert_int_equal(why.code, REFUSAL_RATE_LIMITED);
    assert_int_equal(why.retry_after_s, LEASES_PUT_MAX / ACT_BUDGET_PER_S);
    assert_int_equal(rows_of(EVENTS) - events, (int64_t)flaps * 4); /* two versions each time */
    assert_int_equal(rows_of(AUDIT) - audit, (int64_t)flaps * 2);
    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "1",
                                        "made-up", &report, &why, NULL),
                     -EAGAIN);
    assert_int_equal(why.code, REFUSAL_RATE_LIMITED);
    world_token(&world, NULL, NULL, ACCESS_PULL, &other, text);
    assert_int_equal(put(&other, "web", items, LEASES_PUT_MAX, NULL), 0);
    world_sleep(LEASES_PUT_MAX / ACT_BUDGET_PER_S);
    assert_int_equal(put(&world.caller, "web", items, LEASES_PUT_MAX, NULL), 0);
    assert_int_equal(put(&world.caller, "web", items, LEASES_PUT_MAX, NULL), 0); /* renewed */
    assert_int_equal(put(&world.caller, "web2", items, 1, NULL), -EAGAIN);
    memory_free(items);
    memory_free(places);
}

static void at_most_ten_thousand_of_a_token(void **state)
{
    struct lease_said *items = memory_array(LEASES_PUT_MAX, sizeof(*items));
    char(*places)[16] = memory_array(LEASES_PUT_MAX, sizeof(*places));
    struct refusal why = { 0 };
    struct caller other;
    char host[8], text[64];

    for (unsigned i = 0; i < LEASES_PUT_MAX; i++) {
        snprintf(places[i], sizeof(places[i]), "/repos/%u", i);
        items[i] = said_of("shop", "api", "1", places[i]);
    }
    for (unsigned i = 0; i < LEASES_TOKEN_MAX / LEASES_PUT_MAX; i++) {
        snprintf(host, sizeof(host), "web%u", i);
        assert_int_equal(put(&world.caller, host, items, LEASES_PUT_MAX, NULL), 0);
    }
    assert_int_equal(put(&world.caller, "more", items, 1, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_TOO_MANY_LEASES);
    assert_int_equal(put(&world.caller, "web3", items, LEASES_PUT_MAX, NULL), 0); /* renewed */
    world_token(&world, NULL, NULL, ACCESS_PULL, &other, text);
    assert_int_equal(put(&other, "more", items, 1, NULL), 0);
    memory_free(items);
    memory_free(places);
}

static void a_version_that_may_not_be_pulled_is_absent_by_name(void **state)
{
    struct lease_said items[] = { said_of("shop", "api", "1", "/a"),
                                  said_of("other", "api", "1", "/b") };
    struct refusal foreign = { 0 }, absent = { 0 };
    struct error foreign_words = { 0 }, absent_words = { 0 };
    struct leases_request request = { .host = "web1", .items = items, .count = 2 };
    struct caller caller;
    int64_t expires_at_s;
    char text[64];

    world_token(&world, "shop", NULL, ACCESS_PULL, &caller, text);
    assert_int_equal(leases_put(world.services, &caller, &request, &expires_at_s, &foreign,
                                &foreign_words),
                     -ENOENT);
    assert_int_equal(foreign.code, REFUSAL_NOT_FOUND);
    assert_string_equal(foreign.pointer, "/leases/1");
    assert_string_equal(foreign_words.text, "no version other/api/1");
    assert_int_equal(list(&world.caller, NULL, NULL), 0); /* nothing of it */
    items[1].version = "none";
    assert_int_equal(leases_put(world.services, &caller, &request, &expires_at_s, &absent,
                                &absent_words),
                     -ENOENT);
    assert_int_equal(absent.code, foreign.code);
    assert_string_equal(absent.pointer, foreign.pointer);
    assert_string_equal(absent_words.text, "no version other/api/none");
    request.count = 1;
    assert_int_equal(leases_put(world.services, &caller, &request, &expires_at_s, NULL, NULL), 0);
    world_token(&world, NULL, NULL, ACCESS_PUSH, &caller, text);
    assert_int_equal(leases_put(world.services, &caller, &request, &expires_at_s, NULL, NULL),
                     -EACCES);
}

static void the_trash_may_be_leased_and_the_purged_not(void **state)
{
    struct version row = version_empty();
    struct refusal why = { 0 };

    assert_int_equal(version_get(world.database, "shop", "api", "1", &row, NULL), 0);
    assert_int_equal(version_trash(world.database, row.id, &actor_host, NULL, false, NULL, NULL),
                     0);
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    assert_int_equal(version_purge(world.database, row.id, INT64_MAX, &actor_host, NULL), -EBUSY);
    end_all("web1");
    assert_int_equal(version_purge(world.database, row.id, INT64_MAX, &actor_host, NULL), 0);
    version_release(&row);
    /* What it knows of the version is still in its memory. */
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", &why), -ESTALE);
    assert_int_equal(why.code, REFUSAL_PURGED);
    assert_string_equal(why.pointer, "/leases/0");
}

static void a_version_that_came_again_is_found_behind_an_old_fact(void **state)
{
    struct lease lease;

    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    end_all("web1");
    purge("1");
    push("shop", "api", "1", 1);
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    assert_int_equal(list(&world.caller, NULL, &lease), 1);
    assert_string_equal(lease.version, "1");
}

static void a_list_holds_what_the_token_sees(void **state)
{
    static const struct lease_filter other = { .project = "other" };
    static const struct lease_filter of_app = { .project = "shop", .app = "api", .version = "2" };
    struct caller of_project, of_ui;
    struct lease lease;
    char text[64];

    world_token(&world, "shop", NULL, ACCESS_PULL, &of_project, text);
    world_token(&world, "shop", "ui", ACCESS_PULL, &of_ui, text);
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "2", "/a", NULL), 0);
    assert_int_equal(put_one(&world.caller, "web1", "shop", "ui", "1", "/b", NULL), 0);
    assert_int_equal(put_one(&world.caller, "web1", "other", "api", "1", "/c", NULL), 0);
    assert_int_equal(list(&world.caller, NULL, NULL), 3);
    assert_int_equal(list(&world.caller, &other, NULL), 1);
    assert_int_equal(list(&of_project, NULL, NULL), 2);
    assert_int_equal(list(&of_project, &other, NULL), 0);
    assert_int_equal(list(&of_project, &of_app, NULL), 1);
    assert_int_equal(list(&of_ui, NULL, &lease), 1);
    assert_string_equal(lease.place, "/b");
    assert_int_equal(list(&of_ui, &of_app, NULL), 0);
}

static void what_filters_nothing_is_refused(void **state)
{
    static const struct {
        struct lease_filter filter;
        const char *pointer;
    } cases[] = {
        { { .project = "a/b" }, "/project" },
        { { .app = "\xff" }, "/app" },
        { { .version = "latest" }, "/version" },
        { { .state = "Partial" }, "/state" },
    };
    struct lease_page page;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct refusal why = { 0 };

        assert_int_equal(leases_list(world.services, &world.caller.identity, &cases[i].filter, NULL,
                                     &page, &why, NULL),
                         -EINVAL);
        assert_string_equal(why.pointer, cases[i].pointer);
    }
}

static void pages_go_on_where_they_ended(void **state)
{
    /* Another list's; a host that is none; a place that is no text, or of two. */
    static const char *const bad_cursors[] = { "03aa", "06ff00740061", "0661007400ff",
                                               "066100740061006100" };
    char longest[LEASE_PLACE_SIZE], host[HOST_MAX_SIZE + 1];
    struct lease_said items[] = { said_of("shop", "api", "1", "/a"),
                                  said_of("shop", "api", "1", longest),
                                  said_of("shop", "api", "1", "b") };
    struct page_request request = { .limit = 1 };
    char cursor[CURSOR_SIZE] = "";
    struct lease_page page;

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    assert_int_equal(put(&world.caller, host, items, 3, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        request.cursor = cursor;
        assert_int_equal(leases_list(world.services, &world.caller.identity,
                                     &(struct lease_filter){ 0 }, &request, &page, NULL, NULL),
                         0);
        assert_int_equal(page.count, 1);
        assert_string_equal(page.items[0].place, items[i].place);
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        lease_page_release(&page);
    }
    assert_string_equal(cursor, "");
    for (size_t i = 0; i < sizeof(bad_cursors) / sizeof(bad_cursors[0]); i++) {
        request.cursor = bad_cursors[i];
        assert_int_equal(leases_list(world.services, &world.caller.identity,
                                     &(struct lease_filter){ 0 }, &request, &page, NULL, NULL),
                         -EINVAL);
    }
}

static void refused(struct lease_said said, const char *pointer)
{
    struct refusal why = { 0 };

    assert_int_equal(put(&world.caller, "web1", &said, 1, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_string_equal(why.pointer, pointer);
}

static void what_is_no_lease_is_refused_by_its_pointer(void **state)
{
    struct lease_said twice[] = { said_of("shop", "api", "1", "/a"),
                                  said_of("shop", "api", "2", "/a") };
    struct lease_said said = twice[0];
    struct leases_request request = { .host = "web1", .items = twice, .count = 1 };
    struct refusal why = { 0 };
    char place[LEASE_PLACE_SIZE + 1];
    int64_t expires_at_s;

    memset(place, 'a', sizeof(place) - 1);
    place[sizeof(place) - 1] = '\0';
    said.place = place;
    refused(said, "/leases/0/place");
    said.place = "";
    refused(said, "/leases/0/place");
    said.place = NULL;
    refused(said, "/leases/0/place");
    said = twice[0];
    said.mode = "copy";
    refused(said, "/leases/0/mode");
    said = twice[0];
    said.state = "Complete";
    refused(said, "/leases/0/state");
    said.state = "abcdefghijklmnopqrstuvwxyzabcdefg";
    refused(said, "/leases/0/state");
    said = twice[0];
    said.version = "latest";
    refused(said, "/leases/0/version");
    said = twice[0];
    said.app = NULL;
    refused(said, "/leases/0/app");
    said = twice[0];
    said.project = "a/b";
    refused(said, "/leases/0/project");
    assert_int_equal(put(&world.caller, "web1", twice, 2, &why), -EINVAL);
    assert_string_equal(why.pointer, "/leases/1/place");
    assert_int_equal(put(&world.caller, "a b", twice, 1, &why), -EINVAL);
    assert_string_equal(why.pointer, "/host");
    request.within = "/";
    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, &why, NULL),
                     -EINVAL);
    assert_string_equal(why.pointer, "/within");
    request.replace = true;
    request.within = "/b/";
    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, &why, NULL),
                     -EINVAL);
    assert_string_equal(why.pointer, "/leases/0/place");
    request.within = "/a//";
    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, NULL, NULL),
                     0);
    request.within = "/";
    request.count = 0;
    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, NULL, NULL),
                     0);
    assert_int_equal(list(&world.caller, NULL, NULL), 0);
}

static void an_administrator_removes_one(void **state)
{
    struct caller admin, of_project;
    struct refusal why = { 0 };
    char text[64];

    world_token(&world, NULL, NULL, ACCESS_ADMIN, &admin, text);
    world_token(&world, "shop", NULL, ACCESS_ADMIN, &of_project, text);
    assert_int_equal(put_one(&world.caller, "web1", "shop", "api", "1", "/a", NULL), 0);
    assert_int_equal(leases_remove(world.services, &of_project, "web1", "/a", NULL, NULL), -EACCES);
    assert_int_equal(leases_remove(world.services, &admin, "web1", "/a", NULL, NULL), 0);
    assert_int_equal(leases_remove(world.services, &admin, "web1", "/a", &why, NULL), -ENOENT);
    assert_int_equal(leases_remove(world.services, &admin, "web1", "\xff", &why, NULL), -ENOENT);
    assert_int_equal(leases_remove(world.services, &admin, "\xff", "/a", &why, NULL), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
}

static void a_pull_is_reported_once(void **state)
{
    struct pull_report report;
    struct refusal why = { 0 };

    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "latest",
                                        "web1", &report, NULL, NULL),
                     0);
    assert_true(report.counted);
    assert_string_equal(report.version, "2");
    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "2", "web1",
                                        &report, NULL, NULL),
                     0);
    assert_false(report.counted);
    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "3", "web1",
                                        &report, &why, NULL),
                     -ENOENT);
    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "2", "",
                                        &report, &why, NULL),
                     -EINVAL);
    purge("1");
    assert_int_equal(leases_report_pull(world.services, &world.caller, "shop", "api", "1", "web1",
                                        &report, &why, NULL),
                     -ESTALE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stale_after_two_missed_renewals),
        CASE(a_lease_lives_for_thirty_days),
        CASE(one_that_flaps_is_bounded),
        CASE(at_most_ten_thousand_of_a_token),
        CASE(a_version_that_may_not_be_pulled_is_absent_by_name),
        CASE(the_trash_may_be_leased_and_the_purged_not),
        CASE(a_version_that_came_again_is_found_behind_an_old_fact),
        CASE(a_list_holds_what_the_token_sees),
        CASE(what_filters_nothing_is_refused),
        CASE(pages_go_on_where_they_ended),
        CASE(what_is_no_lease_is_refused_by_its_pointer),
        CASE(an_administrator_removes_one),
        CASE(a_pull_is_reported_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
