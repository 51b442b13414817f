/* SPDX-License-Identifier: MIT */
#include "fs/ids/ids.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(ids, ids_close);

static const struct digest tree_one = { { 1 } }, tree_two = { { 2 } };

static void nodes_go_both_ways(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct ids_place place;
    uint64_t project = 0, app = 0, again = 0;
    uint32_t slot = 0, other = 0;

    assert_int_equal(ids_open(NULL, "store", &ids, NULL), 0);
    assert_int_equal(ids_find(ids, IDS_ROOT, &place, NULL), 0);
    assert_int_equal(place.kind, IDS_IS_ROOT);
    assert_int_equal(ids_above(ids, "p", NULL, &project, NULL), 0);
    assert_int_equal(ids_above(ids, "p", "a", &app, NULL), 0);
    assert_int_equal(ids_above(ids, "p", "a", &again, NULL), 0);
    assert_int_equal(app, again);
    assert_true(project != app && project != IDS_ROOT);
    assert_int_equal(ids_find(ids, project, &place, NULL), 0);
    assert_int_equal(place.kind, IDS_IS_PROJECT);
    assert_string_equal(place.project, "p");
    assert_int_equal(ids_find(ids, app, &place, NULL), 0);
    assert_int_equal(place.kind, IDS_IS_APP);
    assert_string_equal(place.app, "a");
    assert_int_equal(ids_slot(ids, "p", "a", "v1", &tree_one, &slot, NULL), 0);
    assert_int_equal(ids_slot(ids, "p", "a", "v1", &tree_two, &other, NULL), 0);
    assert_true(slot != 0 && other != 0 && slot != other);
    assert_int_equal(ids_last_slot(ids), other);
    assert_int_equal(ids_find(ids, ids_node(slot, 41), &place, NULL), 0);
    assert_int_equal(place.kind, IDS_IS_VERSION);
    assert_int_equal(place.index, 41);
    assert_string_equal(place.version, "v1");
    assert_true(digest_equal(&place.tree, &tree_one));
}

static void what_was_never_given_is_stale(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct ids_place place;

    assert_int_equal(ids_open(NULL, "store", &ids, NULL), 0);
    assert_int_equal(ids_find(ids, 0, &place, NULL), -ESTALE);
    assert_int_equal(ids_find(ids, 2, &place, NULL), -ESTALE);
    assert_int_equal(ids_find(ids, ids_node(1, 0), &place, NULL), -ESTALE);
    assert_int_equal(ids_find(ids, UINT64_MAX, &place, NULL), -ESTALE);
}

struct kept {
    char path[64];
    uint64_t app;
    uint32_t slot;
};

static void keep(struct kept *kept)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;

    memcpy(kept->path, "/tmp/test-ids-XXXXXX", 21);
    close(mkstemp(kept->path));
    assert_int_equal(ids_open(kept->path, "store", &ids, NULL), 0);
    assert_int_equal(ids_above(ids, "p", "a", &kept->app, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ids_slot(ids, "p", "a",
                                  i == 0   ? "x"
                                  : i == 1 ? "y"
                                           : "z",
                                  &tree_one, &kept->slot, NULL),
                         0);
}

static void they_outlive_the_process(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct ids_place place;
    struct kept kept;
    uint32_t slot = 0;
    uint64_t app = 0;

    keep(&kept);
    assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
    assert_int_equal(ids_find(ids, ids_node(kept.slot, 7), &place, NULL), 0);
    assert_string_equal(place.version, "z");
    assert_int_equal(ids_slot(ids, "p", "a", "z", &tree_one, &slot, NULL), 0);
    assert_int_equal(slot, kept.slot);
    assert_int_equal(ids_above(ids, "p", "a", &app, NULL), 0);
    assert_int_equal(app, kept.app);
    unlink(kept.path);
}

static void a_torn_line_is_cut_and_its_number_used_again(void **state)
{
    struct stat stat_file;
    struct kept kept;

    keep(&kept);
    assert_int_equal(stat(kept.path, &stat_file), 0);
    for (off_t size = stat_file.st_size - 1; size > stat_file.st_size - 90; size -= 8) {
        cleanup(cleanup_ids) struct ids *ids = NULL;
        uint32_t slot = 0;
        assert_int_equal(truncate(kept.path, size), 0);
        assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
        assert_int_equal(ids_slot(ids, "p", "a", "new", &tree_two, &slot, NULL), 0);
        assert_int_equal(slot, kept.slot);
        ids = ids_close(ids);
        assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
        assert_int_equal(ids_slot(ids, "p", "a", "new", &tree_two, &slot, NULL), 0);
        assert_int_equal(slot, kept.slot);
    }
    unlink(kept.path);
}

static void damage_and_other_stores_are_refused(void **state)
{
    struct ids *ids = NULL;
    struct kept kept;
    FILE *file;

    keep(&kept);
    assert_int_equal(ids_open(kept.path, "another", &ids, NULL), -EBADMSG);
    file = fopen(kept.path, "r+");
    fseek(file, 60, SEEK_SET);
    fputc('!', file);
    fclose(file);
    assert_int_equal(ids_open(kept.path, "store", &ids, NULL), -EBADMSG);
    assert_null(ids);
    unlink(kept.path);
}

static void one_process_at_a_time(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct ids *second = NULL;
    struct kept kept;

    keep(&kept);
    assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
    assert_int_equal(ids_open(kept.path, "store", &second, NULL), -EBUSY);
    unlink(kept.path);
}

/* A file that takes no more: numbers go on, in memory. */
static void a_full_disk_does_not_end_it(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct rlimit limit, small;
    struct ids_place place;
    struct kept kept;
    uint32_t slot = 0;

    keep(&kept);
    assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){ .rlim_cur = 16, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ids_slot(ids, "p", "a",
                                  i == 0   ? "n1"
                                  : i == 1 ? "n2"
                                           : "n3",
                                  &tree_two, &slot, NULL),
                         0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(ids_find(ids, ids_node(slot, 0), &place, NULL), 0);
    assert_string_equal(place.version, "n3");
    ids = ids_close(ids);
    assert_int_equal(ids_open(kept.path, "store", &ids, NULL), 0);
    unlink(kept.path);
}

static void a_version_that_is_shown_alone(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    struct ids_place place;
    uint32_t slot = 7;

    assert_int_equal(ids_open(NULL, "store", &ids, NULL), 0);
    assert_int_equal(ids_attach(ids, "p", "a", "v", NULL, NULL), 0);
    assert_int_equal(ids_slot(ids, "p", "a", "v", &tree_one, &slot, NULL), 0);
    assert_int_equal(slot, 0);
    assert_int_equal(ids_find(ids, IDS_ROOT, &place, NULL), 0);
    assert_int_equal(place.kind, IDS_IS_VERSION);
    assert_int_equal(place.index, 0);
    assert_string_equal(place.version, "v");
    assert_memory_equal(&place.tree, &tree_one, sizeof(tree_one));
    assert_int_equal(ids_find(ids, 42, &place, NULL), 0);
    assert_int_equal(place.index, 41);
    /* Another tree under its name, and another version, are not what is shown. */
    assert_int_equal(ids_slot(ids, "p", "a", "v", &tree_two, &slot, NULL), 0);
    assert_int_equal(slot, 1);
    assert_int_equal(ids_slot(ids, "p", "a", "w", &tree_one, &slot, NULL), 0);
    assert_int_equal(slot, 2);
    assert_int_equal(ids_attach(ids, "p", "a b", "v", NULL, NULL), -EINVAL);
}

static void what_is_shown_alone_keeps_the_tree_that_it_was_given(void **state)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    uint32_t slot = 7;

    assert_int_equal(ids_open(NULL, "store", &ids, NULL), 0);
    assert_int_equal(ids_attach(ids, "p", "a", "v", &tree_one, NULL), 0);
    assert_int_equal(ids_slot(ids, "p", "a", "v", &tree_two, &slot, NULL), 0);
    assert_int_equal(slot, 1);
    assert_int_equal(ids_slot(ids, "p", "a", "v", &tree_one, &slot, NULL), 0);
    assert_int_equal(slot, 0);
}

static int use(void)
{
    cleanup(cleanup_ids) struct ids *ids = NULL;
    uint64_t node;
    uint32_t slot;
    int r = ids_open(NULL, "store", &ids, NULL);

    if (r == 0)
        r = ids_above(ids, "p", NULL, &node, NULL);
    if (r == 0)
        r = ids_slot(ids, "p", "a", "v", &tree_one, &slot, NULL);
    if (r == 0)
        r = ids_attach(ids, "p", "a", "v", NULL, NULL);
    return r;
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(use());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_go_both_ways),
        cmocka_unit_test(what_was_never_given_is_stale),
        cmocka_unit_test(they_outlive_the_process),
        cmocka_unit_test(a_torn_line_is_cut_and_its_number_used_again),
        cmocka_unit_test(damage_and_other_stores_are_refused),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(a_full_disk_does_not_end_it),
        cmocka_unit_test(a_version_that_is_shown_alone),
        cmocka_unit_test(what_is_shown_alone_keeps_the_tree_that_it_was_given),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
