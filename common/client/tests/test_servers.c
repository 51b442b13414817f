/* SPDX-License-Identifier: MIT */
#include "common/client/servers.h"

#include <errno.h>

#include "tests/support/unit.h"

#define BEGIN ((uint64_t)1000000)

static struct servers *new_servers(size_t count)
{
    struct servers *servers = NULL;

    assert_int_equal(servers_new(&servers, count, NULL, NULL), 0);
    return servers;
}

static enum server_state state_of(struct servers *servers, size_t index, uint64_t now_ms)
{
    struct server_status status;

    servers_status(servers, index, now_ms, &status);
    return status.state;
}

/* Runs the probe that is due at that time at the latest; its server. */
static size_t probe(struct servers *servers, uint64_t now_ms, enum server_event event)
{
    size_t index = SIZE_MAX;

    assert_true(servers_probe_due(servers) <= now_ms);
    assert_true(servers_probe(servers, now_ms, &index));
    servers_probed(servers, index, event, "probe", now_ms);
    return index;
}

static void one_that_is_away_is_passed_over(void **state)
{
    struct servers *servers = new_servers(3);
    uint64_t now = BEGIN, due;

    assert_int_equal(servers_pick(servers, 0, now), 0);
    assert_int_equal(servers_pick(servers, 1, now), 1);
    assert_int_equal(servers_pick(servers, 7, now), 0);
    assert_true(servers_note(servers, 0, SERVER_LOST, "not reached", now));
    assert_false(servers_note(servers, 0, SERVER_LOST, "not reached", now)); /* told once */
    assert_int_equal(servers_pick(servers, 0, now), 1);
    due = servers_probe_due(servers);
    assert_in_range(due, now + 500, now + 1000);
    /* its pause is over: still it is no reader who finds out */
    assert_int_equal(servers_pick(servers, 0, due + 100000), 1);
    assert_int_equal(probe(servers, due, SERVER_ANSWERED), 0);
    assert_int_equal(servers_pick(servers, 0, due), 0);
    assert_int_equal(servers_probe_due(servers), UINT64_MAX);
    servers_free(servers);
}

static void pauses_grow_to_a_limit(void **state)
{
    struct servers *servers = new_servers(2);
    uint64_t now = BEGIN, expected = 1000;

    servers_note(servers, 0, SERVER_LOST, "x", now);
    for (int i = 0; i < 12; i++) {
        uint64_t due = servers_probe_due(servers);

        assert_in_range(due - now, expected / 2, expected);
        now = due;
        assert_int_equal(probe(servers, now, SERVER_LOST), 0);
        expected = expected * 2 > 30000 ? 30000 : expected * 2;
    }
    now = servers_probe_due(servers);
    probe(servers, now, SERVER_ANSWERED);
    /* it fails again at once: no new beginning */
    servers_note(servers, 0, SERVER_LOST, "x", now + 10);
    assert_in_range(servers_probe_due(servers) - now - 10, 15000, 30000);
    now = servers_probe_due(servers);
    probe(servers, now, SERVER_ANSWERED);
    /* it was well for a time */
    servers_note(servers, 0, SERVER_LOST, "x", now + 30001);
    assert_in_range(servers_probe_due(servers) - now - 30001, 500, 1000);
    servers_free(servers);
}

/* What was on its way fails too, and makes nothing worse. */
static void failures_of_one_moment_are_one(void **state)
{
    struct servers *servers = new_servers(2);
    uint64_t due;

    servers_note(servers, 0, SERVER_LOST, "x", BEGIN);
    due = servers_probe_due(servers);
    for (uint64_t i = 0; i < 20; i++)
        servers_note(servers, 0, SERVER_LOST, "x", BEGIN + i);
    assert_int_equal(servers_probe_due(servers), due);
    servers_free(servers);
}

static void some_failures_have_to_come_in_a_row(void **state)
{
    static const enum server_event events[] = { SERVER_FAILED, SERVER_OVERTAKEN };
    static const enum server_state states[] = { SERVER_AWAY, SERVER_SLOW };

    for (size_t i = 0; i < 2; i++) {
        struct servers *servers = new_servers(2);

        servers_note(servers, 0, events[i], "x", BEGIN);
        servers_note(servers, 0, events[i], "x", BEGIN);
        servers_note(servers, 0, SERVER_ANSWERED, NULL, BEGIN);
        servers_note(servers, 0, events[i], "x", BEGIN);
        servers_note(servers, 0, events[i], "x", BEGIN);
        assert_int_equal(servers_pick(servers, 0, BEGIN), 0);
        servers_note(servers, 0, events[i], "x", BEGIN);
        assert_int_equal(servers_pick(servers, 0, BEGIN), 1);
        assert_int_equal(state_of(servers, 0, BEGIN), states[i]);
        servers_free(servers);
    }
}

static void there_is_always_one_to_ask(void **state)
{
    struct servers *servers = new_servers(3);

    servers_note(servers, 0, SERVER_LOST, "x", BEGIN);
    servers_note(servers, 2, SERVER_LOST, "x", BEGIN + 5);
    servers_note(servers, 1, SERVER_LOST, "x", BEGIN + 9);
    assert_int_equal(servers_pick(servers, 0, BEGIN + 10), 0); /* failed least recently */
    assert_int_equal(servers_pick(servers, 1, BEGIN + 10), 2);
    assert_int_equal(servers_pick(servers, 5, BEGIN + 10), 1);
    assert_true(servers_is_left(servers, 5));
    assert_false(servers_is_left(servers, 7));
    assert_false(servers_has_ok(servers, 0, BEGIN + 10));
    /* who asks one that is away, and is answered, knows more than a pause */
    assert_true(servers_note(servers, 2, SERVER_ANSWERED, NULL, BEGIN + 11));
    assert_int_equal(servers_pick(servers, 0, BEGIN + 11), 2);
    servers_free(servers);
}

static void one_that_lies_ends_in_quarantine(void **state)
{
    struct servers *servers = new_servers(2);
    struct server_status status;
    uint64_t now = BEGIN, due;

    assert_true(servers_note(servers, 0, SERVER_WRONG, "sent wrong bytes", now));
    assert_int_equal(state_of(servers, 0, now), SERVER_DOUBTED);
    assert_int_equal(servers_pick(servers, 0, now), 1); /* at once, for all */
    now += 5000;
    assert_int_equal(probe(servers, now, SERVER_ANSWERED), 0);
    assert_int_equal(servers_pick(servers, 0, now), 0);
    servers_note(servers, 0, SERVER_WRONG, "x", now);
    assert_true(servers_note(servers, 0, SERVER_WRONG, "sent wrong bytes again", now));
    servers_status(servers, 0, now, &status);
    assert_int_equal(status.state, SERVER_QUARANTINED);
    assert_string_equal(status.cause, "sent wrong bytes again");
    assert_int_equal(status.wrong, 3);
    assert_in_range(status.next_ms, 300000, 600000);
    /* answers say nothing of its bytes */
    servers_note(servers, 0, SERVER_ANSWERED, NULL, now);
    servers_note(servers, 0, SERVER_LOST, "x", now);
    assert_int_equal(state_of(servers, 0, now), SERVER_QUARANTINED);
    /* out on trial, and back for twice as long */
    now = servers_probe_due(servers);
    probe(servers, now, SERVER_ANSWERED);
    assert_int_equal(servers_pick(servers, 0, now), 0);
    servers_note(servers, 0, SERVER_WRONG, "x", now + 100);
    due = servers_probe_due(servers);
    assert_in_range(due - now - 100, 600000, 1200000);
    assert_int_equal(state_of(servers, 0, now + 100), SERVER_QUARANTINED);
    /* after a long time in which it was right all is forgotten */
    now = due;
    probe(servers, now, SERVER_ANSWERED);
    now += 600001;
    servers_note(servers, 0, SERVER_WRONG, "x", now);
    assert_int_equal(state_of(servers, 0, now), SERVER_DOUBTED);
    servers_free(servers);
}

static void another_store_is_the_last_resort(void **state)
{
    struct servers *servers = new_servers(3);
    uint64_t now;

    assert_true(servers_note(servers, 0, SERVER_STRANGE, "another store", BEGIN));
    assert_false(servers_note(servers, 0, SERVER_STRANGE, "another store", BEGIN + 1));
    servers_note(servers, 1, SERVER_LOST, "x", BEGIN + 1);
    servers_note(servers, 2, SERVER_LOST, "x", BEGIN + 1);
    assert_int_equal(servers_pick(servers, 0, BEGIN + 2), 1);
    assert_false(servers_is_left(servers, 6));
    servers_note(servers, 1, SERVER_ANSWERED, NULL, BEGIN + 2);
    servers_note(servers, 2, SERVER_ANSWERED, NULL, BEGIN + 2);
    /* looked at again, in case that somebody has mended the address */
    now = servers_probe_due(servers);
    assert_in_range(now - BEGIN, 300000, 600001);
    assert_int_equal(probe(servers, now, SERVER_STRANGE), 0);
    assert_int_equal(servers_pick(servers, 0, now), 1);
    now = servers_probe_due(servers);
    probe(servers, now, SERVER_ANSWERED);
    assert_int_equal(servers_pick(servers, 0, now), 0);
    servers_free(servers);
}

static void one_that_says_later_is_left_alone(void **state)
{
    struct servers *servers = new_servers(2);

    assert_true(servers_note_later(servers, 0, 7000, BEGIN));
    assert_int_equal(servers_pick(servers, 0, BEGIN + 6999), 1);
    assert_int_equal(servers_later_ms(servers, BEGIN), 0); /* another one may be asked */
    assert_int_equal(servers_probe_due(servers), UINT64_MAX);
    servers_note_later(servers, 1, 3000, BEGIN);
    assert_int_equal(servers_later_ms(servers, BEGIN + 1000), 2000);
    assert_int_equal(servers_pick(servers, 0, BEGIN + 3000), 1);
    assert_int_equal(servers_pick(servers, 0, BEGIN + 7000), 0);
    /* what would keep it away for a day is not believed */
    servers_note_later(servers, 0, 86400000, BEGIN + 8000);
    assert_int_equal(servers_pick(servers, 0, BEGIN + 8000 + 600000), 0);
    servers_free(servers);
}

static void hedges_are_bounded(void **state)
{
    struct servers *servers = new_servers(2);
    unsigned hedges = 0;
    size_t other = 9;

    for (unsigned i = 0; i < 10000; i++) {
        servers_earn_hedge(servers);
        hedges += servers_hedge(servers, 0, 0, BEGIN, &other);
    }
    assert_int_equal(other, 1);
    assert_in_range(hedges, 400, 504); /* 5 %, and 4 at once */
    /* away from one that is passed over costs nothing */
    servers_note(servers, 0, SERVER_LOST, "x", BEGIN);
    for (unsigned i = 0; i < 100; i++)
        assert_true(servers_hedge(servers, 0, 0, BEGIN, &other));
    /* never to one that is not ok, nor to itself */
    assert_false(servers_hedge(servers, 1, 0, BEGIN, &other));
    assert_false(servers_hedge(servers, 0, 2, BEGIN, &other));
    servers_free(servers);
    servers = new_servers(1);
    assert_false(servers_hedge(servers, 0, 0, BEGIN, &other));
    servers_free(servers);
}

static void a_hedge_waits_as_long_as_answers_take(void **state)
{
    struct servers *servers = new_servers(2);

    assert_int_equal(servers_hedge_ms(servers, 0), 1000);
    for (unsigned i = 0; i < 40; i++)
        servers_note_latency(servers, 0, 3);
    assert_int_equal(servers_hedge_ms(servers, 0), 200);
    for (unsigned i = 0; i < 32; i++)
        servers_note_latency(servers, 0, i < 30 ? 400 : 9999);
    assert_int_equal(servers_hedge_ms(servers, 0), 400);
    for (unsigned i = 0; i < 5; i++)
        servers_note_latency(servers, 0, 9999);
    assert_int_equal(servers_hedge_ms(servers, 0), 2000);
    assert_int_equal(servers_hedge_ms(servers, 1), 1000);
    servers_free(servers);
}

static void what_cannot_be_is_refused(void **state)
{
    struct servers *servers = NULL;

    assert_int_equal(servers_new(&servers, 0, NULL, NULL), -EINVAL);
    assert_int_equal(servers_new(&servers, SERVERS_MAX + 1, NULL, NULL), -EINVAL);
    assert_null(servers_free(NULL));
}

static int make_one(void)
{
    struct servers *servers = NULL;
    int r = servers_new(&servers, 3, NULL, NULL);

    servers_free(servers);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(make_one());
}

/* Anything in any order, against what must be true always. */
static void whatever_happens_there_is_an_order(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed * 2654435761u, now = BEGIN;
        size_t count = 1 + seed % 5, index;
        struct servers *servers = new_servers(count);

        for (int step = 0; step < 400; step++) {
            size_t picked, chosen;

            random = random * 6364136223846793005u + 1442695040888963407u;
            index = (random >> 33) % count;
            now += (random >> 40) % 3000;
            if ((random >> 20) % 8 == 7)
                servers_note_later(servers, index, (random >> 24) % 20000, now);
            else
                servers_note(servers, index, (enum server_event)((random >> 20) % 6), "x", now);
            while (servers_probe(servers, now, &chosen)) {
                assert_true(state_of(servers, chosen, now) != SERVER_OK);
                servers_probed(servers, chosen,
                               (random >> 50) % 2 == 0 ? SERVER_ANSWERED : SERVER_LOST, "p", now);
            }
            picked = servers_pick(servers, 0, now);
            assert_true(picked < count);
            /* the first that is ok, or else none is */
            for (size_t i = 0; i < count; i++) {
                bool ok = state_of(servers, i, now) == SERVER_OK;

                if (i < picked && ok)
                    fail_msg("seed %llu step %d: %zu is ok, and %zu was picked",
                             (unsigned long long)seed, step, i, picked);
                if (state_of(servers, picked, now) != SERVER_OK && ok)
                    fail_msg("seed %llu step %d: %zu is not ok, but %zu", (unsigned long long)seed,
                             step, picked, i);
            }
        }
        /* when all is well again the first is used again */
        for (int i = 0; i < 1000 && state_of(servers, 0, now) != SERVER_OK; i++) {
            now += 3600000;
            while (servers_probe(servers, now, &index))
                servers_probed(servers, index, SERVER_ANSWERED, NULL, now);
        }
        assert_int_equal(servers_pick(servers, 0, now), 0);
        assert_int_equal(state_of(servers, 0, now), SERVER_OK);
        servers_free(servers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_away_is_passed_over),
        cmocka_unit_test(pauses_grow_to_a_limit),
        cmocka_unit_test(failures_of_one_moment_are_one),
        cmocka_unit_test(some_failures_have_to_come_in_a_row),
        cmocka_unit_test(there_is_always_one_to_ask),
        cmocka_unit_test(one_that_lies_ends_in_quarantine),
        cmocka_unit_test(another_store_is_the_last_resort),
        cmocka_unit_test(one_that_says_later_is_left_alone),
        cmocka_unit_test(hedges_are_bounded),
        cmocka_unit_test(a_hedge_waits_as_long_as_answers_take),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(whatever_happens_there_is_an_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
