/* SPDX-License-Identifier: MIT */
#include "agent/cli/build_facts.h"

#include <errno.h>
#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/record.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER "ffffffffffffffffffffffffffffffffffffffff"

static char *no_variables(const char *name)
{
    return NULL;
}

static char *of_table(const char *const (*table)[2], const char *name)
{
    for (; (*table)[0] != NULL; table++) {
        if (strcmp((*table)[0], name) == 0)
            return (char *)(uintptr_t)(*table)[1];
    }
    return NULL;
}

static char *github(const char *name)
{
    static const char *const table[][2] = {
        { "GITHUB_SHA", OTHER },
        { "GITHUB_REF", "refs/heads/x" },
        { "GITHUB_SERVER_URL", "https://git.example" },
        { "GITHUB_REPOSITORY", "o/r" },
        { "GITHUB_RUN_ID", "7" },
        { "SOURCE_DATE_EPOCH", "1700000000" },
        { "KKARTIFACT_BUILDER", "me" },
        { NULL, NULL },
    };

    return of_table(table, name);
}

static char *wrong(const char *name)
{
    static const char *const table[][2] = { { "KKARTIFACT_BUILD_TIME", "yesterday" },
                                            { NULL, NULL } };

    return of_table(table, name);
}

static void put_repository(struct place *place)
{
    place_put(place, ".git/HEAD", "ref: refs/heads/main\n");
    place_put(place, ".git/refs/heads/main", COMMIT "\n");
    place_put(place, ".git/config",
              "[core]\n\tbare = false\n[remote \"origin\"]\n"
              "\turl = https://user:secret@git.example/o/r\n");
    place_put(place, "sub/deep/f", "x");
}

static void of_the_repository_above(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(record_release) struct record record;

    record_init(&record);
    put_repository(place);
    buf_format(&path, "%s/sub/deep", place->path);
    assert_int_equal(build_facts_find(buf_text(&path), no_variables, &record, NULL), 0);
    assert_string_equal(record.git_commit, COMMIT);
    assert_string_equal(record.git_ref, "refs/heads/main");
    assert_string_equal(record.vcs_url, "https://git.example/o/r");
    assert_non_null(record.builder);
    assert_true(record.has_build_time);
    assert_null(record.build_url);
}

static void packed_refs(void **state)
{
    struct place *place = *state;
    cleanup(record_release) struct record record;

    record_init(&record);
    place_put(place, ".git/HEAD", "ref: refs/heads/main\n");
    place_put(place, ".git/packed-refs",
              "# pack-refs with: peeled\n" OTHER " refs/heads/other\n" COMMIT
              " refs/heads/main\n^" OTHER "\n");
    assert_int_equal(build_facts_find(place->path, no_variables, &record, NULL), 0);
    assert_string_equal(record.git_commit, COMMIT);
}

static void the_environment_wins(void **state)
{
    struct place *place = *state;
    cleanup(record_release) struct record record;

    record_init(&record);
    put_repository(place);
    assert_int_equal(build_facts_find(place->path, github, &record, NULL), 0);
    assert_string_equal(record.git_commit, OTHER);
    assert_string_equal(record.vcs_url, "https://git.example/o/r");
    assert_string_equal(record.build_url, "https://git.example/o/r/actions/runs/7");
    assert_string_equal(record.builder, "me");
    assert_int_equal(record.build_time_s, 1700000000);
}

static void what_was_given_has_to_be_right(void **state)
{
    struct place *place = *state;
    cleanup(record_release) struct record record;
    struct error err;

    record_init(&record);
    assert_int_equal(build_facts_find(place->path, wrong, &record, &err), -EINVAL);
    assert_non_null(strstr(err.text, "KKARTIFACT_BUILD_TIME"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(of_the_repository_above),
        IN_A_PLACE(packed_refs),
        IN_A_PLACE(the_environment_wins),
        IN_A_PLACE(what_was_given_has_to_be_right),
    };

    return cmocka_run_group_tests_name("build_facts", tests, NULL, NULL);
}
