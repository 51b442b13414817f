/* SPDX-License-Identifier: MIT */
/* "Have" against the sweep: two servers of one database, each with a writer of its own. One pushes
 * what the other takes away, in every order, and at every statement. Whatever the order, the push
 * ends in a version that has all its bytes, or has left nothing behind; what nothing refers to
 * goes.
 *
 * A write begins with the lock of the whole file, so that no order is finer than that of
 * transactions: proved here for each statement, by somebody who would begin there and is told that
 * it is busy. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/memory.h"
#include "server/db/driver.h"
#include "server/db/purge.h"
#include "server/db/sqlite_connection.h"
#include "server/db/sweep.h"
#include "server/db/tests/fixture.h"
#include "server/db/tombstones.h"

#define BLOBS 3    /* of both versions */
#define OLD 1000   /* listing, times and tree of the one that is purged */
#define NEW 2000   /* of the one that is pushed */
#define OBJECTS 24 /* more than there ever are */

/* ------------------------------------------------------------ two servers */

struct scene {
    struct fixture *fixture;
    struct database *pusher, *sweeper; /* the first is the fixture's */
    int64_t old_id, push;
    unsigned missing;
    char removed[OBJECTS][BLOB_STORAGE_KEY_SIZE]; /* objects that are away from the store */
    size_t removed_count;
};

static void scene_open(struct scene *scene, void **state)
{
    struct database_options options;

    fixture_teardown(state);
    assert_int_equal(fixture_setup(state), 0);
    *scene = (struct scene){ .fixture = *state };
    scene->pusher = scene->fixture->database;
    options = fixture_options(scene->fixture);
    assert_int_equal(database_open(&options, &scene->sweeper, NULL), 0);
    scene->old_id = fixture_version(scene->pusher, "shop", "api", "old", OLD, 0, BLOBS);
    assert_int_equal(version_trash(scene->sweeper, scene->old_id, &actor_host, NULL, true, NULL,
                                   NULL),
                     0);
    scene->push = fixture_push(scene->pusher, "shop", "api", FIXTURE_TOKEN);
}

static void scene_close(struct scene *scene)
{
    scene->sweeper = database_close(scene->sweeper);
}

/* ------------------------------------------------------------ what they do */

static void have(struct scene *scene)
{
    scene->missing = fixture_want_range(scene->pusher, scene->push, NULL, 0, BLOBS);
    assert_true(scene->missing == 0 || scene->missing == BLOBS);
}

static void send(struct scene *scene)
{
    if (scene->missing > 0)
        fixture_send_range(scene->pusher, scene->push, 0, BLOBS);
}

static void commit(struct scene *scene)
{
    const struct push_commit commit = fixture_parts(scene->pusher, scene->push, NEW, "new");
    struct push_result result = { 0 };

    assert_int_equal(push_commit(scene->pusher, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    push_result_release(&result);
}

static void abandon(struct scene *scene)
{
    assert_int_equal(push_abandon(scene->pusher, scene->push, NULL), 0);
}

static void purge(struct scene *scene)
{
    assert_int_equal(version_purge(scene->sweeper, scene->old_id, INT64_MAX, &actor_host, NULL), 0);
}

static void mark(struct scene *scene)
{
    struct sweep_batch batch;

    assert_int_equal(sweep_mark(scene->sweeper, 0, 0, 1000, &batch, NULL), 0);
}

/* The grace is over at once: the worst of all clocks. */
static void delete (struct scene *scene)
{
    struct sweep_batch batch;

    assert_int_equal(sweep_delete(scene->sweeper, 0, 1000, &batch, NULL), 0);
}

static void clear(struct scene *scene)
{
    struct tombstone *items;
    size_t count;

    assert_int_equal(tombstone_list(scene->sweeper, OBJECTS, &items, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(scene->removed_count < OBJECTS);
        memcpy(scene->removed[scene->removed_count++], items[i].key, sizeof(items[i].key));
        assert_int_equal(tombstone_done(scene->sweeper, items[i].key, NULL), 0);
    }
    memory_free(items);
}

typedef void act(struct scene *scene);

/* Each side's acts, one behind the other. */
static act *const pushing[] = { have, send, commit };
static act *const giving_up[] = { have, send, abandon };
static act *const sweeping[] = { purge, mark, delete, clear };
#define PUSHING 3
#define SWEEPING 4

/* ------------------------------------------------------------ what must be so */

static void check_no_key_is_lost(const struct scene *scene)
{
    char sql[160];

    for (size_t i = 0; i < scene->removed_count; i++) {
        snprintf(sql, sizeof(sql), "SELECT count(*) FROM blobs WHERE storage_key = '%s'",
                 scene->removed[i]);
        assert_int_equal(fixture_integer(scene->pusher, sql), 0);
    }
    assert_int_equal(fixture_integer(scene->pusher, "SELECT count(*) FROM tombstones t JOIN blobs b"
                                                    " ON b.storage_key = t.storage_key"),
                     0);
}

/* After all acts: the new version and its blobs, or nothing; and still so behind two more runs. */
static void check_end(struct scene *scene, bool pushed)
{
    const int64_t blobs = pushed ? BLOBS + 3 : 0;

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fixture_integer(scene->pusher,
                                         "SELECT count(*) FROM version_blobs e JOIN blobs b"
                                         " ON b.id = e.blob_id WHERE b.state = 'live'"),
                         blobs);
        check_no_key_is_lost(scene);
        mark(scene);
        delete (scene);
        clear(scene);
    }
    assert_int_equal(fixture_integer(scene->pusher, "SELECT count(*) FROM blobs"), blobs);
    assert_int_equal(fixture_integer(scene->pusher, "SELECT count(*) FROM gc_candidates"), 0);
    assert_int_equal(fixture_integer(scene->pusher, "SELECT count(*) FROM tombstones"), 0);
}

/* ------------------------------------------------------------ every order of the acts */

/* Bit i of `order` set: the i-th act is the pusher's. */
static void run_order(struct scene *scene, act *const *push, unsigned order)
{
    size_t pushed = 0, swept = 0;

    for (unsigned i = 0; i < PUSHING + SWEEPING; i++) {
        if ((order >> i & 1) != 0)
            push[pushed++](scene);
        else
            sweeping[swept++](scene);
        check_no_key_is_lost(scene);
    }
}

static void in_every_order(void **state)
{
    struct scene scene;
    unsigned orders = 0, held = 0;

    for (unsigned order = 0; order < 1u << (PUSHING + SWEEPING); order++) {
        if (__builtin_popcount(order) != PUSHING)
            continue;
        for (unsigned pushed = 0; pushed < 2; pushed++) {
            scene_open(&scene, state);
            run_order(&scene, pushed != 0 ? pushing : giving_up, order);
            held += scene.missing == 0;
            check_end(&scene, pushed != 0);
            scene_close(&scene);
        }
        orders++;
    }
    assert_int_equal(orders, 35);
    /* Those in which the pusher asks before the purge, and no others. */
    assert_int_equal(held, 2 * 15);
}

/* ------------------------------------------------------------ at every statement */

/* Between the statements of a write of one server. */
struct between {
    void (*look)(struct between *between);
    int64_t statements; /* of writes so far */
    int64_t at;         /* look() only before that one; -1: before each */
    sqlite3 *other;     /* a third connection, which does not wait */
    unsigned failures;
    char before[512]; /* what the others see until the commit */
    struct scene *scene;
    act *second;
    pthread_t thread;
    bool started;
    atomic_bool second_waits;
};

static struct between between;

static void step(struct transaction *tx)
{
    const struct sqlite_connection *connection = tx->state;

    if (sqlite3_txn_state(connection->handle, "main") != SQLITE_TXN_WRITE &&
        sqlite3_get_autocommit(connection->handle) != 0)
        return;
    if (between.at < 0 || between.at == between.statements)
        between.look(&between);
    between.statements++;
}

static int step_run(struct transaction *tx, const char *sql, const struct value *values,
                    size_t count, struct error *err)
{
    step(tx);
    return driver_sqlite.run(tx, sql, values, count, err);
}

static int step_run_many(struct transaction *tx, const char *sql, size_t row_count,
                         size_t value_count, transaction_fill *fill, void *context,
                         struct error *err)
{
    step(tx);
    return driver_sqlite.run_many(tx, sql, row_count, value_count, fill, context, err);
}

static int step_query(struct transaction *tx, const char *sql, const struct value *values,
                      size_t count, struct rows *out_rows, struct error *err)
{
    step(tx);
    return driver_sqlite.query(tx, sql, values, count, out_rows, err);
}

/* From here on each statement of that server is stepped over. */
static void step_through(struct database *database)
{
    static struct driver stepping;

    stepping = driver_sqlite;
    stepping.run = step_run;
    stepping.run_many = step_run_many;
    stepping.query = step_query;
    database->driver = &stepping;
}

static void step_freely(struct database *database)
{
    database->driver = &driver_sqlite;
}

static void read_all(sqlite3 *other, char *out, size_t size)
{
    sqlite3_stmt *statement = NULL;

    out[0] = '\0';
    if (sqlite3_prepare_v2(other,
                           "SELECT (SELECT group_concat(id || state) FROM blobs)"
                           " || '/' || (SELECT count(*) FROM push_blobs) || '/' ||"
                           " (SELECT count(*) FROM gc_candidates) || '/' ||"
                           " (SELECT count(*) FROM tombstones) || '/' ||"
                           " (SELECT count(*) FROM versions)",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0) != NULL)
        snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
}

/* Nobody else can begin, and nobody sees anything of it. */
static void look_from_outside(struct between *self)
{
    char now[sizeof(self->before)];
    const int r = sqlite3_exec(self->other, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (r == SQLITE_OK)
        sqlite3_exec(self->other, "ROLLBACK", NULL, NULL, NULL);
    read_all(self->other, now, sizeof(now));
    self->failures += r != SQLITE_BUSY || strcmp(now, self->before) != 0;
}

static void outside_open(struct scene *scene)
{
    assert_int_equal(sqlite3_open(strchr(scene->fixture->location, ':') + 1, &between.other),
                     SQLITE_OK);
    sqlite3_busy_timeout(between.other, 0);
}

/* The acts that are one transaction: those that are several show the first one's work to the
 * second. */
static void a_write_is_alone_and_unseen_at_each_statement(void **state)
{
    static const struct {
        act *before[3], *act;
        bool of_the_pusher;
    } cases[] = {
        { { NULL }, have, true },
        { { purge }, have, true },
        { { purge, mark }, have, true },
        { { purge, mark, have }, send, true },
        { { have }, abandon, true },
        { { NULL }, purge, false },
        { { have }, purge, false },
        { { purge }, mark, false },
        { { have, purge }, mark, false },
        { { purge, mark }, delete, false },
        { { purge, mark, have }, delete, false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene scene;
        struct database *database;

        scene_open(&scene, state);
        for (size_t k = 0; k < 3 && cases[i].before[k] != NULL; k++)
            cases[i].before[k](&scene);
        between = (struct between){ .look = look_from_outside, .at = -1 };
        outside_open(&scene);
        read_all(between.other, between.before, sizeof(between.before));
        assert_string_not_equal(between.before, "");
        database = cases[i].of_the_pusher ? scene.pusher : scene.sweeper;
        step_through(database);
        cases[i].act(&scene);
        step_freely(database);
        if (between.failures > 0)
            print_error("case %zu: %u of %lld\n", i, between.failures,
                        (long long)between.statements);
        assert_int_equal(between.failures, 0);
        assert_true(between.statements > 1);
        sqlite3_close(between.other);
        scene_close(&scene);
    }
}

/* ------------------------------------------------------------ one that waits for the other */

/* The second server has tried to begin, and was told that it is busy. */
static int on_busy(void *context, int count)
{
    const struct timespec wait = { .tv_nsec = 1000000 };

    atomic_store(&between.second_waits, true);
    nanosleep(&wait, NULL);
    return 1;
}

static int set_busy_handler(struct transaction *tx, void *context, struct error *err)
{
    const struct sqlite_connection *connection = tx->state;

    return sqlite3_busy_handler(connection->handle, on_busy, NULL) == SQLITE_OK ? 0 : -EIO;
}

static void *run_second(void *context)
{
    between.second(between.scene);
    return NULL;
}

/* The second begins here; the first goes on when the second has been refused, or is not. */
static void begin_second(struct between *self)
{
    const struct timespec wait = { .tv_nsec = 1000000 };

    self->started = pthread_create(&self->thread, NULL, run_second, NULL) == 0;
    for (unsigned i = 0; i < 60000 && self->started && !atomic_load(&self->second_waits); i++)
        nanosleep(&wait, NULL);
    self->failures += self->started && !atomic_load(&self->second_waits);
}

/* Where two acts meet: what each has done before, and who of them did it first. */
struct meeting {
    size_t pushed, swept;
    bool swept_before, pusher_first;
};

static void go_there(struct scene *scene, const struct meeting *meeting)
{
    for (size_t i = 0; meeting->swept_before && i < meeting->swept; i++)
        sweeping[i](scene);
    for (size_t i = 0; i < meeting->pushed; i++)
        pushing[i](scene);
    for (size_t i = 0; !meeting->swept_before && i < meeting->swept; i++)
        sweeping[i](scene);
}

static void go_on(struct scene *scene, const struct meeting *meeting)
{
    for (size_t i = meeting->pushed + 1; i < PUSHING; i++)
        pushing[i](scene);
    for (size_t i = meeting->swept + 1; i < SWEEPING; i++)
        sweeping[i](scene);
    check_end(scene, true);
}

/* The next act of each meet, the second at the statement `at` of the first. False: the first has no
 * such statement, or one of them has nothing to write. */
static bool meet(void **state, const struct meeting *meeting, int64_t at)
{
    act *const push = pushing[meeting->pushed], *const sweep = sweeping[meeting->swept];
    struct scene scene;
    struct database *first, *second;

    scene_open(&scene, state);
    first = meeting->pusher_first ? scene.pusher : scene.sweeper;
    second = meeting->pusher_first ? scene.sweeper : scene.pusher;
    go_there(&scene, meeting);
    assert_int_equal(transaction_write(second, set_busy_handler, NULL, NULL), 0);
    between = (struct between){ .look = begin_second,
                                .at = at,
                                .scene = &scene,
                                .second = meeting->pusher_first ? sweep : push };
    if (push != send || scene.missing > 0) {
        step_through(first);
        (meeting->pusher_first ? push : sweep)(&scene);
        step_freely(first);
    }
    if (between.started) {
        pthread_join(between.thread, NULL);
        assert_int_equal(between.failures, 0);
        check_no_key_is_lost(&scene);
        go_on(&scene, meeting);
    }
    scene_close(&scene);
    return between.started;
}

static void where_two_meet_the_later_finds_what_the_first_did(void **state)
{
    unsigned met = 0;

    /* Clearing tombstones is not among them: without any it writes nothing. */
    for (unsigned i = 0; i < PUSHING * (SWEEPING - 1) * 4; i++) {
        const struct meeting meeting = { .pushed = i / 4 % PUSHING,
                                         .swept = i / 4 / PUSHING,
                                         .swept_before = (i & 1) != 0,
                                         .pusher_first = (i & 2) != 0 };

        /* A commit is several writes, and has many statements: some of them. */
        for (int64_t at = 0; meet(state, &meeting, at);
             at += meeting.pusher_first && pushing[meeting.pushed] == commit ? 5 : 1)
            met++;
    }
    assert_true(met > 100);
}

/* ------------------------------------------------------------ one that waits too long */

static int set_no_patience(struct transaction *tx, void *context, struct error *err)
{
    const struct sqlite_connection *connection = tx->state;

    return sqlite3_busy_timeout(connection->handle, 0) == SQLITE_OK ? 0 : -EIO;
}

static void one_that_waits_too_long_changes_nothing(void **state)
{
    const struct blob_scope scope = { .token_id = FIXTURE_TOKEN };
    const struct blob_want want = fixture_want(0);
    char after[sizeof(between.before)];
    struct sweep_batch batch;
    struct scene scene;
    bool missing;

    scene_open(&scene, state);
    purge(&scene);
    mark(&scene);
    assert_int_equal(transaction_write(scene.pusher, set_no_patience, NULL, NULL), 0);
    assert_int_equal(transaction_write(scene.sweeper, set_no_patience, NULL, NULL), 0);
    outside_open(&scene);
    read_all(between.other, between.before, sizeof(between.before));
    assert_int_equal(sqlite3_exec(between.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(push_blobs_want(scene.pusher, scene.push, &scope, &want, 1, &missing, NULL),
                     -EAGAIN);
    assert_int_equal(sweep_mark(scene.sweeper, 0, 0, 1000, &batch, NULL), -EAGAIN);
    assert_int_equal(sweep_delete(scene.sweeper, 0, 1000, &batch, NULL), -EAGAIN);
    assert_int_equal(push_abandon(scene.pusher, scene.push, NULL), -EAGAIN);
    read_all(between.other, after, sizeof(after));
    assert_string_equal(after, between.before);
    assert_int_equal(sqlite3_exec(between.other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(between.other);
    have(&scene);
    send(&scene);
    commit(&scene);
    check_end(&scene, true);
    scene_close(&scene);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(in_every_order),
        CASE(a_write_is_alone_and_unseen_at_each_statement),
        CASE(where_two_meet_the_later_finds_what_the_first_did),
        CASE(one_that_waits_too_long_changes_nothing),
    };

    return cmocka_run_group_tests_name("have and sweep", tests, NULL, NULL);
}
