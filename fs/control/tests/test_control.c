/* SPDX-License-Identifier: MIT */
/* Server and client together, through a socket in the user's own directory. */
#include "fs/control/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/platform.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/control/control_path.h"
#include "tests/support/unit.h"

#define DEVICE makedev(4095, 1048000) /* no mount has it */

static int answer(void *context, const struct json_value *question, struct json_writer *writer,
                  struct error *err)
{
    const char *ask = "";

    json_text(writer, "before", "x");
    json_member_text(question, "ask", &ask, NULL);
    if (strcmp(ask, "many") == 0) {
        json_begin_array(writer, "items");
        for (int i = 0; i < 100000; i++)
            json_integer(writer, NULL, i);
        json_end(writer);
    }
    return strcmp(ask, "nothing") == 0 ? error_set(err, -ENOENT, "there is nothing") : 0;
}

static void open_socket(struct control_socket *out)
{
    struct buf directory = buf_init(4096), path = buf_init(4096);

    assert_int_equal(control_path_directory(&directory, NULL), 0);
    control_path_socket(&path, buf_text(&directory), DEVICE);
    assert_int_equal(control_socket_open(out, buf_text(&path), NULL), 0);
    buf_release(&directory);
    buf_release(&path);
}

static int count_ours(void *context, uint64_t device, struct error *err)
{
    *(int *)context += device == DEVICE;
    return 0;
}

/* A listener that never answers: the one who asks goes on, and learns who it is. */
static void who_does_not_answer_is_named(void **state)
{
    struct control_socket socket;
    struct json *json = NULL;
    int64_t pid = 0;

    open_socket(&socket);
    assert_int_equal(control_ask_within(DEVICE, CONTROL_OF_MOUNT, "{}", 50, &json, NULL), -EAGAIN);
    assert_int_equal(control_find_owner(DEVICE, CONTROL_OF_MOUNT, &pid, NULL), 0);
    assert_int_equal(pid, getpid());
    assert_int_equal(control_find_owner(DEVICE, CONTROL_OF_HOLDER, &pid, NULL), -ENOENT);
    close(socket.fd); /* its name stays, as when a daemon was killed */
    socket.fd = -1;
    assert_int_equal(control_find_owner(DEVICE, CONTROL_OF_MOUNT, &pid, NULL), -ESTALE);
    assert_int_equal(control_ask(DEVICE, "{}", &json, NULL), -EAGAIN);
    assert_null(json);
    control_socket_close(&socket);
}

static void what_is_asked_is_answered(void **state)
{
    struct control_socket socket;
    struct control *control = NULL;
    struct json *json = NULL;
    struct error err = { 0 };
    int count = 0;

    open_socket(&socket);
    assert_int_equal(control_start(&control, socket.fd, answer, NULL, NULL), 0);
    assert_int_equal(control_ask(DEVICE, "{\"ask\":\"many\"}", &json, &err), 0);
    assert_int_equal(json_count(json_member(json_root(json), "items")), 100000);
    json_free(json);
    assert_int_equal(control_ask(DEVICE, "{\"ask\":\"nothing\"}", &json, &err), -ENOENT);
    assert_string_equal(err.text, "there is nothing");
    assert_true(control_ask(DEVICE, "no json", &json, &err) < 0);
    assert_int_equal(control_list(count_ours, &count, NULL), 0);
    assert_int_equal(count, 1);
    control_stop(control);
    control_socket_close(&socket);
    assert_int_equal(control_ask(DEVICE, "{}", &json, &err), -ENOENT);
}

static void *ask_nothing(void *context)
{
    struct json *json = NULL;

    *(int *)context = control_ask(DEVICE, "{\"ask\":\"nothing\"}", &json, NULL);
    return NULL;
}

/* Asked while nobody answers: whoever comes next with the same socket does. */
static void a_question_waits_for_the_next_process(void **state)
{
    struct control_socket first, second;
    struct control *control = NULL;
    pthread_t thread;
    int result = 1, r;

    open_socket(&first);
    r = platform_thread_start(&thread, ask_nothing, &result);
    assert_int_equal(r, 0);
    assert_int_equal(control_socket_resume(&second, first.path, dup(first.fd), NULL), 0);
    assert_int_equal(second.inode, first.inode);
    assert_int_equal(control_start(&control, second.fd, answer, NULL, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, -ENOENT);
    control_stop(control);
    control_socket_close(&second);
    control_socket_close(&first);
}

/* Whoever took the question died with it: the next one is asked, of a mount. */
static void a_question_is_asked_again(void **state)
{
    struct control_socket socket;
    struct control *control = NULL;
    pthread_t thread;
    int result = 1, r;

    open_socket(&socket);
    for (int i = 0; i < 2; i++) {
        const bool at_once = i == 0;
        struct pollfd polled = { .fd = socket.fd, .events = POLLIN };
        char byte;
        int fd;

        r = platform_thread_start(&thread, ask_nothing, &result);
        assert_int_equal(r, 0);
        assert_int_equal(poll(&polled, 1, -1), 1);
        fd = accept(socket.fd, NULL, NULL);
        assert_true(fd >= 0);
        if (!at_once)
            assert_int_equal(read(fd, &byte, 1), 1);
        close(fd); /* with what was not read: its end is a reset */
        assert_int_equal(control_start(&control, socket.fd, answer, NULL, NULL), 0);
        pthread_join(thread, NULL);
        assert_int_equal(result, -ENOENT);
        control_stop(control);
    }
    control_socket_close(&socket);
}

/* One whose path was taken by another leaves it alone. */
static void another_s_socket_stays(void **state)
{
    struct control_socket first, second;
    int count = 0;

    open_socket(&first);
    open_socket(&second);
    control_socket_close(&first);
    assert_int_equal(control_list(count_ours, &count, NULL), 0);
    assert_int_equal(count, 1);
    control_socket_close(&second);
    control_socket_close(&second); /* nothing is left to be done */
    count = 0;
    assert_int_equal(control_list(count_ours, &count, NULL), 0);
    assert_int_equal(count, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_answer_is_named),
        cmocka_unit_test(what_is_asked_is_answered),
        cmocka_unit_test(a_question_waits_for_the_next_process),
        cmocka_unit_test(a_question_is_asked_again),
        cmocka_unit_test(another_s_socket_stays),
    };
    char directory[] = "/tmp/test-control-XXXXXX";

    if (geteuid() != 0 && mkdtemp(directory) != NULL)
        setenv("XDG_RUNTIME_DIR", directory, 1);
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
