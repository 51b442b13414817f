/* SPDX-License-Identifier: MIT */
#include "fs/holder/holder_backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/message.h"
#include "fs/session/kernel_backing.h"

#define ANSWER_MAX 128
/* Bytes of answers that a worker has not come for: behind them a message would have to wait for
 * room, which {"end": true} needs as well. */
#define UNREAD_MAX ((int)MESSAGE_MAX / 2)

bool holder_backing_is_possible(struct span init)
{
    return getenv(HOLDER_WITHOUT_PASSTHROUGH) == NULL && kernel_backing_is_offered(init);
}

/* What a worker could show without us. */
static int judge_file(const struct holder_backing_place *place, int file)
{
    struct stat info, cache;
    int flags = file >= 0 ? fcntl(file, F_GETFL) : -1;

    if (flags < 0 || fstat(file, &info) < 0 || fstat(place->cache, &cache) < 0)
        return -EBADF;
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_PATH) != 0 || !S_ISREG(info.st_mode) ||
        info.st_dev != cache.st_dev || info.st_uid != place->uid)
        return -EACCES;
    return 0;
}

static int register_file(struct holder_backing *backing, const struct holder_backing_place *place,
                         int file, uint32_t *out_id)
{
    int r = judge_file(place, file);

    if (r == 0 && backing->count == OPEN_TABLE_BACKINGS)
        r = -ENOSPC;
    if (r == 0)
        r = kernel_backing_open(place->fuse, file, out_id);
    if (r == 0)
        backing->ids[backing->count++] = *out_id;
    return r;
}

/* Also what is not listed, of another holder's time: there are no ids but of this connection. */
static void unregister(struct holder_backing *backing, int fuse, uint32_t id)
{
    kernel_backing_close(fuse, id);
    for (size_t i = 0; i < backing->count; i++) {
        if (backing->ids[i] != id)
            continue;
        backing->ids[i] = backing->ids[--backing->count];
        return;
    }
}

static bool has_room(int socket)
{
    int unread = 0;

    return ioctl(socket, SIOCOUTQ, &unread) == 0 && unread < UNREAD_MAX;
}

static int answer(int socket, int64_t number, int result, uint32_t id)
{
    cleanup(buf_release) struct buf text = buf_init(ANSWER_MAX);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    json_integer(&writer, "backing", number);
    if (result < 0)
        json_integer(&writer, "error", result);
    else
        json_integer(&writer, "id", id);
    json_end(&writer);
    if (!has_room(socket))
        return -EAGAIN;
    return buf_check(&text, NULL) == 0 ? message_try(socket, buf_span(&text), NULL, 0, NULL)
                                       : text.failure;
}

static void open_one(struct holder_backing *backing, const struct holder_backing_place *place,
                     int64_t number, int file)
{
    uint32_t id = 0;
    int r = register_file(backing, place, file, &id);

    if (answer(place->socket, number, r, id) < 0 && r == 0)
        unregister(backing, place->fuse, id);
}

static void close_all(struct holder_backing *backing, int fuse, const struct json_value *list)
{
    const struct json_value *at = NULL;
    int64_t id;

    while ((at = json_next(list, at)) != NULL)
        if (json_get_integer(at, "id", &id, NULL) == 0 && id > 0 && id <= INT32_MAX)
            unregister(backing, fuse, (uint32_t)id);
}

bool holder_backing_hear(struct holder_backing *backing, const struct holder_backing_place *place,
                         const struct json_value *said, const int descriptors[])
{
    const struct json_value *list = json_member(said, "backing_close");
    int64_t number = -1;

    if (json_is_array(list))
        close_all(backing, place->fuse, list);
    else if (json_member_integer(said, "backing_open", &number, NULL) == 0 && number >= 0)
        open_one(backing, place, number, descriptors[0]);
    else
        return false;
    return true;
}

void holder_backing_settle(struct holder_backing *backing, int fuse, int opens)
{
    cleanup_memory uint32_t *used = memory_array(OPEN_TABLE_BACKINGS, sizeof(*used));
    size_t count = 0;

    /* What cannot be found out stays registered until the next time. */
    if (opens < 0 || used == NULL ||
        open_table_backings(opens, used, OPEN_TABLE_BACKINGS, &count) < 0)
        return;
    for (size_t i = 0; i < backing->count; i++)
        if (!open_table_has_backing(used, count, backing->ids[i]))
            kernel_backing_close(fuse, backing->ids[i]);
    memcpy(backing->ids, used, count * sizeof(*used));
    backing->count = count;
}
