/* SPDX-License-Identifier: MIT */
#include "server/service/gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#define LONG_MS 60000

static const struct span one = { (const uint8_t *)"one", 3 };
static const struct span two = { (const uint8_t *)"two", 3 };
static const struct span three = { (const uint8_t *)"three", 5 };

static void test_a_turn_and_its_end(void **state)
{
    struct gate *gate;

    assert_int_equal(gate_new(&gate, 2, 0, NULL), 0);
    assert_int_equal(gate_enter(gate, one, LONG_MS), GATE_MINE);
    assert_int_equal(gate_enter(gate, two, LONG_MS), GATE_MINE);
    /* Nobody may wait: neither for the same nor for a turn. */
    assert_int_equal(gate_enter(gate, one, LONG_MS), GATE_FULL);
    assert_int_equal(gate_enter(gate, three, LONG_MS), GATE_FULL);
    gate_leave(gate, one);
    assert_int_equal(gate_enter(gate, three, LONG_MS), GATE_MINE);
    gate_leave(gate, two);
    gate_leave(gate, three);
    assert_int_equal(gate_enter(gate, one, LONG_MS), GATE_MINE);
    gate_leave(gate, one);
    gate_free(gate);
}

static void test_waiting_ends_in_time(void **state)
{
    struct gate *gate;

    assert_int_equal(gate_new(&gate, 1, 1, NULL), 0);
    assert_int_equal(gate_enter(gate, one, 0), GATE_MINE);
    assert_int_equal(gate_enter(gate, one, 20), GATE_FULL);
    assert_int_equal(gate_enter(gate, two, 20), GATE_FULL);
    gate_leave(gate, one);
    gate_free(gate);
}

/* What nobody waits for takes no turn, needs none, and is not done twice. */
static void test_behind(void **state)
{
    struct gate *gate;

    assert_int_equal(gate_new(&gate, 1, 0, NULL), 0);
    assert_int_equal(gate_enter(gate, one, 0), GATE_MINE);
    assert_false(gate_enter_behind(gate, one));
    assert_true(gate_enter_behind(gate, two)); /* the only turn is taken */
    assert_false(gate_enter_behind(gate, three));
    gate_leave(gate, one);
    assert_int_equal(gate_enter(gate, one, 0), GATE_MINE); /* `two` has none */
    assert_int_equal(gate_enter(gate, three, 0), GATE_FULL);
    gate_leave(gate, two);
    assert_int_equal(gate_enter(gate, three, 0), GATE_FULL); /* nor left one */
    assert_true(gate_enter_behind(gate, two));
    gate_leave(gate, two);
    gate_leave(gate, one);
    gate_free(gate);
}

/* Somebody who comes for what is done behind waits for it. */
static void test_behind_is_shared(void **state)
{
    struct gate *gate;

    assert_int_equal(gate_new(&gate, 1, 1, NULL), 0);
    assert_true(gate_enter_behind(gate, one));
    assert_int_equal(gate_enter(gate, one, 20), GATE_FULL);
    gate_leave(gate, one);
    assert_int_equal(gate_enter(gate, one, 0), GATE_MINE);
    gate_leave(gate, one);
    gate_free(gate);
}

struct visitor {
    struct gate *gate;
    struct span name;
    atomic_int *inside;
    enum gate_turn turn;
};

static void *visit(void *context)
{
    struct visitor *visitor = context;

    visitor->turn = gate_enter(visitor->gate, visitor->name, LONG_MS);
    if (visitor->turn == GATE_MINE) {
        atomic_fetch_add(visitor->inside, 1);
        gate_leave(visitor->gate, visitor->name);
    }
    return NULL;
}

/* Who waits for the same gets its result; who waits for a turn gets it. */
static void test_waiters(void **state)
{
    atomic_int inside = 0;
    struct visitor visitors[4];
    pthread_t threads[4];
    struct gate *gate;
    int done = 0, mine = 0;

    assert_int_equal(gate_new(&gate, 1, 4, NULL), 0);
    assert_int_equal(gate_enter(gate, one, 0), GATE_MINE);
    for (size_t i = 0; i < 4; i++) {
        visitors[i] = (struct visitor){ gate, i < 2 ? one : two, &inside, GATE_FULL };
        assert_int_equal(pthread_create(&threads[i], NULL, visit, &visitors[i]), 0);
    }
    assert_int_equal(atomic_load(&inside), 0);
    gate_leave(gate, one);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        done += visitors[i].turn == GATE_DONE;
        mine += visitors[i].turn == GATE_MINE;
    }
    assert_int_equal(done + mine, 4);
    assert_int_equal(mine, atomic_load(&inside));
    assert_true(mine >= 1); /* `two` was done by somebody */
    gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_and_its_end),
        cmocka_unit_test(test_waiting_ends_in_time),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_behind_is_shared),
        cmocka_unit_test(test_waiters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
