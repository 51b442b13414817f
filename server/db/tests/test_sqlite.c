/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/db/apps.h"
#include "server/db/driver.h"
#include "server/db/migrations.h"
#include "server/db/tests/fixture.h"
#include "server/db/tokens.h"

/* What only the SQLite backend has: files, processes, pragmas, migrations. */
#define DB(state) (((struct fixture *)*(state))->database)

static const char *path_of(const struct fixture *fixture)
{
    return fixture->location + strlen("sqlite:");
}

static int sql(const char *path, const char *text)
{
    sqlite3 *handle;
    int r;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    r = sqlite3_exec(handle, text, NULL, NULL, NULL);
    sqlite3_close(handle);
    return r;
}

static int reopen(struct fixture *fixture, struct error *err)
{
    struct database_options options = fixture_options(fixture);

    options.verify = true;
    fixture->database = database_close(fixture->database);
    return database_open(&options, &fixture->database, err);
}

static void durability_is_as_promised(void **state)
{
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM pragma_journal_mode"
                                                " WHERE journal_mode = 'wal'"),
                     1);
    assert_int_equal(fixture_run(DB(state), "INSERT INTO apps (project_id, name, created_at)"
                                            " VALUES (99, 'x', 1)"),
                     -EBUSY); /* foreign keys */
}

static void nobody_else_reads_the_file(void **state)
{
    struct stat info;

    assert_int_equal(stat(path_of(*state), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void another_program_s_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *database;
    char other[96];
    char location[128];

    snprintf(other, sizeof(other), "%s/other.db", fixture->folder);
    snprintf(location, sizeof(location), "sqlite:%s", other);
    options.location = location;
    assert_int_equal(sql(other, "CREATE TABLE mine (x)"), SQLITE_OK);
    assert_int_equal(database_open(&options, &database, NULL), -EBADMSG);
    assert_int_equal(sql(other, "SELECT x FROM mine"), SQLITE_OK);
    assert_int_equal(sql(other, "SELECT 1 FROM projects"), SQLITE_ERROR); /* nothing was made */
}

static void garbage_is_refused(void **state)
{
    struct fixture *fixture = *state;
    FILE *file;

    fixture->database = database_close(fixture->database);
    file = fopen(path_of(fixture), "r+");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++)
        fputc('x', file);
    fclose(file);
    assert_int_equal(reopen(fixture, NULL), -EBADMSG);
}

static void a_damaged_page_is_found_when_asked(void **state)
{
    struct fixture *fixture = *state;
    FILE *file;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 200);
    fixture->database = database_close(fixture->database);
    file = fopen(path_of(fixture), "r+");
    assert_non_null(file);
    fseek(file, 8 * 4096, SEEK_SET);
    for (int i = 0; i < 4096 * 4; i++)
        fputc(0xff, file);
    fclose(file);
    assert_int_equal(reopen(fixture, NULL), -EBADMSG);
}

static void an_absent_file_is_not_made_unasked(void **state)
{
    struct database_options options = fixture_options(*state);
    struct database *database;

    options.location = "sqlite:/tmp/no-such-folder-of-kk/x.db";
    assert_int_equal(database_open(&options, &database, NULL), -ENOENT);
    options.location = "sqlite:/tmp/kk-no-such-file.db";
    options.create = false;
    assert_int_equal(database_open(&options, &database, NULL), -ENOENT);
    assert_int_not_equal(access("/tmp/kk-no-such-file.db", F_OK), 0);
}

static void a_changed_migration_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_int_equal(sql(path_of(fixture), "UPDATE schema_migrations SET checksum = zeroblob(32)"),
                     SQLITE_OK);
    assert_int_equal(reopen(fixture, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "migration 1"));
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_int_equal(sql(path_of(fixture), "INSERT INTO schema_migrations"
                                           " VALUES (99, 'future', zeroblob(32), 1)"),
                     SQLITE_OK);
    assert_int_equal(reopen(fixture, &error), -ENOTSUP);
}

static void without_migrate_an_older_schema_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *database;
    char location[128];

    options.migrate = false;
    assert_int_equal(database_open(&options, &database, NULL), 0); /* up to date */
    database_close(database);
    snprintf(location, sizeof(location), "sqlite:%s/new.db", fixture->folder);
    options.location = location;
    assert_int_equal(database_open(&options, &database, NULL), -EBADMSG);
}

static void migrations_are_numbered_from_one(void **state)
{
    for (int i = 0; migrations_sqlite[i].number != 0; i++) {
        struct digest checksum = digest_of_span(span_text(migrations_sqlite[i].text));

        assert_int_equal(migrations_sqlite[i].number, i + 1);
        assert_true(digest_equal(&checksum, &migrations_sqlite[i].checksum));
    }
}

/* In a child: many committed transactions, told through a pipe, one after the other. */
static void write_until_killed(struct fixture *fixture, int pipe_fd)
{
    struct database_options options = fixture_options(fixture);
    struct database *database;
    struct app app;
    char name[32];

    if (database_open(&options, &database, NULL) < 0)
        _exit(1);
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof(name), "app-%u", i);
        if (app_put(database, "crash", name, &actor_host, &app, NULL, NULL) < 0 ||
            write(pipe_fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(1);
    }
}

static void what_was_committed_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    unsigned told = 0;
    unsigned at;
    int pipes[2];
    pid_t child;

    fixture->database = database_close(fixture->database); /* no thread is lost by the fork */
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    if (child == 0)
        write_until_killed(fixture, pipes[1]);
    close(pipes[1]);
    while (told < 40 && read(pipes[0], &at, sizeof(at)) == (ssize_t)sizeof(at))
        told = at + 1;
    kill(child, SIGKILL);
    while (read(pipes[0], &at, sizeof(at)) == (ssize_t)sizeof(at))
        told = at + 1;
    close(pipes[0]);
    waitpid(child, NULL, 0);
    assert_true(told >= 40);
    assert_int_equal(reopen(fixture, NULL), 0);
    assert_in_range(fixture_integer(DB(state), "SELECT count(*) FROM apps"), told, told + 1);
    assert_int_equal(fixture_integer(DB(state),
                                     "SELECT count(*) FROM events WHERE type = 'app.created'"),
                     fixture_integer(DB(state), "SELECT count(*) FROM apps"));
}

static int die_inside(struct transaction *tx, void *context, struct error *err)
{
    (void)transaction_run(tx, "INSERT INTO projects (name, created_at) VALUES ('half', 1)",
                          NO_VALUES, err);
    kill(getpid(), SIGKILL);
    return 0;
}

static void half_a_transaction_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *database;
    int status;
    pid_t child;

    fixture->database = database_close(fixture->database);
    child = fork();
    if (child == 0) {
        if (database_open(&options, &database, NULL) == 0)
            (void)transaction_write(database, die_inside, NULL, NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(reopen(fixture, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 0);
}

static void another_process_moves_the_epoch(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *other;
    uint64_t before = database_epoch(DB(state));

    /* A second handle maps the file anew, as another process does. */
    assert_int_equal(database_open(&options, &other, NULL), 0);
    assert_int_equal(token_revoke(other, FIXTURE_TOKEN, &actor_host, NULL), 0);
    database_close(other);
    assert_true(database_epoch(DB(state)) > before);
}

static void another_process_moves_the_epoch_of_versions(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *other;
    int64_t id = fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    uint64_t tokens = database_epoch(DB(state));
    uint64_t before = database_version_epoch(DB(state));

    assert_int_equal(database_open(&options, &other, NULL), 0);
    assert_int_equal(version_trash(other, id, &actor_host, NULL, false, NULL, NULL), 0);
    database_close(other);
    assert_true(database_version_epoch(DB(state)) > before);
    assert_true(database_epoch(DB(state)) == tokens);
}

static void two_processes_write_in_turn(void **state)
{
    struct fixture *fixture = *state;
    struct database_options options = fixture_options(fixture);
    struct database *other;
    struct app app;

    assert_int_equal(database_open(&options, &other, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(app_put(i % 2 == 0 ? other : DB(state), "p", "a", &actor_host, &app, NULL,
                                 NULL),
                         0);
        assert_true(fixture_run(i % 2 == 0 ? DB(state) : other, "DELETE FROM apps") >= 0);
    }
    database_close(other);
}

static void in_memory_it_works_too(void **state)
{
    struct database_options options = {
        .location = "sqlite::memory:", .create = true, .migrate = true
    };
    struct database *database;

    assert_int_equal(database_open(&options, &database, NULL), 0);
    fixture_token(database, FIXTURE_TOKEN, NULL, NULL);
    fixture_version(database, "shop", "api", "1", 1000, 0, 100);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM version_blobs"), 103);
    database_close(database);
}

static int open_and_close(struct fixture *fixture)
{
    struct database_options options = fixture_options(fixture);
    struct database *database = NULL;
    int r = database_open(&options, &database, NULL);

    database_close(database);
    return r;
}

static void opening_survives_no_memory(void **state)
{
    assert_survives_no_memory(open_and_close(*state));
}

static int whole_push(struct database *database)
{
    struct push_opening opening = {
        .project = "shop", .app = "api", .token_id = FIXTURE_TOKEN, .metadata = "{}", .base = "1"
    };
    struct blob_scope scope = { .token_id = FIXTURE_TOKEN };
    struct blob_want want = fixture_want(5);
    struct push_result result = { 0 };
    struct project *projects = NULL;
    bool missing;
    size_t count;
    int r = push_open(database, &opening, &result, NULL);

    if (r >= 0)
        r = push_blobs_want(database, result.push.number, &scope, &want, 1, &missing, NULL);
    if (r >= 0)
        r = push_abandon(database, result.push.number, NULL);
    push_result_release(&result);
    if (r >= 0)
        r = project_list(database, NULL, NULL, 10, &projects, &count, NULL);
    memory_free(projects);
    return r < 0 ? r : 0;
}

static void a_push_survives_no_memory(void **state)
{
    assert_survives_no_memory(whole_push(DB(state)));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(durability_is_as_promised),
        CASE(nobody_else_reads_the_file),
        CASE(another_program_s_database_is_refused),
        CASE(garbage_is_refused),
        CASE(a_damaged_page_is_found_when_asked),
        CASE(an_absent_file_is_not_made_unasked),
        CASE(a_changed_migration_is_refused),
        CASE(a_newer_schema_is_refused),
        CASE(without_migrate_an_older_schema_is_told),
        CASE(migrations_are_numbered_from_one),
        CASE(what_was_committed_survives_a_kill),
        CASE(half_a_transaction_is_none),
        CASE(another_process_moves_the_epoch),
        CASE(another_process_moves_the_epoch_of_versions),
        CASE(two_processes_write_in_turn),
        CASE(in_memory_it_works_too),
        CASE(opening_survives_no_memory),
        CASE(a_push_survives_no_memory),
    };

    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
