/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "fs/tree_mount/tree_mount.h"

struct api_client;
struct blob_fetch;
struct error;
struct known_versions;
struct workers;

/*
 * tree_set - the versions that this mount has shown, by slot; the open ones and the closed.
 *
 * Open trees are answered from at once, in any thread. The one not used for longest is closed when
 * there are more than TREE_SET_OPEN_MAX, or when they hold more memory than TREE_SET_BYTES_MAX; its
 * slot stays, and it is opened again, in the background of whoever waits, when a node of it is
 * asked for.
 *
 * Opening tries what is in the cache first (no request); then the server is asked. All who want a
 * version share one opening. A version's record is kept beside the cache, so that its manifest has
 * the same bytes as long as the cache lives.
 */
struct tree_set;

#define TREE_SET_OPEN_MAX 64
#define TREE_SET_BYTES_MAX ((uint64_t)16 * 1024 * 1024)

/* The slot of a version. Any thread. */
typedef int tree_set_slot(void *context, const char *project, const char *app, const char *version,
                          const struct digest *tree, uint32_t *out_slot, struct error *err);

struct tree_set_options { /* all outlive the set; texts too */
    struct http_loop *loop;
    struct blob_fetch *engine;
    struct api_client *client;
    struct known_versions *known;
    struct workers *workers;
    const char *records;   /* directory of records, or NULL: kept in memory only */
    const char *temporary; /* directory for manifests, or NULL */
    tree_set_slot *slot;
    void *slot_context;
    /* One was opened that was not open before; or NULL. Loop thread. */
    void (*opened)(void *context, const char *project, const char *app, const char *version);
    void *opened_context;
};

int tree_set_new(struct tree_set **out_set, const struct tree_set_options *options,
                 struct error *err);
/* Loop thread. Those who wait are told -ECANCELED. No opening may be in progress. */
struct tree_set *tree_set_free(struct tree_set *set);

/* A reference of the open tree of the slot, or NULL. Any thread. */
struct tree_mount *tree_set_get(struct tree_set *set, uint32_t slot);
/* True when it was shown before: its tree was here and right. Any thread. */
bool tree_set_was_open(struct tree_set *set, uint32_t slot);

/* Opens by name. done comes on the loop's thread: mount is the set's until done returns, NULL on
 * failure. Errors: those of tree_fetch_open. Any thread. */
typedef void tree_set_done(void *context, struct tree_mount *mount, uint32_t slot,
                           const struct error *err);
int tree_set_open(struct tree_set *set, const char *project, const char *app, const char *version,
                  uint64_t deadline_ms, tree_set_done *done, void *context, struct error *err);

bool tree_set_is_idle(struct tree_set *set); /* nothing is being opened */

/* What was shown, in the order of first sight; mount NULL when it is closed. Any thread; the set is
 * not locked during the call. Non-zero ends it. */
struct tree_set_version {
    const char *project, *app, *version; /* live as long as the set */
    uint32_t slot;
    uint64_t file_count, bytes;
    struct tree_mount *mount;
};
typedef int tree_set_each(void *context, const struct tree_set_version *version);
int tree_set_walk(struct tree_set *set, tree_set_each *each, void *context);
