/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/buf.h"

struct directory;
struct error;

/*
 * new_database - the file of an SQLite database that is made beside its place, PATH.new, and takes
 * it when it is whole. A zeroed struct is an empty one.
 */
struct new_database {
    struct directory *directory;
    const char *name;    /* in it; of the caller's path */
    struct buf name_new; /* the same with ".new" */
    struct buf location; /* "sqlite:PATH.new" */
};

/* What one that was killed left there is removed. `path` outlives the struct. */
int new_database_begin(struct new_database *self, const char *path, struct error *err);

/* -EBUSY: a log is beside the place, which would be taken for the new one's; as in the next, but
 * before there was any work. */
int new_database_require_place(struct new_database *self, struct error *err);

/* It was closed. Durable in its place when this returns; `replace`: whatever is there. */
int new_database_place(struct new_database *self, bool replace, struct error *err);
/* Gives up: what is beside the place goes. It was closed. */
int new_database_remove(struct new_database *self, struct error *err);
void new_database_release(struct new_database *self);
