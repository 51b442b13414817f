/* SPDX-License-Identifier: MIT */
#include "agent/transfer/part_ahead.h"

#include <errno.h>

#include "agent/transfer/part_coding.h"
#include "common/base/workers.h"

static void made(void *context);

/* On a thread. */
static void make(void *context)
{
    struct part_ahead *ahead = context;
    struct part_made *next = &ahead->next;

    ahead->result = part_coding_pack(ahead->fd, next->offset, next->size, ahead->stop, &next->bytes,
                                     &ahead->error);
    http_loop_post_at(ahead->loop, &ahead->post);
}

static void start(struct part_ahead *ahead, uint64_t offset)
{
    uint64_t left = ahead->file_size - offset;

    buf_release(&ahead->next.bytes);
    ahead->next.offset = offset;
    ahead->next.size = left < ahead->part_size ? left : ahead->part_size;
    ahead->is_made = false;
    ahead->at_thread = true;
    ahead->post = (struct http_post){ .function = made, .context = ahead };
    workers_submit(ahead->workers, make, ahead);
}

/* `next` is the one that was asked for. */
static void give(struct part_ahead *ahead)
{
    struct part_made old = ahead->part;
    struct error err = ahead->error;
    int r = ahead->result;
    uint64_t end;

    ahead->is_asked = ahead->is_made = false;
    ahead->part = ahead->next;
    ahead->next = old;
    ahead->part.packed = r == 0;
    if (r == -EFBIG) /* this one goes as it is */
        r = 0;
    end = ahead->part.offset + ahead->part.size;
    if (r == 0 && end < ahead->file_size)
        start(ahead, end);
    ahead->on_ready(ahead->context, r, &err);
}

static void made(void *context)
{
    struct part_ahead *ahead = context;

    ahead->at_thread = false;
    ahead->is_made = true;
    if (ahead->ended) {
        part_ahead_end(ahead);
        ahead->on_idle(ahead->context);
    } else if (ahead->is_asked && ahead->next.offset == ahead->wanted) {
        give(ahead);
    } else if (ahead->is_asked) {
        start(ahead, ahead->wanted);
    }
}

void part_ahead_begin(struct part_ahead *ahead, int fd, uint64_t file_size, uint64_t part_size)
{
    ahead->fd = fd;
    ahead->file_size = file_size;
    ahead->part_size = part_size;
    ahead->is_asked = ahead->is_made = ahead->ended = false;
    ahead->part.bytes = buf_init(PART_CODING_SIZE_MAX);
    ahead->next.bytes = buf_init(PART_CODING_SIZE_MAX);
}

void part_ahead_ask(struct part_ahead *ahead, uint64_t offset)
{
    ahead->is_asked = true;
    ahead->wanted = offset;
    if (ahead->at_thread)
        return;
    if (ahead->is_made && ahead->next.offset == offset)
        give(ahead);
    else
        start(ahead, offset);
}

void part_ahead_end(struct part_ahead *ahead)
{
    ahead->ended = true;
    ahead->is_asked = false;
    if (ahead->at_thread)
        return;
    buf_release(&ahead->part.bytes);
    buf_release(&ahead->next.bytes);
}

bool part_ahead_busy(const struct part_ahead *ahead)
{
    return ahead->at_thread;
}
