/* SPDX-License-Identifier: MIT */
#include "fs/ring/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static int new_ring(struct ring **out_ring)
{
    int fd = -1;

    assert_int_equal(ring_create(&fd, NULL), 0);
    assert_int_equal(ring_open(fd, out_ring, NULL), 0);
    return fd;
}

/* As the kernel would have written it there. */
static size_t read_request(struct ring *ring, uint64_t number)
{
    struct ring_header header = { .size = 80, .operation = 15, .number = number };
    size_t slot = RING_SLOTS;

    assert_int_equal(ring_claim(ring, 0, &slot), 0);
    memcpy(ring_bytes(ring, slot), &header, sizeof(header));
    return slot;
}

struct replayed {
    struct ring *ring;
    uint64_t numbers[RING_SLOTS];
    size_t count;
};

static void replay(void *context, size_t slot)
{
    struct replayed *replayed = context;

    replayed->numbers[replayed->count++] = ring_header(replayed->ring, slot).number;
    assert_true(ring_answered(replayed->ring, ring_header(replayed->ring, slot).number));
}

static void what_is_answered_is_free(void **state)
{
    struct ring *ring = NULL;
    int fd = new_ring(&ring);
    size_t slot = read_request(ring, 6);

    ring_filled(ring, slot);
    assert_int_equal(ring_owed(ring), 1);
    assert_false(ring_answered(ring, 8));
    assert_false(ring_answered(ring, 0));
    assert_true(ring_answered(ring, 6));
    assert_false(ring_answered(ring, 6));
    assert_int_equal(ring_owed(ring), 0);
    ring_close(ring);
    close(fd);
}

/* A death at every step: claimed, read but not noted, noted; and in the middle of freeing nothing
 * is left. */
static void the_next_process_finds_what_is_owed(void **state)
{
    struct ring *ring = NULL;
    struct replayed replayed = { .count = 0 };
    int fd = new_ring(&ring), status;
    size_t slot;
    pid_t pid = fork();

    if (pid == 0) {
        ring_filled(ring, read_request(ring, 2));
        ring_filled(ring, read_request(ring, 4));
        read_request(ring, 6);               /* read, and then killed */
        if (ring_claim(ring, 0, &slot) != 0) /* waiting for a request */
            _exit(1);
        _exit(ring_answered(ring, 2) ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ring_close(ring);
    assert_int_equal(ring_open(fd, &ring, NULL), 0);
    assert_int_equal(ring_owed(ring), 2);
    replayed.ring = ring;
    assert_int_equal(ring_replay(ring, replay, &replayed), 2);
    assert_int_equal(replayed.numbers[0] + replayed.numbers[1], 4 + 6);
    assert_int_equal(ring_owed(ring), 0);
    assert_int_equal(ring_replay(ring, replay, &replayed), 0);
    ring_close(ring);
    close(fd);
}

/* Sent again, and again after another death: the time is that of the first. */
static void a_request_that_comes_again_keeps_its_time(void **state)
{
    struct ring *ring = NULL;
    int fd = new_ring(&ring);
    uint64_t first_ms;
    size_t slot = read_request(ring, 10);

    ring_filled(ring, slot);
    first_ms = ring_asked_ms(ring, slot);
    assert_true(first_ms != 0);
    for (int death = 0; death < 3; death++) {
        while (clock_monotonic_ms() <= first_ms + (uint64_t)death)
            continue;
        ring_close(ring);
        assert_int_equal(ring_open(fd, &ring, NULL), 0);
        assert_int_equal(ring_carry(ring), 1);
        assert_int_equal(ring_owed(ring), 0);
        slot = read_request(ring, 10 | RING_RESENT);
        ring_filled(ring, slot);
        assert_int_equal(ring_asked_ms(ring, slot), first_ms);
    }
    /* Another one does not take it over; and it is gone once it was taken. */
    slot = read_request(ring, 12 | RING_RESENT);
    ring_filled(ring, slot);
    assert_true(ring_asked_ms(ring, slot) > first_ms);
    assert_true(ring_answered(ring, 10 | RING_RESENT));
    assert_true(ring_answered(ring, 12 | RING_RESENT));
    assert_int_equal(ring_carry(ring), 0);
    ring_close(ring);
    close(fd);
}

static void a_full_ring_waits_and_forgets_times_first(void **state)
{
    struct ring *ring = NULL;
    int fd = new_ring(&ring);
    uint64_t before_ms;
    size_t slot;

    ring_filled(ring, read_request(ring, 2));
    assert_int_equal(ring_carry(ring), 1);
    for (uint64_t i = 0; i < RING_SLOTS; i++) /* the last one takes the place of the carried */
        ring_filled(ring, read_request(ring, 100 + 2 * i));
    before_ms = clock_monotonic_ms();
    assert_int_equal(ring_claim(ring, 20, &slot), -EAGAIN);
    assert_true(clock_monotonic_ms() - before_ms >= 20);
    assert_true(ring_answered(ring, 100 + 2 * 77));
    assert_int_equal(ring_claim(ring, 0, &slot), 0);
    ring_release(ring, slot);
    ring_close(ring);
    close(fd);
}

static void the_holder_sees_answers_and_beats(void **state)
{
    struct ring *ring = NULL;
    struct ring_watch *watch = NULL;
    int fd = new_ring(&ring);

    assert_int_equal(ring_watch_open(fd, &watch, NULL), 0);
    ring_watch_reset(watch, 5);
    assert_false(ring_watch_answered(watch));
    assert_int_equal(ring_watch_beat_ms(watch), 5);
    ring_beat(ring, 9);
    assert_int_equal(ring_watch_beat_ms(watch), 9);
    ring_filled(ring, read_request(ring, 2));
    assert_false(ring_watch_answered(watch));
    assert_true(ring_answered(ring, 2));
    assert_true(ring_watch_answered(watch));
    ring_watch_close(watch);
    ring_close(ring);
    close(fd);
}

static void other_memory_is_refused(void **state)
{
    cleanup_fd int small = memfd_create("small", MFD_CLOEXEC);
    cleanup_fd int other = memfd_create("other", MFD_CLOEXEC);
    struct ring *ring = NULL;
    struct error err = { 0 };

    assert_int_equal(ring_open(small, &ring, &err), -EBADMSG);
    assert_int_equal(ftruncate(other, 64 << 20), 0);
    assert_int_equal(ring_open(other, &ring, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "another version"));
    assert_null(ring);
}

static int open_and_close(int fd)
{
    struct ring *ring = NULL;
    int r = ring_open(fd, &ring, NULL);

    ring_close(ring);
    return r;
}

static void no_memory(void **state)
{
    cleanup_fd int fd = -1;

    assert_int_equal(ring_create(&fd, NULL), 0);
    assert_survives_no_memory(open_and_close(fd));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_answered_is_free),
        cmocka_unit_test(the_next_process_finds_what_is_owed),
        cmocka_unit_test(a_request_that_comes_again_keeps_its_time),
        cmocka_unit_test(a_full_ring_waits_and_forgets_times_first),
        cmocka_unit_test(the_holder_sees_answers_and_beats),
        cmocka_unit_test(other_memory_is_refused),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
