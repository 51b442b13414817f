/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/database.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "tests/support/unit.h"

/*
 * fixture - a fresh database for each test, and the steps that tests share.
 *
 * Tests are written against this header alone; each backend has a fixture_<name>.c,
 * so that the same tests run on all of them. The clock stands until a test moves it.
 */
struct fixture {
    struct database *database;
    char folder[64];
    char location[96];
};

extern int64_t fixture_now;

int fixture_setup(void **state);
int fixture_teardown(void **state);
struct database_options fixture_options(const struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);

#define FIXTURE_TOKEN "tokenAAAAAAA"
#define FIXTURE_OTHER "tokenBBBBBBB"

/* The digest of the n-th imaginary blob. Its size is 1000 + n. */
struct digest fixture_digest(unsigned n);
struct blob_want fixture_want(unsigned n);
void fixture_token(struct database *database, const char *id, const char *project, const char *app);

/* An open push of the fixture's token, of unknown content. */
int64_t fixture_push(struct database *database, const char *project, const char *app,
                     const char *token_id);

/* Ascending wants are looked at together, others one by one. */
enum fixture_order { FIXTURE_ASCENDING, FIXTURE_DESCENDING };
void fixture_wants_sort(struct blob_want *wants, size_t count, enum fixture_order order);

/* Wants blobs first..first+count-1; how many are missing. */
unsigned fixture_want_ordered(struct database *database, int64_t number,
                              const struct blob_scope *scope, unsigned first, unsigned count,
                              enum fixture_order order);
/* The same in ascending order, as a listing's are. */
unsigned fixture_want_range(struct database *database, int64_t number,
                            const struct blob_scope *scope, unsigned first, unsigned count);
void fixture_send(struct database *database, int64_t number, unsigned n);
void fixture_send_range(struct database *database, int64_t number, unsigned first, unsigned count);

/* Listing, times and tree of a push: three more blobs, `content` + 0..2, and the commit's fields.
 */
struct push_commit fixture_parts(struct database *database, int64_t number, unsigned content,
                                 const char *version);

/* The whole way: blobs first..+count-1, parts content..content+2. The version's id. */
int64_t fixture_version(struct database *database, const char *project, const char *app,
                        const char *version, unsigned content, unsigned first, unsigned count);

/* The first integer that a statement gives, through the transaction calls. */
int64_t fixture_integer(struct database *database, const char *sql);
/* 0 or the error of a statement. */
int fixture_run(struct database *database, const char *sql);
