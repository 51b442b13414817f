/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "server/db/channels.h"
#include "server/db/purge.h"
#include "server/db/versions.h"
#include "server/service/content.h"
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
        assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "list",
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
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "none", NULL, &page,
                                   NULL, NULL),
                     -ENOENT);
    request.cursor = "03aa";
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "list", &request,
                                   &page, NULL, NULL),
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
    assert_int_equal(versions_list(world.services, &world.caller.identity, "p", "trash", NULL,
                                   &page, NULL, NULL),
                     0);
    assert_int_equal(page.count, 0);
    version_page_release(&page);
    expect("trash", "latest", NULL);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "trash", "1", &info,
                                  NULL, NULL),
                     0);
    assert_true(info.trashed);
    version_info_release(&info);
    sample_check(&world, "p", "trash", "1", &sample);
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
    assert_int_equal(version_purge(world.database, id, &actor_host, NULL), 0);
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
    assert_int_equal(version_fact_cached(world.services, "p", "facts", "1", &fact, NULL), -EAGAIN);
    assert_int_equal(version_fact_get(world.services, "p", "facts", "latest", &fact, NULL, NULL),
                     0);
    assert_int_equal(version_fact_cached(world.services, "p", "facts", "1", &fact, NULL), 0);
    assert_int_equal(version_fact_cached(world.services, "p", "facts", "latest", &fact, NULL),
                     -EAGAIN);
    version_fact_forget(world.services, "p", "facts", "1");
    assert_int_equal(version_fact_cached(world.services, "p", "facts", "1", &fact, NULL), -EAGAIN);
    char long_name[300];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(version_fact_get(world.services, "p", "facts", long_name, &fact, NULL, NULL),
                     -ENOENT);
    assert_int_equal(version_fact_get(world.services, long_name, "facts", "1", &fact, NULL, NULL),
                     -ENOENT);
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
        cmocka_unit_test(test_metadata_there_and_back),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
