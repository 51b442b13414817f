/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/db/channels.h"
#include "server/db/promotions.h"
#include "server/service/projects.h"

/*
 * promotions - which version is the current one on a channel: moved, moved back, and when that was.
 *
 * A channel that is not named is `live`. A version is named exactly, or as `@channel`: what stands
 * there, looked up in the transaction that moves. `latest` is refused: it is what stands on live.
 */
struct promotion_request {
    const char *project, *app;
    const char *channel; /* NULL: live */
    const char *version; /* rollback: NULL, the one before */
    const char *expect;  /* NULL, "", or a version's name */
    const char *note;    /* NULL; at most NOTE_MAX_SIZE bytes */
};

/* PROMOTE. 1: moved, 0: it stood there already; *out is the channel then. -EEXIST
 * (REFUSAL_PRECONDITION): another one than expected is current. -ENOENT, -ESTALE: no such version.
 * -EINVAL. */
int promotions_promote(struct services *services, const struct caller *caller,
                       const struct promotion_request *request, struct channel *out,
                       struct refusal *why, struct error *err);

/* The same with what stood there before, or `version`. -EBUSY (REFUSAL_NO_PREVIOUS). */
int promotions_rollback(struct services *services, const struct caller *caller,
                        const struct promotion_request *request, struct channel *out,
                        struct refusal *why, struct error *err);

struct promotion_page {
    struct promotion_entry *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
};
void promotion_page_release(struct promotion_page *page);

/* PULL. The history, newest first; of one channel, or all (NULL). */
int promotions_list(struct services *services, const struct identity *identity, const char *project,
                    const char *app, const char *channel, const struct page_request *request,
                    struct promotion_page *out, struct refusal *why, struct error *err);
