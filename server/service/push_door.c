/* SPDX-License-Identifier: MIT */
#include "server/service/push_door.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "server/service/context.h"
#include "server/service/refusal.h"
#include "server/storage/blob_store.h"

static int refuse(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "no such push"));
}

static bool is_push_id(const char *id)
{
    return strlen(id) == PUSH_ID_SIZE - 1 && strspn(id, "0123456789abcdef") == PUSH_ID_SIZE - 1;
}

int push_enter(struct services *services, const struct caller *caller, const char *project,
               const char *app, const char *id, struct push *out, struct refusal *why,
               struct error *err)
{
    struct push push = push_empty();
    int r = access_check(services, &caller->identity, ACCESS_PUSH, ACCESS_WHOLE, project, app, why,
                         err);

    if (r < 0)
        return r;
    if (!is_push_id(id))
        return refuse(why, err);
    r = push_get(services->database, project, app, id, caller->identity.id, &push, err);
    if (r == 0)
        r = push_renew(services->database, &push, err);
    if (r < 0) {
        push_release(&push);
        return r == -ENOENT ? refuse(why, err) : r;
    }
    *out = push;
    return 0;
}

int push_look_again(struct services *services, struct push *push, struct refusal *why,
                    struct error *err)
{
    struct push now = push_empty();
    int r =
        push_get(services->database, push->project, push->app, push->id, push->token_id, &now, err);

    if (r < 0)
        return push_result_of(r, why, err);
    push_release(push);
    *push = now;
    return 0;
}

struct blob_scope push_scope(const struct identity *identity)
{
    return (struct blob_scope){
        .project = identity->project[0] != '\0' ? identity->project : NULL,
        .app = identity->app[0] != '\0' ? identity->app : NULL,
        .token_id = identity->id,
    };
}

/* Names the reserve: the disk does not look full to who looks at it. */
static int refuse_full(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_FULL,
                       error_set(err, -ENOSPC,
                                 "the store is full: it keeps %u MiB of its disk free",
                                 (unsigned)(PUSH_ROOM >> 20)));
}

int push_result_of(int result, struct refusal *why, struct error *err)
{
    switch (result) {
    case 0:
        return 0;
    case -ENOENT:
        return refuse(why, err);
    case -ENOSPC:
    case -EDQUOT:
        return refuse_full(why, err);
    case -EFBIG:
        return refusal_set(why, REFUSAL_TOO_LARGE, result);
    case -EBUSY:
        return refusal_set(why, REFUSAL_PUSH_BUSY,
                           error_set(err, result, "another request is at work on this"));
    case -EROFS:
    case -EIO:
        return refusal_set(why, REFUSAL_STORAGE, result);
    default:
        return result;
    }
}

int push_check_room(struct services *services, uint64_t size, struct refusal *why,
                    struct error *err)
{
    uint64_t left;
    int r = blob_store_free_space(services->store, &left, err);

    if (r == 0 && (left < PUSH_ROOM || left - PUSH_ROOM < size))
        return refuse_full(why, err);
    return push_result_of(r, why, err);
}

void push_room_init(struct push_room *room, struct services *services)
{
    *room = (struct push_room){ services, PUSH_ROOM_STRIDE };
}

int push_room_take(struct push_room *room, uint64_t size, struct error *err)
{
    const uint64_t wanted = size > PUSH_ROOM_STRIDE ? size : PUSH_ROOM_STRIDE;
    int r;

    if (size > room->left) {
        r = push_check_room(room->services, wanted, NULL, err);
        if (r < 0)
            return r;
        room->left = wanted;
    }
    room->left -= size;
    return 0;
}

int push_refuse_conflict(const struct digest *existing, struct refusal *why, struct error *err)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(existing, hex);
    if (why != NULL)
        why->existing_content = *existing;
    return refusal_set(why, REFUSAL_VERSION_EXISTS,
                       error_set(err, -EEXIST, "the name stands for other content: %s", hex));
}
