/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "server/db/events.h"
#include "server/db/events_outbox.h"
#include "server/db/transaction.h"
#include "server/service/event_hub.h"
#include "server/service/event_listener.h"
#include "server/service/event_sequence.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

struct batch {
    const char *type, *project, *app;
    size_t count;
};

static int write_batch(struct transaction *tx, void *context, struct error *err)
{
    const struct batch *batch = context;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < batch->count; i++) {
        char version[32];
        const struct event_draft draft = {
            .type = batch->type, .project = batch->project, .app = batch->app, .version = version
        };

        snprintf(version, sizeof(version), "v%zu", i);
        r = event_add(tx, &draft, err);
    }
    return r;
}

/* Written, not numbered. */
static void write_events(const char *type, const char *project, const char *app, size_t count)
{
    struct batch batch = { type, project, app, count };

    assert_true(transaction_write(world.database, write_batch, &batch, NULL) >= 0);
}

static void step(void)
{
    size_t count;

    assert_int_equal(event_hub_step(world.services, &count, NULL), 0);
}

static void number(void)
{
    size_t count;

    assert_int_equal(event_sequence_step(world.services, &count, NULL), 0);
}

static void forget(size_t count)
{
    size_t forgotten;

    assert_int_equal(event_forget(world.database, INT64_MAX, count, &forgotten, NULL), 0);
    assert_int_equal(forgotten, count);
}

static void count_wake(void *context)
{
    (*(int *)context)++;
}

static struct event_listener *listen_as(const struct identity *identity, const char *types,
                                        const int64_t *after, int *wakes)
{
    struct event_listener *listener;
    struct event_filter filter;
    struct event_wish wish = { .identity = identity, .filter = &filter, .after = after };

    event_filter_init(&filter, identity);
    if (types != NULL)
        assert_int_equal(event_filter_add_types(&filter, span_text(types), NULL), 0);
    assert_int_equal(event_listener_open(world.services, &wish, &listener, NULL, NULL), 0);
    if (wakes != NULL)
        event_listener_on_wake(listener, count_wake, wakes);
    return listener;
}

/* All that is there for it, in small pieces. */
static void drain(struct event_listener *listener, struct buf *out)
{
    char piece[7];
    size_t size;
    enum event_turn turn;

    buf_clear(out);
    while ((turn = event_listener_take(listener, piece, sizeof(piece), &size)) != EVENT_TURN_WAIT) {
        if (turn == EVENT_TURN_LOAD) {
            assert_int_equal(event_listener_load(listener, NULL), 0);
            continue;
        }
        assert_int_equal(turn, EVENT_TURN_BYTES);
        buf_add(out, piece, size);
    }
}

/* The numbers told are from..to without a hole. Returns how many. */
static size_t check_numbers(struct buf *out, int64_t from)
{
    const char *at = buf_text(out);
    size_t count = 0;

    while ((at = strstr(at, "{\"number\":")) != NULL) {
        long long number;

        assert_int_equal(sscanf(at, "{\"number\":%lld", &number), 1);
        assert_int_equal(number, from + (int64_t)count);
        at++;
        count++;
    }
    return count;
}

static int64_t first_number(struct buf *out)
{
    const char *at = strstr(buf_text(out), "{\"number\":");
    long long number = 0;

    assert_non_null(at);
    assert_int_equal(sscanf(at, "{\"number\":%lld", &number), 1);
    return number;
}

static void test_only_new_ones(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    struct event_listener *listener;
    struct event_hub_counts counts;
    int wakes = 0;

    write_events("version.created", "p", "a", 3);
    listener = listen_as(&world.caller.identity, "version.*", NULL, &wakes);
    drain(listener, &out);
    assert_non_null(strstr(buf_text(&out), ": beat\nid: "));
    assert_int_equal(check_numbers(&out, 0), 0);
    step();
    assert_int_equal(wakes, 0);
    write_events("version.created", "p", "a", 1);
    write_events("app.created", "p", "a", 1);
    step(); /* it numbers what nobody has */
    assert_int_equal(wakes, 1);
    drain(listener, &out);
    assert_non_null(strstr(buf_text(&out), "\"version\":\"v0\""));
    assert_null(strstr(buf_text(&out), "app.created"));
    write_events("app.created", "p", "a", 1);
    step();
    assert_int_equal(wakes, 1); /* nothing for it */
    event_hub_count(world.services, &counts);
    assert_int_equal(counts.listeners, 1);
    assert_int_equal(counts.sent, 1);
    event_listener_close(listener);
    event_hub_count(world.services, &counts);
    assert_int_equal(counts.listeners, 0);
    buf_release(&out);
}

/* From far behind, through the table and the ring, while more is written. */
static void test_catching_up(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED), all = buf_init(BUF_UNLIMITED);
    struct event_listener *listener, *other;
    const int64_t zero = 0;
    int wakes = 0;

    write_events("version.created", "p", "a", 3000);
    listener = listen_as(&world.caller.identity, NULL, &zero, NULL);
    other = listen_as(&world.caller.identity, "none", &zero, &wakes);
    drain(listener, &all);
    write_events("version.created", "p", "a", 6000); /* more than the ring holds */
    step();
    drain(listener, &out);
    buf_add_span(&all, buf_span(&out));
    assert_true(check_numbers(&all, 1) >= 9000);
    drain(other, &out);
    assert_int_equal(check_numbers(&out, 0), 0);
    event_listener_close(listener);
    event_listener_close(other);
    buf_release(&out);
    buf_release(&all);
}

/* Nobody listened for long: those who wait are not forgotten when the ring begins anew. */
static void test_a_ring_that_begins_anew(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    struct event_listener *listener = listen_as(&world.caller.identity, NULL, NULL, NULL);
    size_t numbered;
    int wakes = 0;

    event_listener_close(listener);
    write_events("version.created", "p", "a", 20);
    assert_int_equal(event_sequence_step(world.services, &numbered, NULL), 0);
    listener = listen_as(&world.caller.identity, NULL, NULL, &wakes);
    drain(listener, &out);
    write_events("version.created", "p", "a", 5000);
    assert_int_equal(event_sequence_step(world.services, &numbered, NULL), 0);
    step();
    assert_true(wakes > 0);
    drain(listener, &out);
    assert_null(strstr(buf_text(&out), "event: gone"));
    assert_int_equal(check_numbers(&out, first_number(&out)), 5000);
    event_listener_close(listener);
    buf_release(&out);
}

static void test_what_is_gone_is_told(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    struct event_listener *listener;
    const int64_t early = 5, edge = 10, future = 1000000;

    write_events("version.created", "p", "a", 20);
    listener = listen_as(&world.caller.identity, NULL, NULL, NULL);
    event_listener_close(listener);
    forget(10);
    listener = listen_as(&world.caller.identity, NULL, &early, NULL);
    drain(listener, &out);
    assert_non_null(strstr(buf_text(&out), "event: gone\ndata: {\"after\":5,"));
    assert_int_equal(check_numbers(&out, 0), 0);
    event_listener_close(listener);
    listener = listen_as(&world.caller.identity, NULL, &edge, NULL);
    drain(listener, &out);
    assert_null(strstr(buf_text(&out), "event: gone"));
    assert_true(check_numbers(&out, 11) >= 10);
    event_listener_close(listener);
    listener = listen_as(&world.caller.identity, NULL, &future, NULL);
    drain(listener, &out);
    assert_non_null(strstr(buf_text(&out), "event: gone\ndata: {\"after\":1000000,"));
    event_listener_close(listener);
    buf_release(&out);
}

/* The last number that a stream told, of whatever kind of line. */
static int64_t last_id(struct buf *out)
{
    const char *at = buf_text(out);
    long long id = -1;

    while ((at = strstr(at, "id: ")) != NULL) {
        assert_int_equal(sscanf(at, "id: %lld", &id), 1);
        at++;
    }
    return id;
}

static struct event_listener *listen_in(const char *project, uint32_t permissions,
                                        const int64_t *after, struct buf *out)
{
    struct event_listener *listener;
    struct caller caller;
    char text[64];

    world_token(&world, project, NULL, permissions, &caller, text);
    listener = listen_as(&caller.identity, NULL, after, NULL);
    drain(listener, out);
    return listener;
}

/* What happens in the projects of others, and who administers one's own, is not to be read from
 * numbers: not from the first one, not from signs of life, and not by asking. */
static void test_numbers_tell_nothing_of_others(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    struct event_listener *listener;
    int64_t mine, between, after;

    world.beat_ms = 1;
    world_restart(&world);
    write_events("version.created", "mine", "a", 1);
    number();
    listener = listen_in("mine", ACCESS_PULL, NULL, &out);
    mine = last_id(&out);
    event_listener_close(listener);
    write_events("version.created", "theirs", "a", 5);
    write_events("token.created", "mine", NULL, 1);
    number();
    listener = listen_in("mine", ACCESS_PULL, NULL, &out);
    assert_int_equal(last_id(&out), mine);
    write_events("version.created", "theirs", "a", 7);
    do {
        step();
        drain(listener, &out);
    } while (out.size == 0);
    assert_non_null(strstr(buf_text(&out), ": beat"));
    assert_int_equal(last_id(&out), mine);
    event_listener_close(listener);
    between = mine + 3; /* given, but not to it: as one that was never given */
    after = mine + 1000000;
    for (int i = 0; i < 2; i++) {
        listener = listen_in("mine", ACCESS_PULL, i == 0 ? &between : &after, &out);
        assert_non_null(strstr(buf_text(&out), "event: gone"));
        assert_int_equal(last_id(&out), mine);
        event_listener_close(listener);
    }
    listener = listen_in("mine", ACCESS_ALL, NULL, &out);
    assert_true(last_id(&out) > mine); /* its administrator knows of its tokens */
    event_listener_close(listener);
    listener = listen_in(NULL, ACCESS_PULL, NULL, &out);
    assert_true(last_id(&out) >= mine + 12);
    event_listener_close(listener);
    buf_release(&out);
}

/* Where nothing happens for long: who comes back with the number of before has lost nothing,
 * however much of others is forgotten in between, and what comes then is told once. */
static void test_a_quiet_project_loses_nothing(void **state)
{
    struct buf out = buf_init(BUF_UNLIMITED);
    struct event_listener *listener;
    struct event_bounds bounds;
    int64_t mine, before;

    write_events("version.created", "mine", "a", 2);
    number();
    listener = listen_in("mine", ACCESS_PULL, NULL, &out);
    mine = last_id(&out);
    before = mine - 1;
    event_listener_close(listener);
    write_events("version.created", "theirs", "a", 6000);
    number();
    assert_int_equal(event_bounds(world.database, &bounds, NULL), 0);
    forget((size_t)(mine + 3000 - bounds.oldest + 1));
    for (int i = 0; i < 2; i++) {
        listener = listen_in("mine", ACCESS_PULL, &mine, &out);
        assert_null(strstr(buf_text(&out), "event: gone"));
        assert_int_equal(last_id(&out), mine);
        event_listener_close(listener);
    }
    listener = listen_in("mine", ACCESS_PULL, NULL, &out);
    assert_int_equal(last_id(&out), mine);
    event_listener_close(listener);
    listener = listen_in("mine", ACCESS_PULL, &before, &out); /* of its own something is gone */
    assert_non_null(strstr(buf_text(&out), "event: gone"));
    event_listener_close(listener);
    write_events("version.created", "mine", "a", 3);
    number();
    listener = listen_in("mine", ACCESS_PULL, &mine, &out);
    assert_null(strstr(buf_text(&out), "event: gone"));
    step();
    drain(listener, &out);
    assert_null(strstr(buf_text(&out), "event: gone"));
    assert_int_equal(check_numbers(&out, first_number(&out)), 3);
    event_listener_close(listener);
    buf_release(&out);
}

/* Not opened, and why. */
static enum refusal_code refused(const struct identity *identity)
{
    struct event_listener *none;
    struct event_filter filter;
    const struct event_wish wish = { .filter = &filter, .identity = identity };
    struct refusal why = { 0 };

    event_filter_init(&filter, identity);
    assert_int_equal(event_listener_open(world.services, &wish, &none, &why, NULL), -EAGAIN);
    return why.code;
}

/* Of eight places one token has six, of the last two each has one; less by the setting. */
static void test_limits(void **state)
{
    struct event_listener *listeners[8];
    struct caller many, few, other;
    char text[64];

    world.listeners_max = 8;
    world_restart(&world);
    world_token(&world, NULL, NULL, ACCESS_PULL, &many, text);
    world_token(&world, NULL, NULL, ACCESS_PULL, &few, text);
    world_token(&world, NULL, NULL, ACCESS_PULL, &other, text);
    for (int i = 0; i < 6; i++)
        listeners[i] = listen_as(&many.identity, NULL, NULL, NULL);
    assert_int_equal(refused(&many.identity), REFUSAL_RATE_LIMITED);
    listeners[6] = listen_as(&few.identity, NULL, NULL, NULL);
    assert_int_equal(refused(&few.identity), REFUSAL_RATE_LIMITED);
    listeners[7] = listen_as(&other.identity, NULL, NULL, NULL);
    assert_int_equal(refused(&world.caller.identity), REFUSAL_NOT_READY);
    event_listener_close(listeners[0]);
    assert_int_equal(refused(&many.identity), REFUSAL_RATE_LIMITED);
    listeners[0] = listen_as(&world.caller.identity, NULL, NULL, NULL);
    for (int i = 0; i < 8; i++)
        event_listener_close(listeners[i]);
    world.listeners_per_token_max = 1;
    world_restart(&world);
    listeners[0] = listen_as(&many.identity, NULL, NULL, NULL);
    assert_int_equal(refused(&many.identity), REFUSAL_RATE_LIMITED);
    event_listener_close(listeners[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_new_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catching_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_ring_that_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_gone_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_tell_nothing_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_quiet_project_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };

    return cmocka_run_group_tests_name("event_hub", tests, NULL, NULL);
}
