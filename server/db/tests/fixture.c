/* SPDX-License-Identifier: MIT */
#include "server/db/tests/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "server/db/tokens.h"
#include "server/db/transaction.h"

int64_t fixture_now = 1700000000;

struct digest fixture_digest(unsigned n)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "blob %u", n);

    return digest_of(text, (size_t)size);
}

struct blob_want fixture_want(unsigned n)
{
    return (struct blob_want){ .sha256 = fixture_digest(n), .size = 1000 + n };
}

void fixture_token(struct database *database, const char *id, const char *project, const char *app)
{
    struct token token = { .hash = "x", .name = "ci", .permissions = 3 };

    memcpy(token.id, id, sizeof(token.id));
    if (project != NULL)
        memcpy(token.project, project, strlen(project) + 1);
    if (app != NULL)
        memcpy(token.app, app, strlen(app) + 1);
    assert_int_equal(token_create(database, &token, &actor_host, NULL), 0);
}

int64_t fixture_push(struct database *database, const char *project, const char *app,
                     const char *token_id)
{
    struct push_opening opening = {
        .project = project, .app = app, .token_id = token_id, .by = { .name = "ci" }
    };
    struct push_result result = { 0 };
    int64_t number;

    assert_int_equal(push_open(database, &opening, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_OPENED);
    number = result.push.number;
    push_result_release(&result);
    return number;
}

static int compare_wants(const void *a, const void *b)
{
    const struct blob_want *left = a, *right = b;

    return digest_compare(&left->sha256, &right->sha256);
}

static int compare_backwards(const void *a, const void *b)
{
    return compare_wants(b, a);
}

void fixture_wants_sort(struct blob_want *wants, size_t count, enum fixture_order order)
{
    qsort(wants, count, sizeof(*wants),
          order == FIXTURE_ASCENDING ? compare_wants : compare_backwards);
}

unsigned fixture_want_range(struct database *database, int64_t number,
                            const struct blob_scope *scope, unsigned first, unsigned count)
{
    return fixture_want_ordered(database, number, scope, first, count, FIXTURE_ASCENDING);
}

unsigned fixture_want_ordered(struct database *database, int64_t number,
                              const struct blob_scope *scope, unsigned first, unsigned count,
                              enum fixture_order order)
{
    static const struct blob_scope everything = { .token_id = FIXTURE_TOKEN };
    struct blob_want *wants = memory_array(count, sizeof(*wants));
    bool *missing = memory_array(count, sizeof(*missing));
    struct error error = { 0 };
    unsigned missing_count = 0;
    int r;

    for (unsigned i = 0; i < count; i++)
        wants[i] = fixture_want(first + i);
    fixture_wants_sort(wants, count, order);
    r = push_blobs_want(database, number, scope == NULL ? &everything : scope, wants, count,
                        missing, &error);
    if (r < 0)
        print_error("%s\n", error.text);
    assert_int_equal(r, 0);
    for (unsigned i = 0; i < count; i++)
        missing_count += missing[i];
    memory_free(wants);
    memory_free(missing);
    return missing_count;
}

void fixture_send(struct database *database, int64_t number, unsigned n)
{
    fixture_send_range(database, number, n, 1);
}

void fixture_send_range(struct database *database, int64_t number, unsigned first, unsigned count)
{
    struct blob_done *done = memory_array(count, sizeof(*done));
    struct error error = { 0 };
    int r;

    for (unsigned i = 0; i < count; i++)
        done[i] =
            (struct blob_done){ fixture_digest(first + i), fixture_digest(first + i + 500000) };
    r = push_blobs_done(database, number, done, count, &error);
    if (r < 0)
        print_error("%s\n", error.text);
    assert_int_equal(r, 0);
    memory_free(done);
}

struct push_commit fixture_parts(struct database *database, int64_t number, unsigned content,
                                 const char *version)
{
    struct push_commit commit = { .number = number,
                                  .version = version,
                                  .tree_size = 8192,
                                  .file_count = 1,
                                  .bytes = 1,
                                  .by = { .name = "ci", .token_id = FIXTURE_TOKEN } };

    fixture_want_range(database, number, NULL, content, 3);
    fixture_send_range(database, number, content, 3);
    commit.content = fixture_digest(content);
    commit.times = fixture_digest(content + 1);
    commit.tree = fixture_digest(content + 2);
    assert_int_equal(push_part_set(database, number, PUSH_PART_LISTING, &commit.content, NULL), 0);
    assert_int_equal(push_part_set(database, number, PUSH_PART_TIMES, &commit.times, NULL), 0);
    assert_int_equal(push_part_set(database, number, PUSH_PART_TREE, &commit.tree, NULL), 0);
    return commit;
}

int64_t fixture_version(struct database *database, const char *project, const char *app,
                        const char *version, unsigned content, unsigned first, unsigned count)
{
    int64_t number = fixture_push(database, project, app, FIXTURE_TOKEN);
    struct push_result result = { 0 };
    struct push_commit commit;
    int64_t id;

    fixture_want_range(database, number, NULL, first, count);
    fixture_send_range(database, number, first, count);
    commit = fixture_parts(database, number, content, version);
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    id = result.version.id;
    push_result_release(&result);
    return id;
}

struct statement {
    const char *sql;
    int64_t integer;
};

static int integer_get(struct transaction *tx, void *context, struct error *err)
{
    struct statement *statement = context;

    return transaction_integer(tx, statement->sql, NO_VALUES, &statement->integer, err);
}

int64_t fixture_integer(struct database *database, const char *sql)
{
    struct statement statement = { .sql = sql };

    assert_int_equal(transaction_read(database, integer_get, &statement, NULL), 0);
    return statement.integer;
}

static int statement_run(struct transaction *tx, void *context, struct error *err)
{
    return transaction_run(tx, context, NO_VALUES, err);
}

int fixture_run(struct database *database, const char *sql)
{
    return transaction_write(database, statement_run, (void *)(uintptr_t)sql, NULL);
}
