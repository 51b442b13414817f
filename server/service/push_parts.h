/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"
#include "server/db/pushes.h"
#include "server/service/access.h"

struct object;

/*
 * push_parts - the listing and the times of a push, once they are there: sent to this push, or held
 * because the server had them. Those that were held are only looked at here, when they are needed
 * first; so a push is opened without reading anything.
 */

/* The listing, its files wanted. *push learns of it. -EBUSY with REFUSAL_MISSING_BLOBS: not there
 * yet; -EINVAL: the blob of that digest is no listing. */
int push_listing_need(struct services *services, const struct identity *identity, struct push *push,
                      struct object **out_object, struct span *out_listing, struct refusal *why,
                      struct error *err);

/* The same for the times of that listing. */
int push_times_need(struct services *services, struct push *push, struct span listing,
                    struct object **out_object, struct span *out_times, struct refusal *why,
                    struct error *err);

/* Is the blob of that digest held by the push and live? 0, -ENOENT, or a failure. */
int push_holds(struct services *services, const struct push *push, const struct digest *sha256,
               struct error *err);
