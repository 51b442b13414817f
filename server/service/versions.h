/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "common/model/record.h"
#include "server/service/projects.h"

/*
 * versions - what is known of a version, and which one a reference means.
 *
 * A reference is a version's name, `latest` (what stands on the channel `live`,
 * else the newest ready one) or `@channel`.
 */

struct version_info {
    struct record record;
    bool trashed;
    bool pinned;
    int64_t id; /* row id, for cursors */
};

struct version_page {
    struct version_info *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
};

void version_info_release(struct version_info *info);
void version_page_release(struct version_page *page);

/* -ENOENT; -ESTALE (REFUSAL_PURGED) for a name that was purged. */
int versions_get(struct services *services, const struct identity *identity, const char *project,
                 const char *app, const char *reference, struct version_info *out,
                 struct refusal *why, struct error *err);

/* Ready ones, newest first (created_at, id). */
int versions_list(struct services *services, const struct identity *identity, const char *project,
                  const char *app, const struct page_request *request, struct version_page *out,
                  struct refusal *why, struct error *err);
