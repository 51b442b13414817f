/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/error.h"
#include "server/db/apps.h"
#include "server/db/store.h"
#include "server/db/tests/fixture.h"
#include "server/db/transaction.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define THREADS 8

static void the_store_s_id_stays_and_another_is_refused(void **state)
{
    struct store store;
    struct store again;

    assert_int_equal(store_get(DB(state), &store, NULL), 0);
    assert_int_equal(strlen(store.id), 36);
    assert_true(store.is_new);
    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    fixture_reopen(*state);
    assert_int_equal(store_get(DB(state), &again, NULL), 0);
    assert_string_equal(store.id, again.id);
    assert_false(again.is_new);
    assert_int_equal(store_require(DB(state), store.id, NULL), 0);
    assert_int_equal(store_require(DB(state), "00000000-0000-4000-8000-000000000000", NULL),
                     -EBADMSG);
}

static void an_unknown_location_is_refused(void **state)
{
    struct database_options options = fixture_options(*state);
    struct database *database;

    options.location = "oracle:x";
    assert_int_equal(database_open(&options, &database, NULL), -EINVAL);
    options.location = "sqlite";
    assert_int_equal(database_open(&options, &database, NULL), -EINVAL);
}

static void a_check_answers(void **state)
{
    assert_int_equal(database_check(DB(state), NULL), 0);
}

static int insert_then_fail(struct transaction *tx, void *context, struct error *err)
{
    assert_true(transaction_run(tx, "INSERT INTO projects (name, created_at) VALUES ('x', 1)",
                                NO_VALUES, err) >= 0);
    return error_set(err, -ECANCELED, "changed my mind");
}

static void a_failed_transaction_leaves_nothing(void **state)
{
    struct error error = { 0 };

    assert_int_equal(transaction_write(DB(state), insert_then_fail, NULL, &error), -ECANCELED);
    assert_string_equal(error.text, "changed my mind");
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 0);
}

static int write_in_read(struct transaction *tx, void *context, struct error *err)
{
    return transaction_run(tx, "INSERT INTO projects (name, created_at) VALUES ('x', 1)", NO_VALUES,
                           err);
}

static void a_reader_cannot_write(void **state)
{
    assert_int_equal(transaction_read(DB(state), write_in_read, NULL, NULL), -EROFS);
}

struct snapshot {
    struct database *database;
    int64_t before, after;
};

static int count_twice(struct transaction *tx, void *context, struct error *err)
{
    struct snapshot *snapshot = context;
    struct app app;
    static const char count[] = "SELECT count(*) FROM apps";
    int r = transaction_integer(tx, count, NO_VALUES, &snapshot->before, err);

    if (r >= 0)
        r = app_put(snapshot->database, "shop", "new", &actor_host, &app, NULL, err);
    return r < 0 ? r : transaction_integer(tx, count, NO_VALUES, &snapshot->after, err);
}

static void a_reader_sees_one_moment_while_others_write(void **state)
{
    struct snapshot snapshot = { .database = DB(state) };

    assert_int_equal(transaction_read(DB(state), count_twice, &snapshot, NULL), 0);
    assert_int_equal(snapshot.before, snapshot.after);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM apps"), snapshot.before + 1);
}

struct worker {
    struct database *database;
    unsigned index;
    unsigned failures;
};

static void *work(void *context)
{
    struct worker *worker = context;
    char name[16] = "app-a-000";
    struct app app;

    name[4] = (char)('a' + worker->index);
    for (unsigned i = 0; i < 50; i++) {
        name[7] = (char)('0' + i / 10);
        name[8] = (char)('0' + i % 10);
        if (app_put(worker->database, "shop", name, &actor_host, &app, NULL, NULL) != 0 ||
            strcmp(app.name, name) != 0)
            worker->failures++;
        if (transaction_write(worker->database, insert_then_fail, NULL, NULL) != -ECANCELED)
            worker->failures++;
        if (app_get(worker->database, "shop", name, &app, NULL) != 0)
            worker->failures++;
    }
    return NULL;
}

static void eight_threads_lose_nothing_and_share_commits(void **state)
{
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    struct database_counts counts;

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .database = DB(state), .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM apps"), THREADS * 50);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 1);
    database_count(DB(state), &counts);
    assert_true(counts.transactions >= THREADS * 100);
    assert_true(counts.commits < counts.transactions);
}

static void *push_same(void *context)
{
    struct worker *worker = context;
    int64_t number = fixture_push(worker->database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit;
    struct push_result result = { 0 };

    fixture_want_range(worker->database, number, NULL, 0, 20);
    fixture_send_range(worker->database, number, 0, 20);
    commit = fixture_parts(worker->database, number, 1000, "1");
    if (push_commit(worker->database, &commit, &result, NULL) != 0)
        worker->failures++;
    worker->index = result.answer == PUSH_ANSWER_CREATED;
    push_result_release(&result);
    return NULL;
}

static void of_eight_equal_pushes_one_creates(void **state)
{
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned created = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .database = DB(state) };
        assert_int_equal(pthread_create(&threads[i], NULL, push_same, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
        created += workers[i].index;
    }
    assert_int_equal(created, 1);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM versions"), 1);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM blobs"), 23);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM push_blobs"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_store_s_id_stays_and_another_is_refused),
        CASE(an_unknown_location_is_refused),
        CASE(a_check_answers),
        CASE(a_failed_transaction_leaves_nothing),
        CASE(a_reader_cannot_write),
        CASE(a_reader_sees_one_moment_while_others_write),
        CASE(eight_threads_lose_nothing_and_share_commits),
        CASE(of_eight_equal_pushes_one_creates),
    };

    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
