/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct directory;
struct error;

/*
 * beside - the place next to DEST where the tree is made that is to take DEST's place,
 * and where the former one stays until the next pull: `.NAME.kkartifact` in the
 * directory that holds DEST.
 *
 * It is always found through that directory's descriptor. What stands there is told
 * by the file `.kkartifact/incoming`, which travels with the new tree: in the tree
 * beside, that one is being made; in DEST, the trees have changed places and what is
 * protected has not yet (pull_carry.h); in neither, the tree beside is the former one.
 */
#define BESIDE_INCOMING ".kkartifact/incoming"

struct beside {
    struct directory *parent; /* NULL: there is no such place */
    char *name;               /* of DEST in it */
    char *side;               /* the name of the place */
};

/* `path` leads to `dest`. -ENOTSUP: this system has none; -ENAMETOOLONG; -EINVAL: the root; -EBUSY:
 * `path` leads elsewhere by now. */
int beside_open(const char *path, struct directory *dest, struct beside *out, struct error *err);
void beside_release(struct beside *beside); /* of a zeroed one too */

/* Whether `dest` still stands where it did: 0, or -EBUSY when another pull has put a new tree
 * there meanwhile. 0 without a place. */
int beside_check(const struct beside *beside, struct directory *dest, struct error *err);

/* An exchange can work here: same file system, no mount point, the file system can. -ENOTSUP,
 * -EXDEV. Tries it on two files in `home`, unless that is NULL. 0 without a place. */
int beside_check_exchange(const struct beside *beside, struct directory *dest,
                          struct directory *home, struct error *err);

/* The tree that is being made there: one that an earlier pull has begun, or a new one; a former
 * tree goes first. */
int beside_make(const struct beside *beside, struct directory **out_side, struct error *err);

/* What stands there goes. -EEXIST: it is not the agent's. 0 when absent, or without a place. */
int beside_remove(const struct beside *beside, struct error *err);
