/* SPDX-License-Identifier: MIT */
#include "fs/holder/attach_state.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(json, json_free);

static void write_object(struct buf *out, const struct attach_state *state)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    attach_state_write(&writer, state);
    json_end(&writer);
}

static int read_text(struct span text, struct attach_state *state)
{
    cleanup(cleanup_json) struct json *json = NULL;

    assert_int_equal(json_parse(text, &json, NULL), 0);
    return attach_state_read(json_root(json), state, NULL);
}

static void it_comes_back_whole(void **unused)
{
    cleanup(buf_release) struct buf text = buf_init(65536);
    struct attach_state written = { .is_attached = true, .switches = 3, .switched_at_s = 1700 },
                        read = { .is_attached = false };

    written.project = memory_text("p");
    written.app = memory_text("a");
    written.channel = memory_text("live");
    written.exec = memory_text("echo \xff");
    written.exec_pid = 42;
    written.exec_at_s = 1701;
    (void)snprintf(written.previous, sizeof(written.previous), "1.0");
    (void)snprintf(written.exec_version, sizeof(written.exec_version), "2.0");
    (void)snprintf(written.exec_result, sizeof(written.exec_result), "exit code 1");
    write_object(&text, &written);
    assert_int_equal(read_text(buf_span(&text), &read), 0);
    assert_true(read.is_attached);
    assert_string_equal(read.project, "p");
    assert_string_equal(read.app, "a");
    assert_string_equal(read.channel, "live");
    assert_string_equal(read.exec, "echo \xff");
    assert_string_equal(read.previous, "1.0");
    assert_int_equal(read.switches, 3);
    assert_int_equal(read.switched_at_s, 1700);
    assert_int_equal(read.exec_pid, 42);
    assert_string_equal(read.exec_version, "2.0");
    assert_int_equal(read.exec_at_s, 1701);
    assert_string_equal(read.exec_result, "exit code 1");
    attach_state_release(&written);
    attach_state_release(&read);
    assert_false(read.is_attached);
}

static void what_is_absent_has_no_value(void **unused)
{
    struct attach_state state = { .is_attached = false };

    assert_int_equal(read_text(span_text("{\"project\":\"cA==\",\"app\":\"YQ==\",\"exec_pid\":-1}"),
                               &state),
                     0);
    assert_null(state.channel);
    assert_null(state.exec);
    assert_string_equal(state.previous, "");
    assert_int_equal(state.exec_pid, 0); /* never a group of processes */
    attach_state_release(&state);
}

static void what_is_not_whole_is_refused(void **unused)
{
    static const char *const cases[] = { "{}", "{\"project\":\"cA==\"}",
                                         "{\"project\":\"cA==\",\"app\":\"YQ==\",\"previous\":1}",
                                         "{\"project\":\"%\",\"app\":\"YQ==\"}" };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct attach_state state = { .is_attached = false };
        assert_true(read_text(span_text(cases[i]), &state) < 0);
        assert_false(state.is_attached);
        attach_state_release(&state);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_whole),
        cmocka_unit_test(what_is_absent_has_no_value),
        cmocka_unit_test(what_is_not_whole_is_refused),
    };

    return cmocka_run_group_tests_name("attach_state", tests, NULL, NULL);
}
