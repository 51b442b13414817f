/* SPDX-License-Identifier: MIT */
#include "fs/holder/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "fs/control/control_path.h"
#include "fs/holder/holder_private.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_mount.h"

#define FIRST_REQUEST_MAX ((size_t)128 * 1024) /* what the kernel wants as a buffer at least */
#define INIT 26
#define BEATS_MISSED_MAX 10 /* ticks, not seconds: a machine that slept has no ticks */

struct seat *seat_new(struct holder *holder, struct seat_state *state)
{
    struct seat *seat = memory_new(sizeof(*seat));

    if (seat == NULL)
        return NULL;
    seat->holder = holder;
    seat->state = state;
    seat->worker_socket = seat->control.fd = seat->own.fd = -1;
    return seat;
}

struct seat *seat_free(struct seat *seat)
{
    if (seat == NULL)
        return NULL;
    control_socket_close(&seat->control);
    control_socket_close(&seat->own);
    ring_watch_close(seat->watch);
    const int open[] = { seat->state->descriptors.fuse, seat->state->descriptors.ring,
                         seat->state->descriptors.opens, seat->worker_socket };
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (open[i] >= 0)
            close(open[i]);
    return memory_free(seat);
}

int seat_prepare(struct seat *seat, struct error *err)
{
    struct seat_descriptors *descriptors = &seat->state->descriptors;
    int r = 0;

    if (descriptors->ring < 0)
        r = ring_create(&descriptors->ring, err);
    if (r == 0)
        r = ring_watch_open(descriptors->ring, &seat->watch, err);
    if (r == 0 && descriptors->fuse < 0) {
        descriptors->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (descriptors->fuse < 0)
            r = error_system(err, errno, "/dev/fuse");
    }
    return r;
}

/* The kernel asks it at once. It is kept: whoever comes later negotiates from it, too. */
static int read_first_request(struct seat *seat, struct error *err)
{
    cleanup_memory uint8_t *at = memory_new(FIRST_REQUEST_MAX);
    uint32_t header[2] = { 0 };
    ssize_t size;

    if (at == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    do
        size = read(seat->state->descriptors.fuse, at, FIRST_REQUEST_MAX);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return error_system(err, errno, "the kernel ended the connection at once");
    if (size >= (ssize_t)sizeof(header))
        memcpy(header, at, sizeof(header));
    if (header[0] != (uint32_t)size || header[1] != INIT)
        return error_set(err, -EIO, "the kernel begins with something else");
    buf_add(&seat->state->init, at, (size_t)size);
    return buf_check(&seat->state->init, err);
}

/* How files are opened is decided once for a connection: by the kernel alone, which is the quicker
 * way, or by asking, so that they can have backing files. */
static int decide_opens(struct seat *seat, struct error *err)
{
    struct seat_state *state = seat->state;

    if (!seat->holder->state.passthrough || !holder_backing_is_possible(buf_span(&state->init)))
        return 0;
    return open_table_create(&state->descriptors.opens, err);
}

int seat_take_device(struct seat *seat, uint64_t device, struct error *err)
{
    int r;

    seat->state->device = device;
    r = read_first_request(seat, err);
    return r == 0 ? decide_opens(seat, err) : r;
}

int seat_open_sockets(struct seat *seat, bool resume, struct error *err)
{
    struct seat_descriptors *descriptors = &seat->state->descriptors;
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096),
                                    own = buf_init(4096);
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    control_path_socket(&path, buf_text(&directory), seat->state->device);
    control_path_holder(&own, buf_text(&directory), seat->state->device);
    r = resume ? control_socket_resume(&seat->control, buf_text(&path), descriptors->control, err)
               : control_socket_open(&seat->control, buf_text(&path), err);
    if (r == 0)
        r = resume ? control_socket_resume(&seat->own, buf_text(&own), descriptors->own, err)
                   : control_socket_open(&seat->own, buf_text(&own), err);
    if (r == 0) {
        descriptors->control = seat->control.fd;
        descriptors->own = seat->own.fd;
    }
    return r;
}

bool seat_is_over(const struct seat *seat)
{
    return seat->state->device != 0 && kernel_mount_is_over(seat->state->descriptors.fuse);
}

static void check_beat(struct seat *seat)
{
    uint64_t beat_ms = ring_watch_beat_ms(seat->watch);

    seat->beats_missed = beat_ms == seat->beat_ms ? seat->beats_missed + 1 : 0;
    seat->beat_ms = beat_ms;
    if (seat->beats_missed == BEATS_MISSED_MAX)
        seat_kill_worker(seat, "its event loop stood still for ten seconds");
}

void seat_tick(struct seat *seat)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (seat->worker > 0 && seat->serves)
        check_beat(seat);
    else if (seat->worker > 0 && seat->was_ready && now_ms - seat->started_ms >= SEAT_START_MS)
        seat_kill_worker(seat, "it did not begin to serve");
    else if (seat->worker == 0 && seat_is_over(seat))
        seat->over = true;
    else if (seat->worker == 0 && seat->was_ready && now_ms >= seat->retry_ms)
        seat_follow(seat, 0);
}
