/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/names.h" /* CHANNEL_DEFAULT */
#include "server/db/acts.h"
#include "server/db/versions.h"

/*
 * channels - which version of an app is the current one on a channel, and which was before.
 *
 * A channel comes to be with the first promotion on it. One whose version went to the trash by
 * force stays where it is and resolves to nothing until that version is back or another one is
 * promoted. History: promotions.h.
 */
#define CHANNELS_MAX 1000 /* of an app */

struct channel {
    char name[NAME_SIZE];
    char version[VERSION_NAME_SIZE];
    bool trashed;                     /* the version is */
    char previous[VERSION_NAME_SIZE]; /* "": none */
    int64_t updated_at_s;
    char updated_by[65]; /* "" */
};

/* Texts but project, app and channel may be NULL. */
struct promotion {
    const char *project, *app, *channel;
    const char *version;      /* by exact name */
    const char *from_channel; /* instead of `version`: what stands there */
    const char *expect; /* NULL: no matter; "": none believed; else the one believed current */
    const char *note;
    struct actor by;
};

enum promotion_answer {
    PROMOTION_DONE,
    PROMOTION_CURRENT,     /* it stood there already: nothing was written */
    PROMOTION_UNEXPECTED,  /* .channel is what stands there; `expect` is another one */
    PROMOTION_NO_PREVIOUS, /* nothing to go back to */
    PROMOTION_TOO_MANY,    /* the app has CHANNELS_MAX */
};

struct promotion_result {
    enum promotion_answer answer;
    struct channel channel; /* as it is then; version "" when it is not there */
};

/* Points the channel at a ready version, in one transaction with history, event
 * (`version.promoted`) and audit. -ENOENT: no such ready version (words say when it is in the
 * trash); -ESTALE: it was purged; -EINPROGRESS: the app is being deleted. */
int channel_promote(struct database *database, const struct promotion *promotion,
                    struct promotion_result *out, struct error *err);

/* The same with what stood there before, unless a version is named: a second one undoes the first.
 * The event is `version.rolled-back`. */
int channel_rollback(struct database *database, const struct promotion *promotion,
                     struct promotion_result *out, struct error *err);

/* Of an app, by name; all of them. -ENOENT: no such app. memory_free() it; NULL when there is
 * none. */
int channel_list(struct database *database, const char *project, const char *app,
                 struct channel **out_items, size_t *out_count, struct error *err);

/* Those that a version stands on, by name. memory_free() it; NULL when there is none. */
int channel_list_of(struct database *database, int64_t version_id, struct channel **out_items,
                    size_t *out_count, struct error *err);
