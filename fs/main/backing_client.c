/* SPDX-License-Identifier: MIT */
#include "fs/main/backing_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "fs/holder/message.h"
#include "fs/main/worker.h"
#include "fs/ops/ops.h"

#define PROBE_MS 1000

static int say(int socket, struct buf *text, const int *descriptors, size_t count)
{
    int r = buf_check(text, NULL);

    return r == 0 ? message_try(socket, buf_span(text), descriptors, count, NULL) : r;
}

int backing_client_open(void *context, uint64_t number, int file)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    const int *socket = context;

    json_begin_object(&writer, NULL);
    json_integer(&writer, "backing_open", (int64_t)number);
    json_end(&writer);
    return say(*socket, &text, &file, 1);
}

int backing_client_close(void *context, const uint32_t *ids, size_t count)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    const int *socket = context;

    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "backing_close");
    for (size_t i = 0; i < count; i++)
        json_integer(&writer, NULL, ids[i]);
    json_end(&writer);
    json_end(&writer);
    return say(*socket, &text, NULL, 0);
}

/* Without a name, open for reading only, as an object of the cache would be. -1: not on this file
 * system. */
static int open_probe(const char *cache)
{
    cleanup_fd int written = open(cache, O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
    char path[32];

    if (written < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", written);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int backing_client_probe(int socket, const char *cache, struct worker_backing *out)
{
    cleanup_fd int file = open_probe(cache);
    struct pollfd polled = { .fd = socket, .events = POLLIN };
    struct worker_heard heard;

    if (file < 0 || backing_client_open(&socket, OPS_BACKING_PROBE, file) < 0 ||
        poll(&polled, 1, PROBE_MS) <= 0)
        return -EAGAIN;
    worker_hear(socket, NULL, &heard);
    *out = heard.backing;
    return heard.what == WORKER_HEARD_BACKING ? 0
           : heard.what == WORKER_HEARD_END   ? -ECANCELED
                                              : -EAGAIN;
}
