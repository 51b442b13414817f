/* SPDX-License-Identifier: MIT */
/* Which versions are in use: only root sees that of everybody's processes. */
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "fs/holder/holder_private.h"
#include "fs/holder/message.h"
#include "fs/look/looker.h"

#define BEATS_MISSED_MAX 3 /* by chance, or on a busy machine */

static void tell_worker(const struct seat *seat, const struct look_use *uses, size_t count)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "in_use");
    for (size_t i = 0; i < count; i++)
        if (uses[i].device == seat->state->device)
            json_integer(&writer, NULL, uses[i].slot);
    json_end(&writer);
    json_end(&writer);
    /* One that stands still is told nothing: what it does not read would fill the socket. */
    if (buf_check(&text, NULL) == 0 && seat->serves && seat->beats_missed < BEATS_MISSED_MAX)
        message_send(seat->worker_socket, buf_span(&text), NULL, 0, NULL);
}

static void found(void *context, const struct look_use *uses, size_t count)
{
    struct holder *holder = context;

    for (size_t i = 0; i < holder->seat_count; i++)
        if (!holder->seats[i]->is_refusing)
            tell_worker(holder->seats[i], uses, count);
}

void holder_look(struct holder *holder)
{
    uint64_t devices[HOLDER_SEATS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < holder->seat_count; i++)
        if (holder->seats[i]->serves && !holder->seats[i]->is_refusing)
            devices[count++] = holder->seats[i]->state->device;
    if (count == 0 ||
        (holder->looker == NULL && looker_new(&holder->looker, holder->program, NULL) < 0))
        return;
    looker_turn(holder->looker, devices, count, found, holder);
}
