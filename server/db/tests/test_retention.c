/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "server/db/channels.h"
#include "server/db/retention.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define DAY_S 86400

static struct retained taken[100];
#define COUNT(state, where) fixture_integer(DB(state), "SELECT count(*) FROM " where)

static const struct retention_rules two = { .keep = 2, .min_age_s = DAY_S };
static const struct retention_scope everything = { .project = NULL };
static const struct retention_scope api = { .project = "shop", .app = "api" };
static const struct actor retention = { .name = "retention" };

/* Versions of shop/api from 1, the oldest, to `count`; all are older than a day then. */
static void versions(struct database *database, unsigned count)
{
    char name[16];

    for (unsigned i = 1; i <= count; i++) {
        snprintf(name, sizeof(name), "%u", i);
        fixture_version(database, "shop", "api", name, 1000 + 10 * i, i, 1);
        fixture_now++;
    }
    fixture_now += DAY_S;
}

static void run_format(struct database *database, const char *format, const char *version,
                       int64_t number)
{
    char sql[512];

    snprintf(sql, sizeof(sql), format, version, (long long)number);
    assert_true(fixture_run(database, sql) >= 0);
}

static void pin(struct database *database, const char *version)
{
    run_format(database, "UPDATE versions SET pinned = 1 WHERE name = '%s' AND %lld", version, 1);
}

static void lease(struct database *database, const char *version, int64_t until)
{
    run_format(database,
               "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'host', name, id, 'pull', '', 0, 0,"
               " %2$lld FROM versions WHERE name = '%1$s'",
               version, until);
}

static void promote_in(struct database *database, const char *project, const char *app,
                       const char *channel, const char *version)
{
    const struct promotion promotion = {
        .project = project, .app = app, .channel = channel, .version = version, .by = actor_host
    };
    struct promotion_result result;

    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
}

static void promote(struct database *database, const char *channel, const char *version)
{
    promote_in(database, "shop", "api", channel, version);
}

static size_t take(struct database *database, const struct retention_rules *rules)
{
    size_t count;

    assert_int_equal(retention_take(database, rules, &api, 100, &retention, taken, &count, NULL),
                     0);
    return count;
}

/* The verdict of one of the newest-first list's versions beyond N; NEWEST when it is not there. */
static enum retention_verdict verdict_of(struct database *database, const char *version)
{
    enum retention_verdict verdict = RETENTION_NEWEST;
    struct retention_sum sum;
    struct retained *items;
    size_t count;

    assert_int_equal(retention_look(database, &two, &everything, &(struct retention_place){ 0 },
                                    100, &items, &count, &sum, NULL),
                     0);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].version, version) == 0)
            verdict = items[i].verdict;
    }
    memory_free(items);
    return verdict;
}

static void the_newest_n_stay(void **state)
{
    versions(DB(state), 5);
    assert_int_equal(verdict_of(DB(state), "3"), RETENTION_GOES);
    assert_int_equal(verdict_of(DB(state), "4"), RETENTION_NEWEST);
    assert_int_equal(take(DB(state), &two), 3);
    assert_int_equal(COUNT(state, "versions WHERE state = 'ready' AND name IN ('4', '5')"), 2);
    assert_int_equal(COUNT(state, "versions WHERE state = 'trashed' AND trashed_by = 'retention'"
                                  " AND trash_reason = 'retention'"),
                     3);
    assert_int_equal(take(DB(state), &two), 0);
}

static void a_promoted_one_stays_and_the_one_before(void **state)
{
    versions(DB(state), 6);
    promote(DB(state), "canary", "1");
    promote(DB(state), "live", "2");
    promote(DB(state), "live", "3");
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_PROMOTED);
    assert_int_equal(verdict_of(DB(state), "2"), RETENTION_PREVIOUS);
    assert_int_equal(verdict_of(DB(state), "3"), RETENTION_PROMOTED);
    assert_int_equal(take(DB(state), &two), 1);
    assert_int_equal(COUNT(state, "versions WHERE state = 'trashed' AND name = '4'"), 1);
    promote(DB(state), "live", "5");
    assert_int_equal(verdict_of(DB(state), "2"), RETENTION_GOES);
}

static void a_pinned_one_stays(void **state)
{
    versions(DB(state), 4);
    pin(DB(state), "1");
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_PINNED);
    assert_int_equal(take(DB(state), &two), 1);
}

static void a_leased_one_stays_as_long_as_the_lease(void **state)
{
    versions(DB(state), 4);
    lease(DB(state), "1", fixture_now + 10);
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_LEASED);
    fixture_now += 9;
    assert_int_equal(take(DB(state), &two), 1);
    fixture_now += 1;
    assert_int_equal(take(DB(state), &two), 1);
}

static void one_younger_than_min_age_stays(void **state)
{
    versions(DB(state), 2);
    fixture_now -= 2; /* the first is a day old, less a second */
    fixture_version(DB(state), "shop", "api", "3", 2000, 1, 1);
    fixture_version(DB(state), "shop", "api", "4", 2010, 1, 1);
    fixture_now -= 1;
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_YOUNG);
    assert_int_equal(take(DB(state), &two), 0);
    fixture_now += 1;
    assert_int_equal(take(DB(state), &two), 1);
    assert_int_equal(verdict_of(DB(state), "2"), RETENTION_YOUNG);
}

/* What came between the look and the taking protects. */
static void what_is_protected_since_it_was_looked_at(void **state)
{
    versions(DB(state), 6);
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_GOES);
    pin(DB(state), "1");
    promote(DB(state), "live", "2");
    lease(DB(state), "3", fixture_now + 100);
    assert_int_equal(take(DB(state), &two), 1);
    assert_int_equal(COUNT(state, "versions WHERE state = 'ready'"), 5);
}

static void an_override_of_the_app_goes_before_the_projects(void **state)
{
    versions(DB(state), 8);
    assert_int_equal(retention_override(DB(state), "shop", NULL, 6, &actor_host, NULL), 0);
    assert_int_equal(verdict_of(DB(state), "3"), RETENTION_NEWEST);
    assert_int_equal(verdict_of(DB(state), "2"), RETENTION_GOES);
    assert_int_equal(retention_override(DB(state), "shop", "api", 7, &actor_host, NULL), 0);
    assert_int_equal(verdict_of(DB(state), "2"), RETENTION_NEWEST);
    assert_int_equal(retention_override(DB(state), "shop", "api", 0, &actor_host, NULL), 0);
    assert_int_equal(verdict_of(DB(state), "8"), RETENTION_GOES);
    assert_int_equal(retention_override(DB(state), "shop", "api", RETENTION_INHERIT, &actor_host,
                                        NULL),
                     0);
    assert_int_equal(verdict_of(DB(state), "3"), RETENTION_NEWEST);
    assert_int_equal(COUNT(state, "audit WHERE operation = 'app.set'"), 3);
    assert_int_equal(COUNT(state, "events WHERE type = 'project.changed'"), 1);
    /* what is so already is no act */
    assert_int_equal(retention_override(DB(state), "shop", NULL, 6, &actor_host, NULL), 0);
    assert_int_equal(COUNT(state, "audit WHERE operation = 'project.set'"), 1);
    assert_int_equal(retention_override(DB(state), "shop", "no", 6, &actor_host, NULL), -ENOENT);
    assert_int_equal(retention_override(DB(state), "no", NULL, 6, &actor_host, NULL), -ENOENT);
}

static void an_act_of_each(void **state)
{
    versions(DB(state), 4);
    assert_int_equal(take(DB(state), &two), 2);
    assert_int_equal(COUNT(state, "events WHERE type = 'version.trashed' AND actor = 'retention'"
                                  " AND project = 'shop' AND app = 'api'"),
                     2);
    assert_int_equal(COUNT(state, "audit WHERE operation = 'version.trash'"
                                  " AND actor = 'retention'"),
                     2);
}

static void a_look_changes_nothing(void **state)
{
    int64_t before;

    versions(DB(state), 5);
    before = fixture_integer(DB(state), "SELECT total_changes()");
    assert_int_equal(verdict_of(DB(state), "1"), RETENTION_GOES);
    assert_int_equal(fixture_integer(DB(state), "SELECT total_changes()"), before);
}

static void scopes(void **state)
{
    static const struct retention_scope wholes[] = {
        { NULL, NULL },    { "", "" },       { "shop", NULL },
        { "shop", "web" }, { "shop", "no" }, { "other", NULL },
    };
    static const uint64_t goes[] = { 3, 3, 2, 1, 0, 1 };
    struct retention_sum sum;

    for (unsigned i = 0; i < 9; i++) {
        static const char *const places[][2] = { { "shop", "api" },
                                                 { "shop", "web" },
                                                 { "other", "api" } };
        char name[8];

        snprintf(name, sizeof(name), "%u", i);
        fixture_version(DB(state), places[i % 3][0], places[i % 3][1], name, 1000 + 10 * i, i, 1);
    }
    fixture_now += DAY_S;
    for (size_t i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++) {
        assert_int_equal(retention_count(DB(state), &two, &wholes[i], &sum, NULL), 0);
        assert_int_equal(sum.counts[RETENTION_GOES], goes[i]);
    }
}

static void more_than_a_fifth_of_an_app_and_more_than_five(void **state)
{
    struct retention_rules rules = { .keep = 24, .min_age_s = 0 };
    struct retention_sum sum;

    versions(DB(state), 29);
    assert_int_equal(retention_count(DB(state), &rules, &everything, &sum, NULL), 0);
    assert_int_equal(sum.counts[RETENTION_GOES], 5);
    assert_string_equal(sum.app, ""); /* five */
    rules.keep = 23;
    assert_int_equal(retention_count(DB(state), &rules, &everything, &sum, NULL), 0);
    assert_string_equal(sum.app, "api"); /* six of 29 */
    assert_int_equal(sum.app_goes, 6);
    assert_int_equal(sum.app_ready, 29);
    fixture_version(DB(state), "shop", "api", "30", 3000, 1, 1);
    rules.keep = 24;
    assert_int_equal(retention_count(DB(state), &rules, &everything, &sum, NULL), 0);
    assert_int_equal(sum.counts[RETENTION_GOES], 6);
    assert_string_equal(sum.app, ""); /* six of 30 are a fifth, not more */
}

/* Blobs of two that go together are freed, though neither has them alone. */
static void bytes(void **state)
{
    static const struct retention_rules one = { .keep = 1 };
    struct retention_sum sum;
    struct retained *items;
    size_t count;
    uint64_t freed, all = 0;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 2); /* blobs 0, 1 */
    fixture_version(DB(state), "shop", "api", "2", 1010, 1, 2); /* blobs 1, 2 */
    fixture_version(DB(state), "shop", "api", "3", 1020, 2, 2); /* blobs 2, 3 */
    for (unsigned n = 0; n < 3; n++)
        all += 3 * (2000 + 10 * n) + 3 + 1000 + n;
    all += 1003;
    assert_int_equal(retention_look(DB(state), &one, &everything, &(struct retention_place){ 0 },
                                    10, &items, &count, &sum, NULL),
                     0);
    assert_int_equal(count, 2);
    assert_int_equal(items[0].unique_bytes, 1000 + 3 * 2000 + 3);
    assert_int_equal(items[1].unique_bytes, 3 * 2010 + 3);
    assert_int_equal(sum.bytes, 1000 + 1001 + 3 * 2000 + 3 + 3 * 2010 + 3);
    assert_int_equal(sum.all_bytes, all);
    memory_free(items);
    assert_int_equal(retention_take(DB(state), &one, &api, 1, &retention, taken, &count, NULL), 0);
    assert_int_equal(retention_freed(DB(state), taken, count, &freed, NULL), 0);
    assert_int_equal(freed, 1000 + 3 * 2000 + 3);
    assert_int_equal(retention_take(DB(state), &one, &api, 1, &retention, taken, &count, NULL), 0);
    assert_int_equal(retention_freed(DB(state), taken, count, &freed, NULL), 0);
    assert_int_equal(freed, 1001 + 3 * 2010 + 3);
}

static void pages_and_apps(void **state)
{
    struct retention_place after = { 0 };
    struct retention_app apps[2];
    struct retention_sum sum;
    struct retained *items;
    size_t count, seen = 0, found = 0;
    int64_t last = 0;

    for (unsigned i = 0; i < 20; i++) {
        char name[8], app[8];

        snprintf(name, sizeof(name), "%u", i);
        snprintf(app, sizeof(app), "a%u", i % 5);
        fixture_version(DB(state), "shop", app, name, 1000 + 10 * i, i, 1);
    }
    fixture_now += DAY_S;
    do {
        assert_int_equal(retention_look(DB(state), &two, &everything, &after, 3, &items, &count,
                                        &sum, NULL),
                         0);
        for (size_t i = 0; i < count; i++) {
            assert_true(items[i].app_id > after.app_id ||
                        (items[i].app_id == after.app_id && items[i].id > after.version_id));
            after = (struct retention_place){ items[i].app_id, items[i].id };
        }
        seen += count;
        assert_int_equal(sum.counts[RETENTION_GOES], 10);
        memory_free(items);
    } while (count == 3);
    assert_int_equal(seen, 10);
    do {
        assert_int_equal(retention_apps(DB(state), &two, &everything, last, 2, apps, &count, &last,
                                        NULL),
                         0);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(apps[i].goes, 2);
        found += count;
    } while (last != 0);
    assert_int_equal(found, 5);
}

/* ------------------------------------------------------------ against a model */

#define APPS 3
#define VERSIONS 14 /* of each app */
#define BLOBS 12

struct model_version {
    char name[16];
    int64_t created_at_s;
    unsigned app, content, first, count;
    bool pinned, promoted, previous, leased;
};

struct model {
    uint64_t random;
    struct model_version versions[APPS * VERSIONS]; /* in the order in which they were made */
    unsigned count;
    int64_t keep[APPS];
    int64_t min_age_s;
};

static unsigned pick(struct model *model, unsigned below)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(model->random >> 33) % below;
}

static const char *const model_apps[APPS][2] = { { "p", "a" }, { "p", "b" }, { "q", "a" } };

static void model_fill(struct database *database, struct model *model)
{
    for (unsigned i = 0; i < APPS * VERSIONS; i++) {
        struct model_version *version = &model->versions[i];

        *version = (struct model_version){ .app = pick(model, APPS),
                                           .content = 1000 + 10 * i,
                                           .first = pick(model, BLOBS),
                                           .count = 1 + pick(model, 3),
                                           .created_at_s = fixture_now };
        snprintf(version->name, sizeof(version->name), "v%u", i);
        fixture_version(database, model_apps[version->app][0], model_apps[version->app][1],
                        version->name, version->content, version->first, version->count);
        version->pinned = pick(model, 7) == 0;
        version->leased = pick(model, 7) == 0;
        if (version->pinned)
            pin(database, version->name);
        if (version->leased || pick(model, 7) == 0)
            lease(database, version->name, version->leased ? fixture_now + 1000000 : fixture_now);
        fixture_now += pick(model, 3); /* some are of one second */
    }
    model->count = APPS * VERSIONS;
}

static void model_promote(struct database *database, struct model *model)
{
    static const char *const channels[] = { "live", "test" };

    for (unsigned app = 0; app < APPS; app++) {
        for (unsigned channel = 0; channel < 2; channel++) {
            struct model_version *at[2] = { NULL, NULL }; /* now, before */

            for (unsigned n = pick(model, 4); n > 0; n--) {
                struct model_version *version = &model->versions[pick(model, model->count)];

                if (version->app != app || version == at[0])
                    continue;
                promote_in(database, model_apps[app][0], model_apps[app][1], channels[channel],
                           version->name);
                at[1] = at[0];
                at[0] = version;
            }
            if (at[0] != NULL)
                at[0]->promoted = true;
            if (at[1] != NULL)
                at[1]->previous = true;
        }
    }
}

static void model_keep(struct database *database, struct model *model)
{
    for (unsigned app = 0; app < APPS; app++) {
        model->keep[app] = two.keep;
        if (app == 2)
            continue;
        model->keep[app] = 4; /* its project's */
        if (pick(model, 2) == 0) {
            model->keep[app] = pick(model, 6);
            assert_int_equal(retention_override(database, model_apps[app][0], model_apps[app][1],
                                                model->keep[app], &actor_host, NULL),
                             0);
        }
    }
    assert_int_equal(retention_override(database, "p", NULL, 4, &actor_host, NULL), 0);
}

/* Of those of its app that are ready, how many were made after it. */
static int64_t newer(const struct model *model, unsigned index)
{
    int64_t count = 0;

    for (unsigned i = index + 1; i < model->count; i++)
        count += model->versions[i].app == model->versions[index].app;
    return count;
}

static enum retention_verdict model_judge(const struct model *model, unsigned index)
{
    const struct model_version *version = &model->versions[index];

    if (newer(model, index) < model->keep[version->app])
        return RETENTION_NEWEST;
    if (version->promoted)
        return RETENTION_PROMOTED;
    if (version->previous)
        return RETENTION_PREVIOUS;
    if (version->pinned)
        return RETENTION_PINNED;
    if (version->leased)
        return RETENTION_LEASED;
    return fixture_now - version->created_at_s < model->min_age_s ? RETENTION_YOUNG
                                                                  : RETENTION_GOES;
}

static bool has_blob(const struct model_version *version, unsigned blob)
{
    return blob >= version->first && blob < version->first + version->count;
}

static uint64_t model_unique(const struct model *model, unsigned index)
{
    const struct model_version *version = &model->versions[index];
    uint64_t sum = 3 * (1000 + version->content) + 3;

    for (unsigned blob = version->first; blob < version->first + version->count; blob++) {
        bool other = false;

        for (unsigned i = 0; i < model->count; i++)
            other = other || (i != index && has_blob(&model->versions[i], blob));
        sum += other ? 0 : 1000 + blob;
    }
    return sum;
}

/* What none but those that go have. */
static uint64_t model_bytes(const struct model *model)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < model->count; i++) {
        if (model_judge(model, i) == RETENTION_GOES)
            sum += 3 * (1000 + model->versions[i].content) + 3;
    }
    for (unsigned blob = 0; blob < BLOBS + 3; blob++) {
        bool goes = false, stays = false;

        for (unsigned i = 0; i < model->count; i++) {
            if (!has_blob(&model->versions[i], blob))
                continue;
            if (model_judge(model, i) == RETENTION_GOES)
                goes = true;
            else
                stays = true;
        }
        sum += goes && !stays ? 1000 + blob : 0;
    }
    return sum;
}

static void check_look(struct database *database, const struct model *model)
{
    const struct retention_rules rules = { .keep = two.keep, .min_age_s = model->min_age_s };
    uint64_t counts[RETENTION_VERDICT_COUNT] = { 0 };
    struct retention_sum sum;
    struct retained *items;
    size_t count, listed = 0;

    assert_int_equal(retention_look(database, &rules, &everything, &(struct retention_place){ 0 },
                                    100, &items, &count, &sum, NULL),
                     0);
    for (unsigned i = 0; i < model->count; i++) {
        const enum retention_verdict verdict = model_judge(model, i);

        counts[verdict]++;
        listed += verdict != RETENTION_NEWEST;
        for (size_t k = 0; k < count; k++) {
            if (strcmp(items[k].version, model->versions[i].name) != 0)
                continue;
            assert_int_equal(items[k].verdict, verdict);
            assert_int_equal(items[k].place, newer(model, i) + 1);
            assert_int_equal(items[k].keep, model->keep[model->versions[i].app]);
            assert_int_equal(items[k].unique_bytes, model_unique(model, i));
        }
    }
    assert_int_equal(count, listed);
    for (unsigned i = 0; i < RETENTION_VERDICT_COUNT; i++)
        assert_int_equal(sum.counts[i], counts[i]);
    assert_int_equal(sum.bytes, model_bytes(model));
    memory_free(items);
}

/* In batches, and what was looked at before is what went. */
static void check_take(struct database *database, struct model *model)
{
    const struct retention_rules rules = { .keep = two.keep, .min_age_s = model->min_age_s };
    const uint64_t bytes = model_bytes(model);
    uint64_t all_freed = 0, freed;
    size_t count;

    for (unsigned app = 0; app < APPS; app++) {
        const struct retention_scope scope = { model_apps[app][0], model_apps[app][1] };

        do {
            assert_int_equal(retention_take(database, &rules, &scope, 3, &retention, taken, &count,
                                            NULL),
                             0);
            assert_int_equal(retention_freed(database, taken, count, &freed, NULL), 0);
            all_freed += freed;
        } while (count == 3);
    }
    assert_int_equal(all_freed, bytes);
    for (unsigned i = 0; i < model->count; i++) {
        char sql[100];

        snprintf(sql, sizeof(sql), "SELECT state = 'trashed' FROM versions WHERE name = '%s'",
                 model->versions[i].name);
        assert_int_equal(fixture_integer(database, sql), model_judge(model, i) == RETENTION_GOES);
    }
}

static void any_versions_channels_leases_and_pins(void **state)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct model model = { .random = seed };

        fixture_teardown(state);
        assert_int_equal(fixture_setup(state), 0);
        model_fill(DB(state), &model);
        model_promote(DB(state), &model);
        model_keep(DB(state), &model);
        fixture_now += 1;
        model.min_age_s = 1 + pick(&model, 40);
        check_look(DB(state), &model);
        check_take(DB(state), &model);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_newest_n_stay),
        CASE(a_promoted_one_stays_and_the_one_before),
        CASE(a_pinned_one_stays),
        CASE(a_leased_one_stays_as_long_as_the_lease),
        CASE(one_younger_than_min_age_stays),
        CASE(what_is_protected_since_it_was_looked_at),
        CASE(an_override_of_the_app_goes_before_the_projects),
        CASE(an_act_of_each),
        CASE(a_look_changes_nothing),
        CASE(scopes),
        CASE(more_than_a_fifth_of_an_app_and_more_than_five),
        CASE(bytes),
        CASE(pages_and_apps),
        CASE(any_versions_channels_leases_and_pins),
    };

    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
