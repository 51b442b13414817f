/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct error;

/*
 * known_versions - what a client has once seen under a name, so that it cannot be told otherwise.
 *
 * (store id, project, app, version) -> content, tree digest and sizes, for ever. Kept apart per
 * scope: a scope is what one kind of rights sees, named by the token's keyed name, so that mounts
 * of different rights do not see each other's names. A second little table remembers which (server
 * URL, token name) led to which store, so that a start with the server dead finds its versions.
 *
 * On disk: one append-only file per (store, scope) under the state directory, a line with its own
 * checksum per fact; a torn or damaged line is skipped, and cut off when it is the last. Appends
 * are whole writes of one line, so several processes may share the directory; what another one
 * learned is seen at open and by known_versions_reload. A directory that cannot be written does not
 * fail anything: facts then last as long as the process (known_versions_is_durable).
 *
 * Any thread.
 */
struct known_versions;

struct known_version {
    struct digest content;
    struct digest tree;
    uint64_t tree_size;
    uint64_t file_count;
    uint64_t bytes;
    int64_t seen_at_s; /* first */
};

/* Opens the facts of (store, token_name) below `directory`, making it (0700) when absent. */
int known_versions_open(const char *directory, const char *store, const char *token_name,
                        struct known_versions **out_known, struct error *err);
struct known_versions *known_versions_close(struct known_versions *known); /* NULL is fine */

/* 0, or -ENOENT. */
int known_versions_get(struct known_versions *known, const char *project, const char *app,
                       const char *version, struct known_version *out, struct error *err);

/*
 * What a server says now, against what is known.
 *
 * 0                 the same, or new and now remembered
 * -EBADMSG          other content under this name: an attack or a broken server; nothing changes
 * KNOWN_OTHER_TREE  the same content, another tree digest: to be used only after the whole new
 *                   image was checked against `content`; then tell known_versions_replace_tree
 */
#define KNOWN_OTHER_TREE 1
int known_versions_check(struct known_versions *known, const char *project, const char *app,
                         const char *version, const struct known_version *said, struct error *err);
int known_versions_replace_tree(struct known_versions *known, const char *project, const char *app,
                                const char *version, const struct known_version *checked,
                                struct error *err);

/* Every fact, in no order; not to be changed from inside. */
typedef int known_versions_each(void *context, const char *project, const char *app,
                                const char *version, const struct known_version *fact,
                                struct error *err);
int known_versions_list(struct known_versions *known, known_versions_each *each, void *context,
                        struct error *err);

/* Every fact of a name below `directory`, whatever store and scope it is of: for whoever looks at a
 * cache without a token. -ENOENT: none. */
int known_versions_find(const char *directory, const char *project, const char *app,
                        const char *version, known_versions_each *each, void *context,
                        struct error *err);

int known_versions_reload(struct known_versions *known, struct error *err);
bool known_versions_is_durable(struct known_versions *known);

/* The store that (server URL, token name) led to last; -ENOENT when it never did. */
int known_store_get(const char *directory, const char *server, const char *token_name,
                    char out_store[64], struct error *err);
int known_store_set(const char *directory, const char *server, const char *token_name,
                    const char *store, struct error *err);
