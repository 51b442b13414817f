/* SPDX-License-Identifier: MIT */
#include "fs/holder/message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static void messages_keep_their_borders_and_descriptors(void **state)
{
    struct buf text = buf_init(BUF_UNLIMITED);
    int ends[2], pipe_ends[2], got[MESSAGE_DESCRIPTORS_MAX], none[MESSAGE_DESCRIPTORS_MAX];
    char byte = 0;

    assert_int_equal(message_pair(ends, NULL), 0);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(message_send(ends[0], span_text("one"), pipe_ends, 2, NULL), 0);
    assert_int_equal(message_send(ends[0], span_text("two"), NULL, 0, NULL), 0);
    assert_int_equal(message_receive(ends[1], &text, got, NULL), 0);
    assert_string_equal(buf_text(&text), "one");
    assert_true(got[0] >= 0 && got[1] >= 0 && got[2] == -1);
    assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    buf_clear(&text);
    assert_int_equal(message_receive(ends[1], &text, none, NULL), 0);
    assert_string_equal(buf_text(&text), "two");
    assert_int_equal(none[0], -1);
    close(got[0]);
    close(got[1]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(ends[0]);
    assert_int_equal(message_receive(ends[1], &text, none, NULL), -EPIPE);
    assert_int_equal(message_send(ends[1], span_text("x"), NULL, 0, NULL), -EPIPE);
    close(ends[1]);
    buf_release(&text);
}

/* The longest fits at once, with nobody reading yet; a longer one is refused. */
static void the_longest_waits_for_its_reader(void **state)
{
    struct buf text = buf_init(BUF_UNLIMITED), got_text = buf_init(BUF_UNLIMITED);
    int ends[2], got[MESSAGE_DESCRIPTORS_MAX];

    assert_int_equal(message_pair(ends, NULL), 0);
    buf_add_zeros(&text, MESSAGE_MAX);
    assert_int_equal(message_send(ends[0], buf_span(&text), NULL, 0, NULL), 0);
    assert_int_equal(message_receive(ends[1], &got_text, got, NULL), 0);
    assert_int_equal(got_text.size, MESSAGE_MAX);
    buf_add_byte(&text, 0);
    assert_int_equal(message_send(ends[0], buf_span(&text), NULL, 0, NULL), -EFBIG);
    close(ends[0]);
    close(ends[1]);
    buf_release(&text);
    buf_release(&got_text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_their_borders_and_descriptors),
        cmocka_unit_test(the_longest_waits_for_its_reader),
    };

    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
