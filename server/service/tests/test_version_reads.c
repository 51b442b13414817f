/* SPDX-License-Identifier: MIT */
#include "server/service/version_reads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "server/db/purge.h"
#include "server/db/transaction.h"
#include "server/service/context.h"
#include "server/service/tests/world.h"
#include "server/service/versions.h"

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

/* Files d/f0000000, d/f0000001 ... of these texts. */
static void push(const char *app, const char *version, const char *const *texts, size_t count)
{
    enum pushes_outcome outcome;
    struct sample sample;
    struct span files[8];

    for (size_t i = 0; i < count; i++)
        files[i] = span_text(texts[i]);
    sample_make_of(&sample, 1, files, count);
    assert_int_equal(sample_push(&world, &world.caller, "p", app, version, &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_release(&sample);
    world_sleep(1);
}

#define PUSH(app, version, ...)                              \
    push(app, version, (const char *const[]){ __VA_ARGS__ }, \
         sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static int tell_as(const struct caller *caller, const char *reference, const char *host,
                   const char *digits, struct reads_told *out, struct refusal *why)
{
    cleanup(reads_release) struct reads reads = reads_init();
    char path[] = "d/f0000000";

    for (; *digits != '\0'; digits++) {
        path[sizeof(path) - 2] = *digits;
        assert_int_equal(reads_add(&reads, span_text(path), NULL, 0, NULL), 0);
    }
    return version_reads_put(world.services, caller, "p", "a", reference, host, &reads, out, why,
                             NULL);
}

static struct reads_told tell(const char *reference, const char *host, const char *digits)
{
    struct reads_told told;

    assert_int_equal(tell_as(&world.caller, reference, host, digits, &told, NULL), 0);
    return told;
}

/* The last digits of the paths. */
static void expect(const char *app, const char *reference, enum reads_source source,
                   const char *from, const char *digits)
{
    struct version_reads found;
    char seen[20] = "";

    assert_int_equal(version_reads_get(world.services, &world.caller.identity, "p", app, reference,
                                       &found, NULL, NULL),
                     0);
    assert_int_equal(found.source, source);
    assert_string_equal(found.from, from);
    for (size_t i = 0; i < found.reads.count; i++) {
        struct span path = reads_path(&found.reads, i);

        assert_true(span_starts_with(path, span_text("d/f")));
        seen[i] = (char)path.bytes[path.size - 1];
    }
    assert_string_equal(seen, digits);
    version_reads_release(&found);
}

static void what_is_told_is_given(void **state)
{
    struct reads_told told;

    PUSH("a", "1", "zero", "one", "two");
    expect("a", "1", READS_NONE, "", "");
    told = tell("latest", "web1", "208");
    assert_string_equal(told.version, "1");
    assert_int_equal(told.count, 2);
    assert_true(told.kept);
    expect("a", "1", READS_OWN, "", "20");
    assert_false(tell("1", "web1", "20").kept);
    assert_false(tell("1", "web2", "20").kept);
    assert_true(tell("1", "web2", "1").kept);
    expect("a", "latest", READS_OWN, "", "120");
}

static void what_is_not_there_is_not_kept(void **state)
{
    struct reads_told told;

    PUSH("a", "1", "zero");
    told = tell("1", "web1", "789");
    assert_int_equal(told.count, 0);
    assert_false(told.kept);
    expect("a", "1", READS_NONE, "", "");
}

static void the_next_version_inherits(void **state)
{
    PUSH("a", "1", "zero", "one", "two", "three");
    tell("1", "web1", "310");
    /* "one" stands elsewhere, the file that was "three" is another, "zero" is gone */
    PUSH("a", "2", "new", "more", "one", "changed");
    expect("a", "2", READS_INHERITED, "1", "320");
    PUSH("a", "3", "new", "one", "x", "changed");
    expect("a", "3", READS_INHERITED, "1", "310");
    tell("2", "web1", "2");
    expect("a", "2", READS_OWN, "", "2");
    expect("a", "3", READS_INHERITED, "2", "1");
    expect("a", "1", READS_OWN, "", "310");
}

static void what_it_came_from_may_go(void **state)
{
    struct version_info info;
    struct version_reads found;
    struct refusal why = { 0 };

    PUSH("a", "1", "zero", "one");
    tell("1", "web1", "1");
    PUSH("a", "2", "zero", "one", "two");
    expect("a", "2", READS_INHERITED, "1", "1");
    assert_int_equal(versions_delete(world.services, &world.caller, "p", "a", "1", true, &info,
                                     NULL, NULL),
                     0);
    assert_int_equal(version_purge(world.database, info.id, INT64_MAX, &actor_host, NULL), 0);
    version_info_release(&info);
    expect("a", "2", READS_NONE, "", "");
    assert_int_equal(version_reads_get(world.services, &world.caller.identity, "p", "a", "1",
                                       &found, &why, NULL),
                     -ESTALE);
    assert_int_equal(why.code, REFUSAL_PURGED);
}

static void a_copy_has_it_too(void **state)
{
    const struct version_copy_request to = { .project = "p", .app = "b", .version = "7" };
    struct version_info info;
    bool created;

    PUSH("a", "1", "zero", "one");
    tell("1", "web1", "10");
    assert_int_equal(versions_copy(world.services, &world.caller, "p", "a", "1", &to, &created,
                                   &info, NULL, NULL),
                     0);
    version_info_release(&info);
    expect("b", "7", READS_OWN, "", "10");
}

static void who_may(void **state)
{
    struct refusal why = { 0 };
    struct reads_told told;
    struct version_reads found;
    struct caller pusher, other;
    char text[64];

    PUSH("a", "1", "zero");
    world_token(&world, NULL, NULL, ACCESS_PUSH, &pusher, text);
    world_token(&world, "other", NULL, ACCESS_PULL, &other, text);
    assert_int_equal(tell_as(&pusher, "1", "h", "0", &told, &why), -EACCES);
    assert_int_equal(tell_as(&other, "1", "h", "0", &told, &why), -ENOENT);
    assert_int_equal(version_reads_get(world.services, &pusher.identity, "p", "a", "1", &found,
                                       &why, NULL),
                     -EACCES);
    assert_int_equal(version_reads_get(world.services, &other.identity, "p", "a", "1", &found, &why,
                                       NULL),
                     -ENOENT);
    assert_int_equal(tell_as(&world.caller, "9", "h", "0", &told, &why), -ENOENT);
    why = (struct refusal){ 0 };
    assert_int_equal(tell_as(&world.caller, "1", "no host", "0", &told, &why), -EINVAL);
    assert_string_equal(why.pointer, "/host");
}

/* The database is nobody's enemy, but its bytes are no reason to fail. */
static void a_damaged_list_is_left_out(void **state)
{
    PUSH("a", "1", "zero", "one");
    tell("1", "web1", "1");
    world_sleep(1);
    tell("1", "web2", "0");
    assert_int_equal(transaction_run_alone(world.database,
                                           "UPDATE read_reports SET list = x'00'"
                                           " WHERE host = 'web1'",
                                           NO_VALUES, NULL),
                     1);
    expect("a", "1", READS_OWN, "", "0");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_told_is_given),      CASE(what_is_not_there_is_not_kept),
        CASE(the_next_version_inherits),  CASE(what_it_came_from_may_go),
        CASE(a_copy_has_it_too),          CASE(who_may),
        CASE(a_damaged_list_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
