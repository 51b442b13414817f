/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "common/model/record.h"
#include "server/service/projects.h"

struct labels;

/*
 * versions - what is known of a version, which one a reference means, and what may be changed.
 *
 * A reference is a version's name, `latest` (what stands on the channel `live`,
 * else the newest ready one) or `@channel`. Those who change one name it exactly (-EINVAL).
 *
 * The trash keeps a version for `trash_age` (policy.h).
 */
#define NOTE_MAX_SIZE 1000 /* bytes of plain text (yaml_text_is_plain()) */

struct version_info {
    struct record record;
    bool trashed;
    bool pinned;
    char *note;                       /* or NULL */
    int64_t trashed_at_s, purge_at_s; /* 0: not in the trash */
    char *trashed_by, *trash_reason;  /* or NULL */
    struct channel *channels;         /* of one that was asked for: it stands on these, by name */
    size_t channel_count;
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

/* Ready ones, newest first (created_at, id); or those in the trash, trashed last first. */
int versions_list(struct services *services, const struct identity *identity, const char *project,
                  const char *app, bool trashed, const struct page_request *request,
                  struct version_page *out, struct refusal *why, struct error *err);

/* ADMIN, as all below. Members with `set_...` false stay; labels replace those that were. Needs one
 * that is ready. */
struct version_wish {
    bool set_pinned, pinned;
    bool set_labels, set_note;
    const struct labels *labels;
    const char *note; /* NULL or "": none */
};
int versions_change(struct services *services, const struct caller *caller, const char *project,
                    const char *app, const char *name, const struct version_wish *wish,
                    struct version_info *out, struct refusal *why, struct error *err);

/* To the trash; it may lie there already. -EBUSY: REFUSAL_PROMOTED, _PINNED or _LEASED, unless
 * `force`. */
int versions_delete(struct services *services, const struct caller *caller, const char *project,
                    const char *app, const char *name, bool force, struct version_info *out,
                    struct refusal *why, struct error *err);

/* Out of it; it may be ready already. */
int versions_restore(struct services *services, const struct caller *caller, const char *project,
                     const char *app, const char *name, struct version_info *out,
                     struct refusal *why, struct error *err);

/* Where a copy goes. */
struct version_copy_request {
    const char *project, *app;
    const char *version; /* NULL: the name that it has */
};

/* PULL here and PUSH there. The same tree under another name, without a byte that moves.
 * *out_created false: it was there. -EEXIST (REFUSAL_VERSION_EXISTS): the name is spent on other
 * content. */
int versions_copy(struct services *services, const struct caller *caller, const char *project,
                  const char *app, const char *reference,
                  const struct version_copy_request *request, bool *out_created,
                  struct version_info *out, struct refusal *why, struct error *err);
