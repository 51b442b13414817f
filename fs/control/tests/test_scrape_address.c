/* SPDX-License-Identifier: MIT */
#include "fs/control/scrape_address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/support/place.h"

static void addresses_are_known(void **state)
{
    static const struct {
        const char *text;
        bool is_one;
    } cases[] = {
        { "9100", true },
        { ":9100", true },
        { "localhost:9100", true },
        { "127.0.0.1:1", true },
        { "[::1]:65535", true },
        { "*:9100", true },
        { "/run/x.sock", true },
        { "", false },
        { ":", false },
        { ":0", false },
        { ":65536", false },
        { "0.0.0.0:9100", false },
        { "[::]:9100", false },
        { "::1:9100", false },
        { "example.org:9100", false },
        { "relative/path", false },
        { "127.0.0.1", false },
        { "[::1]", false },
        { "127.0.0.1:09100", false },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1",
          false },
        { "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct error err = { 0 };
        int r = scrape_address_check(cases[i].text, &err);
        if ((r == 0) != cases[i].is_one)
            print_error("%s: %s\n", cases[i].text, err.text);
        assert_int_equal(r, cases[i].is_one ? 0 : -EINVAL);
    }
}

static void loopback_unless_told(void **state)
{
    struct sockaddr_in bound = { 0 };
    socklen_t size = sizeof(bound);
    char text[16];
    int fd = -1, other = -1;

    /* A port that is free now, most likely also a moment later. */
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bound.sin_family = AF_INET;
    assert_int_equal(bind(fd, (struct sockaddr *)&bound, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    close(fd);
    snprintf(text, sizeof(text), "%u", ntohs(bound.sin_port));
    assert_int_equal(scrape_address_listen(text, &fd, NULL), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    assert_int_equal(ntohl(bound.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(scrape_address_listen(text, &other, NULL), -EADDRINUSE);
    close(fd);
}

static void only_a_dead_socket_is_replaced(void **state)
{
    struct place *place = *state;
    struct stat found;
    char path[128];
    int fd = -1, other = -1;

    snprintf(path, sizeof(path), "%s/s", place->path);
    assert_int_equal(scrape_address_listen(path, &fd, NULL), 0);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0660);
    assert_int_equal(scrape_address_listen(path, &other, NULL), -EADDRINUSE);
    close(fd);
    assert_int_equal(scrape_address_listen(path, &fd, NULL), 0);
    close(fd);
    scrape_address_remove(path);
    assert_int_equal(lstat(path, &found), -1);
    place_put(place, "s", "a file");
    assert_int_equal(scrape_address_listen(path, &fd, NULL), -EEXIST);
    assert_int_equal(lstat(path, &found), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_known),
        cmocka_unit_test(loopback_unless_told),
        IN_A_PLACE(only_a_dead_socket_is_replaced),
    };

    return cmocka_run_group_tests_name("scrape_address", tests, NULL, NULL);
}
