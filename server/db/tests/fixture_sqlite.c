/* SPDX-License-Identifier: MIT */
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/db/tests/fixture.h"

static int64_t now_s(void)
{
    return fixture_now;
}

struct database_options fixture_options(const struct fixture *fixture)
{
    return (struct database_options){
        .location = fixture->location, .create = true, .migrate = true, .now_s = now_s
    };
}

static void open_database(struct fixture *fixture)
{
    struct database_options options = fixture_options(fixture);
    struct error error = { 0 };

    if (database_open(&options, &fixture->database, &error) < 0)
        fail_msg("%s", error.text);
}

void fixture_reopen(struct fixture *fixture)
{
    fixture->database = database_close(fixture->database);
    open_database(fixture);
}

int fixture_setup(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){ .folder = "/tmp/kkdb-XXXXXX" };
    assert_non_null(mkdtemp(fixture.folder));
    snprintf(fixture.location, sizeof(fixture.location), "sqlite:%s/kk.db", fixture.folder);
    fixture_now = 1700000000;
    open_database(&fixture);
    fixture_token(fixture.database, FIXTURE_TOKEN, NULL, NULL);
    fixture_token(fixture.database, FIXTURE_OTHER, NULL, NULL);
    *state = &fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    return remove(path);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    fixture->database = database_close(fixture->database);
    return nftw(fixture->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
