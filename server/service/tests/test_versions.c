/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/model/labels.h"
#include "server/db/channels.h"
#include "server/db/database.h"
#include "server/db/purge.h"
#include "server/db/transaction.h"
#include "server/db/versions.h"
#include "server/service/content.h"
#include "server/service/promotions.h"
#include "server/service/tests/world.h"
#include "server/service/version_fact.h"
#include "server/service/version_record.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static void push(const char *app, const char *version, uint32_t seed)
{
    struct sample sample;
    enum pushes_outcome outcome;

    sample_make(&sample, seed, 2, 100);
    assert_int_equal(sample_push(&world, &world.caller, "p", app, version, &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_release(&sample);
}

static void expect(const char *app, const char *reference, const char *version)
{
    struct version_info info = { 0 };
    struct refusal why = { 0 };
    int r = versions_get(world.services, &world.caller.identity, "p", app, reference, &info, &why,
                         NULL);

    if (version == NULL) {
        assert_int_equal(r, -ENOENT);
        assert_int_equal(why.code, REFUSAL_NOT_FOUND);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(info.record.version, version);
    version_info_release(&info);
}

static void test_references(void **state)
{
    static const char *const bad[] = { "", "@", "..", "a/b", "@../x", "@latest", "\xff", " 1" };

    push("refs", "1", 1);
    expect("refs", "latest", "1");
    world_sleep(1);
    push("refs", "2", 2);
    expect("refs", "latest", "2");
    expect("refs", "1", "1");
    expect("refs", "3", NULL);
    expect("refs", "@live", NULL);
    expect("none", "latest", NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect("refs", bad[i], NULL);
    /* What is live is the latest. */
    assert_int_equal(channel_promote(world.database,
                                     &(struct promotion){ .project = "p",
                                                          .app = "refs",
                                                          .channel = "live",
                                                          .version = "1",
                                                          .by = actor_host },
                                     &(struct promotion_result){ 0 }, NULL),
                     0);
    expect("refs", "@live", "1");
    expect("refs", "latest", "1");
}

static void test_list(void **state)
{
    struct page_request request = { .limit = 3 };
    char cursor[CURSOR_SIZE] = "";
    char name[16];
    int expected = 10;

    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "%d", i);
        push("list", name, 100 + (uint32_t)i);
        if (i % 3 == 0)
            world_sleep(1); /* several of one second keep their order */
    }
    do {
        struct version_page page;

        request.cursor = cursor;
        assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "list", false,
                                       &request, &page, NULL, NULL),
                         0);
        for (size_t i = 0; i < page.count; i++) {
            snprintf(name, sizeof(name), "%d", --expected);
            assert_string_equal(page.items[i].record.version, name);
        }
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        version_page_release(&page);
    } while (cursor[0] != '\0');
    assert_int_equal(expected, 0);
    struct version_page page;
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "none", false, NULL,
                                   &page, NULL, NULL),
                     -ENOENT);
    request.cursor = "03aa";
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "list", false,
                                   &request, &page, NULL, NULL),
                     -EINVAL);
}

/* The trash: not listed, not the latest, but its exact name answers; purged: gone for ever. */
static void test_trashed_and_purged(void **state)
{
    struct version_info info = { 0 };
    struct version_page page;
    struct sample sample, other;
    enum pushes_outcome outcome;
    struct refusal why = { 0 };

    sample_make(&sample, 200, 2, 100);
    sample_make(&other, 201, 2, 100);
    push("trash", "1", 200);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "trash", "1", &info,
                                  NULL, NULL),
                     0);
    int64_t id = info.id;
    version_info_release(&info);
    assert_int_equal(version_trash(world.database, id, &actor_host, "test", false, NULL, NULL), 0);
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "trash", false,
                                   NULL, &page, NULL, NULL),
                     0);
    assert_int_equal(page.count, 0);
    version_page_release(&page);
    expect("trash", "latest", NULL);
    expect("trash", "1", NULL);
    world.caller.identity.sees_trash = true;
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "trash", "1", &info,
                                  NULL, NULL),
                     0);
    assert_true(info.trashed);
    assert_string_equal(info.trash_reason, "test");
    assert_int_equal(info.purge_at_s, info.trashed_at_s + 7 * 86400);
    version_info_release(&info);
    sample_check(&world, "p", "trash", "1", &sample);
    world.caller.identity.sees_trash = false;
    /* Other content: refused. The same: restored. */
    assert_int_equal(sample_push(&world, &world.caller, "p", "trash", "1", &other, &outcome, NULL,
                                 &why, NULL),
                     -EEXIST);
    assert_int_equal(sample_push(&world, &world.caller, "p", "trash", "1", &sample, &outcome, NULL,
                                 &why, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_EXISTS);
    expect("trash", "latest", "1");

    assert_int_equal(version_trash(world.database, id, &actor_host, "test", false, NULL, NULL), 0);
    assert_int_equal(version_purge(world.database, id, INT64_MAX, &actor_host, NULL), 0);
    world_restart(&world);
    why.code = REFUSAL_NONE;
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "trash", "1", &info,
                                  &why, NULL),
                     -ESTALE);
    assert_int_equal(why.code, REFUSAL_PURGED);
    assert_int_equal(sample_push(&world, &world.caller, "p", "trash", "1", &other, &outcome, NULL,
                                 &why, NULL),
                     -EEXIST);
    assert_int_equal(why.code, REFUSAL_VERSION_EXISTS);
    assert_true(digest_equal(&why.existing_content, &sample.content));
    assert_int_equal(sample_push(&world, &world.caller, "p", "trash", "1", &sample, &outcome, NULL,
                                 &why, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_CREATED);
    sample_check(&world, "p", "trash", "1", &sample);
    sample_release(&sample);
    sample_release(&other);
}

static void test_facts(void **state)
{
    struct version_fact fact;

    push("facts", "1", 300);
    assert_int_equal(version_fact_cached(world.services, &world.caller.identity, "p", "facts", "1",
                                         &fact, NULL),
                     -EAGAIN);
    assert_int_equal(version_fact_get(world.services, &world.caller.identity, "p", "facts",
                                      "latest", &fact, NULL, NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &world.caller.identity, "p", "facts", "1",
                                         &fact, NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &world.caller.identity, "p", "facts",
                                         "latest", &fact, NULL),
                     -EAGAIN);
    version_fact_forget(world.services, "p", "facts", "1");
    assert_int_equal(version_fact_cached(world.services, &world.caller.identity, "p", "facts", "1",
                                         &fact, NULL),
                     -EAGAIN);
    char long_name[300];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(version_fact_get(world.services, &world.caller.identity, "p", "facts",
                                      long_name, &fact, NULL, NULL),
                     -ENOENT);
    assert_int_equal(version_fact_get(world.services, &world.caller.identity, long_name, "facts",
                                      "1", &fact, NULL, NULL),
                     -ENOENT);
}

/* What is remembered of a version ends with its state, for readers that never ask the database. */
static void test_facts_end_with_the_trash(void **state)
{
    const struct actor by = actor_host;
    struct identity identity = world.caller.identity;
    struct refusal why = { 0 };
    struct version_fact fact;
    int64_t id;

    push("ends", "1", 310);
    assert_int_equal(version_fact_get(world.services, &identity, "p", "ends", "1", &fact, NULL,
                                      NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &identity, "p", "ends", "1", &fact, NULL),
                     0);
    id = fact.id;
    assert_int_equal(version_trash(world.database, id, &by, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_fact_cached(world.services, &identity, "p", "ends", "1", &fact, NULL),
                     -EAGAIN);
    assert_int_equal(version_fact_get(world.services, &identity, "p", "ends", "1", &fact, &why,
                                      NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    /* Who asks for it fills the memo; that opens nothing for the others. */
    identity.sees_trash = true;
    assert_int_equal(version_fact_get(world.services, &identity, "p", "ends", "1", &fact, NULL,
                                      NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &identity, "p", "ends", "1", &fact, NULL),
                     0);
    identity.sees_trash = false;
    assert_int_equal(version_fact_cached(world.services, &identity, "p", "ends", "1", &fact, NULL),
                     -EAGAIN);
    assert_int_equal(version_restore(world.database, id, &by, NULL), 0);
    assert_int_equal(version_fact_get(world.services, &identity, "p", "ends", "1", &fact, NULL,
                                      NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &identity, "p", "ends", "1", &fact, NULL),
                     0);
}

/* Another server of the same database, which tells this one nothing but through the epoch. */
static void test_facts_end_with_the_trash_of_another_server(void **state)
{
    const struct identity *identity = &world.caller.identity;
    const struct actor by = actor_host;
    struct version_fact fact;
    char location[128];
    struct database_options options = { .location = location, .now_s = world_now };
    struct database *other;

    push("away", "1", 350);
    assert_int_equal(version_fact_get(world.services, identity, "p", "away", "1", &fact, NULL,
                                      NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, identity, "p", "away", "1", &fact, NULL),
                     0);
    snprintf(location, sizeof(location), "sqlite:%s/kk.db", world.directory);
    assert_int_equal(database_open(&options, &other, NULL), 0);
    assert_int_equal(version_trash(other, fact.id, &by, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_fact_cached(world.services, identity, "p", "away", "1", &fact, NULL),
                     -EAGAIN);
    assert_int_equal(version_fact_get(world.services, identity, "p", "away", "1", &fact, NULL,
                                      NULL),
                     -ENOENT);
    assert_int_equal(version_restore(other, fact.id, &by, NULL), 0);
    assert_int_equal(version_fact_get(world.services, identity, "p", "away", "1", &fact, NULL,
                                      NULL),
                     0);
    database_close(other);
}

struct lease_row {
    int64_t version_id;
    const char *token_id;
    int64_t expires_at_s;
};

static int lease_insert(struct transaction *tx, void *context, struct error *err)
{
    const struct lease_row *row = context;

    return transaction_run(tx,
                           "INSERT INTO leases (token_id, host, place, version_id, mode, state,"
                           " since, renewed_at, expires_at)"
                           " VALUES ($1, 'host', '/', $2, 'mount', 'ready', 1, 1, $3)",
                           VALUES(value_text(row->token_id), value_integer(row->version_id),
                                  value_integer(row->expires_at_s)),
                           err);
}

/* A lease opens what is in the trash to its token, until it ends. */
static void test_leases_see_the_trash(void **state)
{
    const struct actor by = actor_host;
    struct identity *identity = &world.caller.identity;
    struct caller other;
    struct version_fact fact;
    struct lease_row lease = { .token_id = identity->id, .expires_at_s = world_now() + 100 };
    char text[64];

    world_token(&world, NULL, NULL, ACCESS_PULL, &other, text);
    push("leased", "1", 320);
    assert_int_equal(version_fact_get(world.services, identity, "p", "leased", "1", &fact, NULL,
                                      NULL),
                     0);
    lease.version_id = fact.id;
    assert_int_equal(transaction_write(world.database, lease_insert, &lease, NULL), 0);
    assert_int_equal(version_trash(world.database, fact.id, &by, NULL, true, NULL, NULL), 0);
    assert_int_equal(version_fact_get(world.services, &other.identity, "p", "leased", "1", &fact,
                                      NULL, NULL),
                     -ENOENT);
    assert_int_equal(version_fact_get(world.services, identity, "p", "leased", "1", &fact, NULL,
                                      NULL),
                     0);
    /* From now on without the database: a mount reads on. */
    assert_int_equal(version_fact_cached(world.services, identity, "p", "leased", "1", &fact, NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, &other.identity, "p", "leased", "1", &fact,
                                         NULL),
                     -EAGAIN);
    world_sleep(101);
    assert_int_equal(version_fact_cached(world.services, identity, "p", "leased", "1", &fact, NULL),
                     -EAGAIN);
    assert_int_equal(version_fact_get(world.services, identity, "p", "leased", "1", &fact, NULL,
                                      NULL),
                     -ENOENT);
}

static int delete (const char *name, bool force, struct refusal *why)
{
    struct version_info info = { 0 };
    int r =
        versions_delete(world.services, &world.caller, "p", "gone", name, force, &info, why, NULL);

    version_info_release(&info);
    return r;
}

static void test_delete_and_restore(void **state)
{
    struct version_info info = { 0 };
    struct refusal why = { 0 };
    struct promotion_request promotion = { .project = "p", .app = "gone", .version = "1" };
    struct channel channel;

    push("gone", "1", 330);
    push("gone", "2", 331);
    assert_int_equal(promotions_promote(world.services, &world.caller, &promotion, &channel, NULL,
                                        NULL),
                     1);
    assert_int_equal(delete ("1", false, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PROMOTED);
    assert_int_equal(why.name_count, 1);
    assert_string_equal(why.names, "live");
    assert_int_equal(delete ("latest", false, &why), -EINVAL);
    assert_int_equal(delete ("@live", true, &why), -EINVAL);
    assert_int_equal(delete ("9", true, &why), -ENOENT);
    assert_int_equal(delete ("1", true, &why), 0);
    assert_int_equal(delete ("1", false, &why), 0); /* it lies there */
    expect("gone", "@live", NULL);
    expect("gone", "latest", "2");
    assert_int_equal(versions_restore(world.services, &world.caller, "p", "gone", "1", &info, NULL,
                                      NULL),
                     0);
    assert_false(info.trashed);
    assert_int_equal(info.channel_count, 1);
    assert_string_equal(info.channels[0].name, "live");
    version_info_release(&info);
    expect("gone", "@live", "1");
    assert_int_equal(delete ("2", false, &why), 0);
}

static void test_change(void **state)
{
    cleanup(labels_release) struct labels labels = { 0 };
    struct version_info info = { 0 };
    struct refusal why = { 0 };
    char long_note[NOTE_MAX_SIZE + 2];
    struct version_wish wish = { .set_pinned = true,
                                 .pinned = true,
                                 .set_labels = true,
                                 .labels = &labels,
                                 .set_note = true,
                                 .note = "kept" };

    push("changed", "1", 340);
    assert_int_equal(labels_add(&labels, span_text("k"), span_text("v"), NULL), 0);
    assert_int_equal(versions_change(world.services, &world.caller, "p", "changed", "1", &wish,
                                     &info, NULL, NULL),
                     0);
    assert_true(info.pinned);
    assert_string_equal(info.note, "kept");
    assert_string_equal(labels_get(&info.record.labels, "k"), "v");
    version_info_release(&info);
    memset(long_note, 'x', sizeof(long_note) - 1);
    long_note[sizeof(long_note) - 1] = '\0';
    wish.note = long_note;
    assert_int_equal(versions_change(world.services, &world.caller, "p", "changed", "1", &wish,
                                     &info, &why, NULL),
                     -EINVAL);
    assert_string_equal(why.pointer, "/note");
    wish.note = "a\nb";
    assert_int_equal(versions_change(world.services, &world.caller, "p", "changed", "1", &wish,
                                     &info, &why, NULL),
                     -EINVAL);
    /* Nothing is said of the rest: it stays; an empty note is none. */
    wish = (struct version_wish){ .set_note = true, .note = "" };
    assert_int_equal(versions_change(world.services, &world.caller, "p", "changed", "1", &wish,
                                     &info, NULL, NULL),
                     0);
    assert_true(info.pinned);
    assert_null(info.note);
    assert_string_equal(labels_get(&info.record.labels, "k"), "v");
    version_info_release(&info);
}

static void test_metadata_there_and_back(void **state)
{
    cleanup(record_release) struct record record;
    cleanup(record_release) struct record again;
    cleanup(version_release) struct version version = version_empty();

    record_init(&record);
    record_init(&again);
    assert_int_equal(record_set_field(&record, "git_ref", span_text("refs/heads/main"), NULL), 0);
    assert_int_equal(record_set_field(&record, "builder", span_text("ci \"7\""), NULL), 0);
    assert_int_equal(labels_add(&record.labels, span_text("b"), span_text(""), NULL), 0);
    assert_int_equal(labels_add(&record.labels, span_text("a"), span_text("\\\xc3\xa4"), NULL), 0);
    assert_int_equal(version_record_metadata(&record, &version.metadata, NULL), 0);
    snprintf(version.project, sizeof(version.project), "p");
    snprintf(version.app, sizeof(version.app), "a");
    snprintf(version.name, sizeof(version.name), "1");
    assert_int_equal(version_record_of(&version, &again, NULL), 0);
    assert_string_equal(again.git_ref, "refs/heads/main");
    assert_string_equal(again.builder, "ci \"7\"");
    assert_null(again.git_commit);
    assert_false(again.has_build_time);
    assert_int_equal(again.labels.count, 2);
    assert_string_equal(labels_get(&again.labels, "a"), "\\\xc3\xa4");
    assert_string_equal(labels_get(&again.labels, "b"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_trashed_and_purged),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_facts_end_with_the_trash),
        cmocka_unit_test(test_facts_end_with_the_trash_of_another_server),
        cmocka_unit_test(test_leases_see_the_trash),
        cmocka_unit_test(test_delete_and_restore),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_metadata_there_and_back),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
