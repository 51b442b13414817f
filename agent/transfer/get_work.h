/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/buf.h"

struct directory;
struct error;

/*
 * get_work - the directory beside the target of a get in which the entry is made.
 *
 * It is called .kkartifact-get-<16 hex digits> and holds `lock`, locked as long as the
 * get works, `stage` and `tree`. One that nobody has locked is what a killed get left.
 */
#define GET_WORK_TREE "tree"

struct get_work {
    struct directory *parent;
    struct buf name; /* empty: none is made */
    int lock_fd;
    struct directory *stage;
    struct directory *made; /* GET_WORK_TREE */
};

/* parent stays the caller's and must outlive it. */
struct get_work get_work_init(struct directory *parent);
void get_work_release(struct get_work *work); /* with all that is in the directory */
int get_work_make(struct get_work *work, struct error *err);

/* Removes what killed gets have left in `parent`, as far as it can be removed. */
void get_work_sweep(struct directory *parent);
