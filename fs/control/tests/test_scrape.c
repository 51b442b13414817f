/* SPDX-License-Identifier: MIT */
#include "fs/control/scrape.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "fs/control/scrape_address.h"
#include "tests/support/place.h"

#define LARGE 300000

struct world {
    struct place *place;
    char path[128];
    int listening;
    size_t fill; /* bytes of the text */
    struct scrape *scrape;
};

static void write_text(void *context, struct buf *out)
{
    struct world *world = context;

    buf_add_text(out, "a_total 1\n");
    buf_add_zeros(out, world->fill);
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_int_equal(place_make((void **)&world->place), 0);
    snprintf(world->path, sizeof(world->path), "%s/s", world->place->path);
    assert_int_equal(scrape_address_listen(world->path, &world->listening, NULL), 0);
    assert_int_equal(scrape_start(&world->scrape, world->listening, write_text, world, NULL), 0);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;
    void *place = world->place;

    assert_null(scrape_stop(world->scrape));
    close(world->listening);
    place_remove(&place);
    free(world);
    return 0;
}

static int connect_to(struct world *world)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* To the end; how much it was, its beginning in `out`. */
static size_t hear(int fd, char *out, size_t size)
{
    static char room[65536];
    size_t all = 0;
    ssize_t got;

    memset(out, 0, size);
    while ((got = recv(fd, room, sizeof(room), 0)) > 0) {
        for (ssize_t i = 0; i < got && all + (size_t)i + 1 < size; i++)
            out[all + (size_t)i] = room[i];
        all += (size_t)got;
    }
    close(fd);
    return all;
}

static void expect(struct world *world, const char *request, const char *begins, const char *ends)
{
    char heard[1024];
    int fd = connect_to(world);
    size_t size;

    say(fd, request);
    size = hear(fd, heard, sizeof(heard));
    if (strncmp(heard, begins, strlen(begins)) != 0)
        print_error("%s -> %s\n", request, heard);
    assert_int_equal(strncmp(heard, begins, strlen(begins)), 0);
    assert_true(size >= strlen(ends));
    assert_string_equal(heard + size - strlen(ends), ends);
}

static void requests_are_judged(void **state)
{
    struct world *world = *state;

    expect(world, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
           "Content-Length: 10\r\nConnection: close\r\n\r\na_total 1\n");
    expect(world, "GET /metrics?a=b HTTP/1.0\n\n", "HTTP/1.1 200 OK\r\n", "a_total 1\n");
    expect(world, "HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
           "Content-Length: 10\r\nConnection: close\r\n\r\n");
    expect(world, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "404 Not Found\n");
    expect(world, "GET /metrics/../x HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "404 Not Found\n");
    expect(world, "POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 405 ",
           "405 Method Not Allowed\n");
    expect(world, "nonsense\r\n\r\n", "HTTP/1.1 400 ", "400 Bad Request\n");
    expect(world, "\r\n\r\n", "HTTP/1.1 400 ", "400 Bad Request\n");
    expect(world, "GET /metrics SPDY/3\r\n\r\n", "HTTP/1.1 400 ", "400 Bad Request\n");
}

static void a_request_comes_in_parts(void **state)
{
    struct world *world = *state;
    const char *request = "GET /metrics HTTP/1.1\r\n\r\n";
    char heard[512];
    int fd = connect_to(world);

    for (size_t i = 0; i < strlen(request); i++)
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
    hear(fd, heard, sizeof(heard));
    assert_non_null(strstr(heard, "a_total 1"));
}

static void one_that_is_too_long_is_refused(void **state)
{
    struct world *world = *state;
    char line[5000], heard[512];
    int fd = connect_to(world);

    memset(line, 'x', sizeof(line));
    assert_int_equal(send(fd, line, sizeof(line), MSG_NOSIGNAL), sizeof(line));
    hear(fd, heard, sizeof(heard));
    assert_int_equal(strncmp(heard, "HTTP/1.1 431 ", 13), 0);
}

static void a_large_answer_comes_whole(void **state)
{
    struct world *world = *state;
    char heard[256];
    int fd;

    world->fill = LARGE;
    fd = connect_to(world);
    say(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, heard, sizeof(heard)) > LARGE);
}

/* Those who say nothing make room for whoever does, and are dropped in the end. */
static void silent_ones_do_not_stay(void **state)
{
    struct world *world = *state;
    int silent[SCRAPE_CLIENTS];
    char byte;

    for (size_t i = 0; i < SCRAPE_CLIENTS; i++)
        silent[i] = connect_to(world);
    expect(world, "GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "a_total 1\n");
    for (size_t i = 0; i < SCRAPE_CLIENTS; i++) {
        assert_true(recv(silent[i], &byte, 1, 0) <= 0);
        close(silent[i]);
    }
}

/* It ends at once, whoever is connected. */
static void the_end_waits_for_nobody(void **state)
{
    struct world *world = *state;
    struct pollfd polled = { .fd = connect_to(world), .events = POLLIN };
    char byte;

    say(polled.fd, "GET /metr");
    world->scrape = scrape_stop(world->scrape);
    close(world->listening); /* also when it was not accepted yet */
    world->listening = -1;
    assert_int_equal(poll(&polled, 1, 60000), 1);
    assert_true(recv(polled.fd, &byte, 1, 0) <= 0);
    close(polled.fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
    static const struct CMUnitTest tests[] = {
        TEST(requests_are_judged),
        TEST(a_request_comes_in_parts),
        TEST(one_that_is_too_long_is_refused),
        TEST(a_large_answer_comes_whole),
        TEST(silent_ones_do_not_stay),
        TEST(the_end_waits_for_nobody),
    };

    return cmocka_run_group_tests_name("scrape", tests, NULL, NULL);
}
