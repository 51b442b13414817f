/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/access.h"

/*
 * push_door - the way into a push: the right, the push, its lease; and what it may
 * know of blobs.
 */

/* 0 and the push, its lease renewed; push_release() it. What is not the caller's does not exist. */
int push_enter(struct services *services, const struct caller *caller, const char *project,
               const char *app, const char *id, struct push *out, struct refusal *why,
               struct error *err);

/* The push as it is now, when nobody else works on it (busy.h): until then somebody may have. */
int push_look_again(struct services *services, struct push *push, struct refusal *why,
                    struct error *err);

/* What the token may know about; points into the identity. */
struct blob_scope push_scope(const struct identity *identity);

/* The refusal that belongs to what the database or the store said: -ENOENT: the push ended while a
 * request of it was running; -EBUSY: another request has the object; full, failing. `result` again,
 * 0 too. */
int push_result_of(int result, struct refusal *why, struct error *err);

/* Before bytes are taken: -ENOSPC with REFUSAL_FULL when the store would have less than PUSH_ROOM
 * left after so many. Others write at the same time: a full disk is still met by who writes. */
#define PUSH_ROOM ((uint64_t)64 << 20)
int push_check_room(struct services *services, uint64_t size, struct refusal *why,
                    struct error *err);

/* The same of bytes that come packed, so that nobody knows how many they are: a look for every
 * PUSH_ROOM_STRIDE of them, the first of which the reserve has room for. */
#define PUSH_ROOM_STRIDE ((uint64_t)16 << 20)
struct push_room {
    struct services *services;
    uint64_t left; /* bytes that the last look was for */
};
void push_room_init(struct push_room *room, struct services *services);
/* Before `size` more are written. -ENOSPC */
int push_room_take(struct push_room *room, uint64_t size, struct error *err);

/* -EEXIST with REFUSAL_VERSION_EXISTS: the name stands for other content. */
int push_refuse_conflict(const struct digest *existing, struct refusal *why, struct error *err);
