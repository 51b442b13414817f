/* SPDX-License-Identifier: MIT */
#include "fs/holder/holder_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "tests/support/unit.h"

#define FIRST_HALF 8
#define SECOND_HALF (8 + 128 * 1024)

static void fill(struct holder_state *state, uint64_t restarts)
{
    struct seat_state *seat;

    holder_state_init(state);
    seat = holder_state_add_seat(state);
    assert_non_null(seat);
    state->program = memory_text("/usr/bin/kkartifact-fs");
    state->mountpoint = memory_text("/re\xffpos");
    state->source = memory_text("https://a.example");
    state->cache = memory_text("/var/cache/kkartifact");
    state->store = memory_text("store");
    seat->device = 57;
    seat->restarts = restarts;
    state->deadline_ms = 30000;
    state->noexec = true;
    state->passthrough = true;
    seat->descriptors.fuse = 7;
    seat->descriptors.opens = 8;
    seat->descriptors.worker = 9;
    seat->worker = 4242;
    buf_add(&seat->init, "\x68\0\0\0\x1a\0\0\0", 8);
    buf_add_text(&state->config, "{\"servers\":[]}");
    (void)snprintf(seat->reason, sizeof(seat->reason), "signal 9 (Killed)");
}

static int save(int fd, uint64_t restarts)
{
    struct holder_state state;
    int r;

    fill(&state, restarts);
    r = holder_state_save(fd, &state, NULL);
    holder_state_release(&state);
    return r;
}

static uint64_t load_restarts(int fd)
{
    struct holder_state state;
    struct error err = { 0 };
    uint64_t restarts;

    holder_state_init(&state);
    if (holder_state_load(fd, &state, &err) < 0)
        fail_msg("%s", err.text);
    restarts = state.seats[0]->restarts;
    holder_state_release(&state);
    return restarts;
}

static void it_comes_back_whole(void **unused)
{
    struct holder_state state;
    int fd = -1;

    assert_int_equal(holder_state_create(&fd, NULL), 0);
    assert_int_equal(save(fd, 3), 0);
    holder_state_init(&state);
    assert_int_equal(holder_state_load(fd, &state, NULL), 0);
    assert_string_equal(state.program, "/usr/bin/kkartifact-fs");
    assert_string_equal(state.mountpoint, "/re\xffpos");
    assert_string_equal(state.store, "store");
    assert_null(state.token_file);
    assert_int_equal(state.seats[0]->device, 57);
    assert_int_equal(state.seats[0]->restarts, 3);
    assert_int_equal(state.deadline_ms, 30000);
    assert_true(state.noexec);
    assert_true(state.passthrough);
    assert_int_equal(state.seats[0]->descriptors.fuse, 7);
    assert_int_equal(state.seats[0]->descriptors.opens, 8);
    assert_int_equal(state.seats[0]->descriptors.worker, 9);
    assert_int_equal(state.seats[0]->descriptors.ring, -1);
    assert_int_equal(state.seats[0]->worker, 4242);
    assert_int_equal(state.seats[0]->init.size, 8);
    assert_memory_equal(state.seats[0]->init.bytes, "\x68\0\0\0\x1a\0\0\0", 8);
    assert_string_equal(buf_text(&state.config), "{\"servers\":[]}");
    assert_string_equal(state.seats[0]->reason, "signal 9 (Killed)");
    holder_state_release(&state);
    close(fd);
}

static void connections_keep_their_order(void **unused)
{
    struct holder_state state;
    int fd = -1;

    assert_int_equal(holder_state_create(&fd, NULL), 0);
    fill(&state, 0);
    for (uint64_t device = 58; device < 57 + HOLDER_SEATS_MAX; device++)
        holder_state_add_seat(&state)->device = device;
    assert_null(holder_state_add_seat(&state));
    holder_state_remove_seat(&state, 1);
    assert_int_equal(holder_state_save(fd, &state, NULL), 0);
    holder_state_release(&state);
    assert_int_equal(holder_state_load(fd, &state, NULL), 0);
    assert_int_equal(state.seat_count, HOLDER_SEATS_MAX - 1);
    assert_int_equal(state.seats[0]->device, 57);
    for (size_t i = 1; i < state.seat_count; i++)
        assert_int_equal(state.seats[i]->device, 58 + i);
    holder_state_release(&state);
    close(fd);
}

/* A program that knows no attach is not to go on with one. */
static void an_attach_has_a_format_of_its_own(void **unused)
{
    struct holder_state state;
    char text[256] = { 0 };
    int fd = -1;

    assert_int_equal(holder_state_create(&fd, NULL), 0);
    fill(&state, 0);
    state.attach.is_attached = true;
    state.attach.project = memory_text("p");
    state.attach.app = memory_text("a");
    assert_int_equal(holder_state_save(fd, &state, NULL), 0);
    holder_state_release(&state);
    assert_true(pread(fd, text, sizeof(text) - 1, SECOND_HALF + 8) > 0);
    assert_non_null(strstr(text, "\"format\":2"));
    assert_int_equal(holder_state_load(fd, &state, NULL), 0);
    assert_true(state.attach.is_attached);
    assert_string_equal(state.attach.app, "a");
    holder_state_release(&state);
    close(fd);
}

/* Between any two writes of a save the former state stands: the half that is written is not the one
 * that counts, whatever is in it. */
static void a_death_in_a_save_leaves_the_former(void **unused)
{
    static const uint64_t places[] = { FIRST_HALF, SECOND_HALF };
    char rubbish[4096];
    int fd = -1;

    memset(rubbish, 'x', sizeof(rubbish));
    assert_int_equal(holder_state_create(&fd, NULL), 0);
    for (uint64_t i = 1; i <= 6; i++) {
        assert_int_equal(save(fd, i), 0);
        assert_int_equal(load_restarts(fd), i);
        /* The next save begins, and is cut off. */
        assert_int_equal(file_write_at(fd, places[(i + 1) & 1], rubbish, sizeof(rubbish), NULL), 0);
        assert_int_equal(load_restarts(fd), i);
    }
    close(fd);
}

static void write_text(int fd, const char *text)
{
    uint64_t number = 1, size = strlen(text);

    assert_int_equal(file_write_at(fd, SECOND_HALF + 8, text, size, NULL), 0);
    assert_int_equal(file_write_at(fd, SECOND_HALF, &size, sizeof(size), NULL), 0);
    assert_int_equal(file_write_at(fd, 0, &number, sizeof(number), NULL), 0);
}

static int load_text(int fd, const char *text, struct holder_state *state)
{
    write_text(fd, text);
    return holder_state_load(fd, state, NULL);
}

/* From a newer program, and from an older one. */
static void what_is_not_known_is_passed_over(void **unused)
{
    struct holder_state state;
    int fd = -1;

    assert_int_equal(holder_state_create(&fd, NULL), 0);
    holder_state_init(&state);
    assert_int_equal(load_text(fd,
                               "{\"format\":1,\"new\":{\"a\":[1]},\"program\":\"YQ==\","
                               "\"mountpoint\":\"Yg==\",\"source\":\"Yw==\",\"cache\":\"ZA==\","
                               "\"config\":\"e30=\",\"descriptors\":{\"fuse\":5,\"later\":6}}",
                               &state),
                     0);
    assert_string_equal(state.mountpoint, "b");
    assert_int_equal(state.seats[0]->descriptors.fuse, 5);
    assert_int_equal(state.seats[0]->device, 0);
    assert_int_equal(state.seats[0]->restarts, 0);
    holder_state_release(&state);
    close(fd);
}

static void what_cannot_be_gone_on_with_is_refused(void **unused)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "{\"format\":3}", -ENOTSUP }, { "{\"format\":0}", -ENOTSUP },
        { "{\"format\":1}", -EBADMSG }, { "{\"format\":1,\"device\":\"x\"}", -EBADMSG },
        { "no json", -EBADMSG },
    };
    struct holder_state state;
    int fd = -1;

    assert_int_equal(holder_state_create(&fd, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        holder_state_init(&state);
        if (i == 0)
            assert_int_equal(holder_state_load(fd, &state, NULL), -EBADMSG); /* never written */
        assert_int_equal(load_text(fd, cases[i].text, &state), cases[i].code);
        holder_state_release(&state);
    }
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_whole),
        cmocka_unit_test(connections_keep_their_order),
        cmocka_unit_test(an_attach_has_a_format_of_its_own),
        cmocka_unit_test(a_death_in_a_save_leaves_the_former),
        cmocka_unit_test(what_is_not_known_is_passed_over),
        cmocka_unit_test(what_cannot_be_gone_on_with_is_refused),
    };

    return cmocka_run_group_tests_name("holder_state", tests, NULL, NULL);
}
