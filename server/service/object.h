/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "server/storage/blob_store.h"

struct error;
struct services;

/*
 * object - a stored object, open, shared by those who read it.
 *
 * Counted references; the last one closes it, before the services end. Bytes of an object do not
 * change, so one descriptor and one copy serve everybody. Any thread.
 */
struct object;

/* size: what the caller knows it to have; UINT64_MAX: whatever it has. Another size: -EBADMSG;
 * gone: -ENOENT. Remembered for the next. */
int object_open(struct services *services, const char *key, uint64_t size, struct object **out,
                struct error *err);
/* Only if it is open already; never blocks. -EAGAIN. */
int object_open_cached(struct services *services, const char *key, struct object **out,
                       struct error *err);
struct object *object_ref(struct object *object);
struct object *object_unref(struct object *object); /* NULL is fine; returns NULL */

uint64_t object_size(const struct object *object);
/* -1: the store has none. */
int object_descriptor(const struct object *object, uint64_t *out_base);
int object_read(struct object *object, uint64_t offset, void *out, size_t size, struct error *err);

/* All bytes, living as long as the object: a copy (in memory when small, else in a scratch file)
 * that is made at the first call, which blocks. What happens to the stored file then touches
 * nobody. Cut or unreadable before: -EIO or -EBADMSG. */
int object_bytes(struct object *object, struct span *out, struct error *err);

/* For the memo: value points to a struct object *. */
void object_take(void *value);
void object_drop(void *value);

void object_unref_at(struct object **at); /* for cleanup() */
