/* SPDX-License-Identifier: MIT */
#include "fs/holder/seat_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(json, json_free);

static void write_object(struct buf *out, const struct seat_state *state)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    seat_state_write(&writer, state);
    json_end(&writer);
}

static void it_comes_back_whole(void **unused)
{
    cleanup(buf_release) struct buf text = buf_init(65536);
    cleanup(cleanup_json) struct json *json = NULL;
    struct seat_state *written = seat_state_new(), *read = seat_state_new();

    written->device = 57;
    written->restarts = 3;
    written->worker = 4242;
    written->descriptors.fuse = 7;
    written->descriptors.opens = 8;
    written->descriptors.worker = 0;
    buf_add(&written->init, "\x68\0\0\0\x1a\0\0\0", 8);
    (void)snprintf(written->reason, sizeof(written->reason), "signal 9 (Killed)");
    (void)snprintf(written->version, sizeof(written->version), "1.0");
    (void)snprintf(written->tree, sizeof(written->tree), "%064d", 7);
    write_object(&text, written);
    assert_int_equal(json_parse(buf_span(&text), &json, NULL), 0);
    assert_int_equal(seat_state_read(json_root(json), read, NULL), 0);
    assert_int_equal(read->device, 57);
    assert_int_equal(read->restarts, 3);
    assert_int_equal(read->worker, 4242);
    assert_int_equal(read->descriptors.fuse, 7);
    assert_int_equal(read->descriptors.opens, 8);
    assert_int_equal(read->descriptors.worker, 0);
    assert_int_equal(read->descriptors.ring, -1);
    assert_int_equal(read->init.size, 8);
    assert_memory_equal(read->init.bytes, "\x68\0\0\0\x1a\0\0\0", 8);
    assert_string_equal(read->reason, "signal 9 (Killed)");
    assert_string_equal(read->version, "1.0");
    assert_string_equal(read->tree, written->tree);
    seat_state_free(written);
    seat_state_free(read);
}

static int read_text(const char *text, struct seat_state *state)
{
    cleanup(cleanup_json) struct json *json = NULL;

    assert_int_equal(json_parse(span_text(text), &json, NULL), 0);
    return seat_state_read(json_root(json), state, NULL);
}

static void what_is_absent_has_no_value(void **unused)
{
    struct seat_state *state = seat_state_new();

    assert_int_equal(read_text("{\"restarts\":-1,\"worker\":-5,\"later\":[]}", state), 0);
    assert_int_equal(state->device, 0);
    assert_int_equal(state->restarts, 0);
    assert_int_equal(state->worker, 0); /* never a group of processes */
    assert_int_equal(state->descriptors.fuse, -1);
    assert_string_equal(state->reason, "");
    seat_state_free(state);
}

static void what_is_of_a_wrong_kind_is_refused(void **unused)
{
    static const char *const texts[] = { "{\"device\":\"x\"}", "{\"init\":\"%\"}",
                                         "{\"descriptors\":{\"fuse\":\"7\"}}", "{\"reason\":1}" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct seat_state *state = seat_state_new();
        assert_true(read_text(texts[i], state) < 0);
        seat_state_free(state);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_whole),
        cmocka_unit_test(what_is_absent_has_no_value),
        cmocka_unit_test(what_is_of_a_wrong_kind_is_refused),
    };

    return cmocka_run_group_tests_name("seat_state", tests, NULL, NULL);
}
