/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "server/service/event_ring.h"
#include "server/service/event_text.h"

static struct event event_of(int64_t number)
{
    return (struct event){ .number = number,
                           .at_s = 1767225600,
                           .type = "version.created",
                           .project = "p",
                           .app = "a",
                           .version = "v" };
}

static void add(struct event_ring *ring, int64_t number)
{
    const struct event event = event_of(number);

    assert_int_equal(event_ring_add(ring, &event, NULL), 0);
}

static void test_order_and_places(void **state)
{
    struct event_ring ring;

    assert_int_equal(event_ring_init(&ring, 4, 1 << 20, NULL), 0);
    event_ring_restart(&ring, 10);
    assert_int_equal(event_ring_behind(&ring, 10), 0);
    for (int64_t number = 11; number <= 13; number++)
        add(&ring, number);
    assert_int_equal(ring.floor, 10);
    assert_int_equal(ring.last, 13);
    assert_int_equal(event_ring_behind(&ring, 0), 0);
    assert_int_equal(event_ring_behind(&ring, 11), 1);
    assert_int_equal(event_ring_behind(&ring, 13), 3);
    assert_int_equal(event_ring_behind(&ring, 99), 3);
    for (int64_t number = 14; number <= 24; number++)
        add(&ring, number);
    assert_int_equal(ring.count, 4);
    assert_int_equal(ring.floor, 20);
    assert_int_equal(ring.last, 24);
    for (size_t i = 0; i < ring.count; i++)
        assert_int_equal(event_ring_at(&ring, i)->number, 21 + i);
    assert_int_equal(event_ring_behind(&ring, 22), 2);
    event_ring_restart(&ring, 50);
    assert_int_equal(ring.count, 0);
    assert_int_equal(ring.bytes, 0);
    assert_int_equal(ring.floor, 50);
    event_ring_release(&ring);
}

/* What was added last stays, however large. */
static void test_bytes_are_bounded(void **state)
{
    struct event_ring ring;
    size_t one;

    assert_int_equal(event_ring_init(&ring, 100, 1 << 20, NULL), 0);
    add(&ring, 1);
    one = ring.bytes;
    event_ring_release(&ring);
    assert_int_equal(event_ring_init(&ring, 100, 3 * one, NULL), 0);
    for (int64_t number = 1; number <= 9; number++)
        add(&ring, number);
    assert_int_equal(ring.count, 3);
    assert_int_equal(ring.floor, 6);
    event_ring_release(&ring);
    assert_int_equal(event_ring_init(&ring, 100, 1, NULL), 0);
    add(&ring, 1);
    add(&ring, 2);
    assert_int_equal(ring.count, 1);
    assert_int_equal(ring.floor, 1);
    event_ring_release(&ring);
}

static void test_text(void **state)
{
    struct buf out = buf_init(EVENT_TEXT_MAX);
    char data[] = "{\"channel\":\n\"live\"}", actor[] = "ci \"x\"\n";
    struct event event = event_of(7);

    event_text_write(&out, &event);
    assert_string_equal(buf_text(&out),
                        "id: 7\nevent: version.created\n"
                        "data: {\"number\":7,\"type\":\"version.created\","
                        "\"at\":\"2026-01-01T00:00:00Z\",\"project\":\"p\",\"app\":\"a\","
                        "\"version\":\"v\",\"actor\":null,\"data\":null}\n\n");
    buf_clear(&out);
    event.data = data;
    event.actor = actor;
    event.version[0] = '\0';
    event_text_write(&out, &event);
    assert_string_equal(buf_text(&out),
                        "id: 7\nevent: version.created\n"
                        "data: {\"number\":7,\"type\":\"version.created\","
                        "\"at\":\"2026-01-01T00:00:00Z\",\"project\":\"p\",\"app\":\"a\","
                        "\"version\":null,\"actor\":\"ci \\\"x\\\"\\n\","
                        "\"data\":{\"channel\": \"live\"}}\n\n");
    buf_clear(&out);
    event_text_write_beat(&out, 8);
    assert_string_equal(buf_text(&out), ": beat\nid: 8\n\n");
    buf_clear(&out);
    event_text_write_gone(&out, 3, 9);
    assert_string_equal(buf_text(&out), "id: 9\nevent: gone\ndata: {\"after\":3,\"number\":9}\n\n");
    buf_release(&out);
}

/* One event that is too large does not end the telling of all. */
static void test_text_without_what_is_too_large(void **state)
{
    struct event_ring ring;
    struct event event = event_of(1);

    event.data = memory_array(EVENT_TEXT_MAX + 1, 1);
    memset(event.data, ' ', EVENT_TEXT_MAX);
    assert_int_equal(event_ring_init(&ring, 4, 1 << 20, NULL), 0);
    assert_int_equal(event_ring_add(&ring, &event, NULL), 0);
    assert_non_null(strstr(event_ring_at(&ring, 0)->text, "\"data\":null}"));
    memory_free(event.data);
    event_ring_release(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_places),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_without_what_is_too_large),
    };

    return cmocka_run_group_tests_name("event_ring", tests, NULL, NULL);
}
