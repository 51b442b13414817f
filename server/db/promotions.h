/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/channels.h"

/* promotions - the history of an app's channels: a row for each time that one moved. Names, not
 * rows: it outlives the versions. */
struct promotion_entry {
    int64_t id;
    bool is_rollback;
    char channel[NAME_SIZE];
    char version[VERSION_NAME_SIZE];
    char previous[VERSION_NAME_SIZE]; /* "": none */
    char actor[65];                   /* "" */
    char *note;                       /* or NULL */
    int64_t at_s;
};

/* Newest first, behind the id `before` (0: from the newest); of one channel, or all (NULL).
 * -ENOENT: no such app. promotion_list_free() it. */
int promotion_list(struct database *database, const char *project, const char *app,
                   const char *channel, int64_t before, size_t limit,
                   struct promotion_entry **out_items, size_t *out_count, struct error *err);
void promotion_entry_release(struct promotion_entry *entry);
struct promotion_entry *promotion_list_free(struct promotion_entry *items,
                                            size_t count); /* returns NULL */
