/* SPDX-License-Identifier: MIT */
#include "common/base/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void one_datagram(void **state)
{
    char directory[] = "/tmp/notify.XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char got[64] = "";

    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    notify_manager("READY=1");
    assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    unlink(address.sun_path);
    rmdir(directory);
}

static void descriptors_travel_with_it(void **state)
{
    char directory[] = "/tmp/notify.XXXXXX", got[64] = "";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec text = { got, sizeof(got) - 1 };
    struct msghdr message = { .msg_iov = &text,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    int ends[2], received[2];
    char byte = 0;

    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_int_equal(pipe(ends), 0);
    notify_manager_with("FDSTORE=1\nFDNAME=x", ends, 2);
    assert_int_equal(recvmsg(fd, &message, MSG_DONTWAIT), 18);
    assert_string_equal(got, "FDSTORE=1\nFDNAME=x");
    assert_int_equal(CMSG_FIRSTHDR(&message)->cmsg_len, CMSG_LEN(sizeof(received)));
    memcpy(received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(received));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(received[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(received[i]);
    }
    unlink(address.sun_path);
    rmdir(directory);
}

/* None, nobody there, nonsense, too long: nothing happens. */
static void nobody_listens(void **state)
{
    char longer[300];

    memset(longer, 'a', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    unsetenv("NOTIFY_SOCKET");
    notify_manager("READY=1");
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    notify_manager("READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    notify_manager("READY=1");
    setenv("NOTIFY_SOCKET", longer, 1);
    notify_manager("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_datagram),
        cmocka_unit_test(descriptors_travel_with_it),
        cmocka_unit_test(nobody_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
