/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct error;

/*
 * ids - node ids (and st_ino) that go on meaning the same thing.
 *
 *     node = slot << 40 | (index + 1)
 *
 * Slot 0 holds what stands above the versions: the root (node 1), projects and apps, numbered as
 * they are first met. Every other slot is one version: index 0 its directory, index i its tree's
 * record i, and what is shown besides the tree (the manifest) stands behind the last record.
 *
 * A slot belongs to (store, project, app, version, tree digest) and to nothing else for as long as
 * its file lives: the kernel believes what it was told about a node for ever. So a new fact is
 * written before the id is handed out, and outlives the process. A torn last line is cut off at
 * open; a line that is damaged elsewhere makes the file unusable (-EBADMSG): ids must not shift.
 * One process at a time has the file (-EBUSY). When it cannot be written any more the ids that
 * follow last as long as the process, as all do without a file (path NULL).
 *
 * Any thread.
 */
struct ids;

#define IDS_ROOT 1u
#define IDS_INDEX_BITS 40
#define IDS_SLOT_MAX ((1u << 24) - 1)

enum ids_kind { IDS_IS_ROOT, IDS_IS_PROJECT, IDS_IS_APP, IDS_IS_VERSION };

/* What a node stands for. The texts belong to the ids and live as long. */
struct ids_place {
    enum ids_kind kind;
    uint32_t slot;       /* of a version */
    uint64_t index;      /* in it */
    const char *project; /* NULL above */
    const char *app;
    const char *version;
    struct digest tree;
};

int ids_open(const char *path, const char *store, struct ids **out_ids, struct error *err);
struct ids *ids_close(struct ids *ids); /* NULL is fine; returns NULL */

/* The node of a project (app NULL) or an app. -ENOSPC: too many. */
int ids_above(struct ids *ids, const char *project, const char *app, uint64_t *out_node,
              struct error *err);
/* The slot of a version. */
int ids_slot(struct ids *ids, const char *project, const char *app, const char *version,
             const struct digest *tree, uint32_t *out_slot, struct error *err);

/* For a connection that shows one version alone: slot 0 is that version, so that node 1 is its
 * directory, and nothing stands above. tree: of the version, or NULL: the first that ids_slot is
 * asked about. Without a file, and before anything is numbered. -EINVAL: a name is none. */
int ids_attach(struct ids *ids, const char *project, const char *app, const char *version,
               const struct digest *tree, struct error *err);

/* The last slot that was given; 0: none. */
uint32_t ids_last_slot(struct ids *ids);

uint64_t ids_node(uint32_t slot, uint64_t index);

/* -ESTALE: no such node was ever given. */
int ids_find(struct ids *ids, uint64_t node, struct ids_place *out, struct error *err);
