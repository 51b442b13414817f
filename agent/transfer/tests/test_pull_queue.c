/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_queue.h"

#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"
#include "tests/support/unit.h"

#define COUNT 12

struct set {
    struct pull_blob blobs[COUNT];
    struct pull_base bases[COUNT];
};

/* The first `deltas` of them have a base. */
static void set_make(struct set *set, size_t deltas)
{
    *set = (struct set){ .blobs = { { .size = 0 } } };
    for (size_t i = 0; i < deltas; i++) {
        set->bases[i].is_known = true;
        set->blobs[i].base = &set->bases[i];
    }
}

static size_t place_of(const struct set *set, const struct pull_blob *blob)
{
    assert_non_null(blob);
    return (size_t)(blob - set->blobs);
}

static void deltas_go_first_and_others_fill_the_line(void **state)
{
    struct set set;
    struct pull_queue queue;

    set_make(&set, 5);
    set.blobs[1].is_here = true;
    set.bases[2].is_made = true;
    set.blobs[7].is_here = true;
    queue = pull_queue_init(set.blobs, 9);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 0);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 3);
    for (unsigned i = 0; i < 4; i++)
        pull_queue_take_turn(&queue);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 5); /* no turn for a delta */
    pull_queue_leave_turn(&queue);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 4);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 6);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, true)), 8);
    assert_null(pull_queue_next(&queue, true));
}

static void what_there_was_no_turn_for_comes_behind_the_others(void **state)
{
    struct set set;
    struct pull_queue queue;
    struct pull_blob *late[2];

    set_make(&set, 4);
    queue = pull_queue_init(set.blobs, 5);
    late[0] = pull_queue_next(&queue, true);
    pull_queue_put_back(&queue, late[0]);
    late[1] = pull_queue_next(&queue, true);
    pull_queue_put_back(&queue, late[1]);
    assert_int_equal(set.bases[0].times_late, 1);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, false)), 2);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, false)), 3);
    assert_int_equal(place_of(&set, pull_queue_next(&queue, false)), 4);
    assert_null(pull_queue_next(&queue, false)); /* the pause is not over */
    assert_int_equal(queue.late, 2);
    assert_ptr_equal(pull_queue_next(&queue, true), late[0]);
    pull_queue_put_back(&queue, late[0]); /* again */
    assert_ptr_equal(pull_queue_next(&queue, true), late[1]);
    assert_ptr_equal(pull_queue_next(&queue, true), late[0]);
    assert_null(pull_queue_next(&queue, true));
    assert_int_equal(queue.late, 0);
    assert_int_equal(set.bases[0].times_late, 2);
}

static void fewer_are_asked_for_until_deltas_come(void **state)
{
    struct set set;
    struct pull_queue queue;
    struct pull_blob *blob;

    set_make(&set, COUNT);
    queue = pull_queue_init(set.blobs, COUNT);
    for (unsigned i = 0; i < 3; i++) {
        blob = pull_queue_next(&queue, true);
        pull_queue_take_turn(&queue);
    }
    pull_queue_leave_turn(&queue);
    pull_queue_put_back(&queue, blob);
    assert_null(pull_queue_next(&queue, true)); /* two are at the server, and no more may be */
    pull_queue_leave_turn(&queue);
    pull_queue_leave_turn(&queue);
    pull_queue_put_back(&queue, blob);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(queue.turns_max, 1);
        pull_queue_delta_came(&queue);
    }
    assert_int_equal(queue.turns_max, 2);
    for (unsigned i = 0; i < 100; i++)
        pull_queue_delta_came(&queue);
    assert_int_equal(queue.turns_max, 4);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(deltas_go_first_and_others_fill_the_line),
        cmocka_unit_test(what_there_was_no_turn_for_comes_behind_the_others),
        cmocka_unit_test(fewer_are_asked_for_until_deltas_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
