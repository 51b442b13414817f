/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/file.h"
#include "common/base/span.h"
#include "common/model/entry.h"
#include "common/model/record.h"
#include "common/model/tree.h"

struct directory;
struct error;
struct stat_cache;

/*
 * pulled - what earlier pulls left in DEST/.kkartifact: the proof of what is ours.
 *
 *   tree            the image of the version that was pulled last, to its end
 *   pending-<hex>   images of pulls that began to write and did not end; hex: the verity digest
 *   state.json      {store, version: {as the server told it}} of `tree`
 *   meta.yaml       the manifest of `tree`
 *   stat            what the files held, with their stamps (stat_cache.h)
 *   stage/          bytes on their way
 *   lock            held while a pull works
 *
 * A path is ours when `tree` or a pending image has it. A damaged image proves
 * nothing: it counts as absent and is named in `damaged`. One thread.
 */
struct pulled_tree {
    char *name; /* of the file */
    struct span bytes;
    struct tree tree;
};

struct pulled {
    struct directory *dest;
    struct directory *home; /* NULL: nothing was ever pulled (only when opened for reading) */
    int lock_fd;
    bool made; /* home was not there before */
    bool has_current;
    struct pulled_tree current;
    struct pulled_tree *pending;
    size_t pending_count;
    bool has_state;
    char store[64];
    struct record record;
    const char *damaged; /* a file that was not believed, or NULL */
};

enum pulled_access {
    PULLED_READ,  /* nothing is made, no lock */
    PULLED_WRITE, /* made when absent, locked: -EBUSY when another pull works here */
};

/* dest stays the caller's. */
int pulled_open(struct directory *dest, enum pulled_access access, struct pulled *out,
                struct error *err);
void pulled_release(struct pulled *pulled); /* of a zeroed one too */
/* Of a pull that came to nothing, before the release: home goes if it was made for it and holds
 * nothing that a later pull could use. */
void pulled_unmake(struct pulled *pulled);

/* Bit 1 << kind for every kind that an image of ours has at the path; 0: not ours. */
unsigned pulled_kinds(const struct pulled *pulled, struct span path);

/* Whether an image of ours has the path as what stands there. */
bool pulled_is_ours(const struct pulled *pulled, struct span path, enum file_kind kind);

/* Whether an entry of DEST/.kkartifact is one of a pull's own. */
bool pulled_is_record(const char *name);

/* The image that proves what is ours, by its verity digest: current or pending; NULL. */
const struct tree *pulled_find_tree(const struct pulled *pulled, const struct digest *verity);

/* A whole, checked image in a file of `home`; bytes are to be unmapped. verity: the digest of one
 * whose content was checked before, so that it need not be hashed into its listing again; NULL, or
 * another image than that: it is. -EBADMSG: damaged. */
int pulled_open_tree(struct directory *home, const char *name, const struct digest *verity,
                     struct pulled_tree *out, struct error *err);
void pulled_close_tree(struct pulled_tree *tree);

/* Notes that the image `name` in home begins to be written over DEST. */
int pulled_begin(struct pulled *pulled, const char *name, const struct digest *verity,
                 struct error *err);

/* The manifest of what is there again, where it has gone or (`anyway`) may not be what it was. */
int pulled_mend_manifest(struct pulled *pulled, bool anyway, struct error *err);

/* The version is in place, whole: its image becomes the current one, and its state and manifest are
 * written. version_json is the server's object, verity the image's digest. */
int pulled_finish(struct pulled *pulled, const struct tree *tree, const struct digest *verity,
                  const char *store, struct span version_json, struct error *err);
