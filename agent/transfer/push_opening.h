/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/client/api_pushes.h"

struct directory;
struct error;
struct record;
struct transfer;

/*
 * push_opening - the push that a tree is sent in: a new one, or the one that an earlier run for the
 * same tree left open, so that what the server has of it, parts of large files too, is not sent
 * again.
 *
 * The id of an open push is kept in <cache>/hints/<hex>.push, under a digest of server, names,
 * content, times and what is said about the version (but for the time of the build); of a push
 * that is opened before its content is known, of the tree's directory instead. It is locked for as
 * long as a run uses it: a second run at the same time gets a push of its own. It goes when the
 * push was committed or is of no use any more; the hint cache removes what is old. A server that
 * does not know the id any more (it ended, it is another token's) is asked for a new push.
 */
struct push_opening {
    struct transfer *transfer;
    struct directory *cache; /* or NULL: nothing is kept */
    int fd;                  /* of the file, locked; -1: none */
    char path[128];
    bool is_taken_up; /* the push is an earlier run's */
};

/* Opens or takes up a push: as api_push_create(), whose answer `exists` it may also be. place: what
 * tells the tree's directory from others, for a spec without content. */
int push_opening_begin(struct push_opening *opening, struct transfer *transfer,
                       struct directory *cache, const struct api_push_spec *spec, uint64_t place,
                       const struct record *metadata, struct api_push *out, struct error *err);
/* The same for one that is open already: the next run for the same tree finds it. */
void push_opening_adopt(struct push_opening *opening, struct transfer *transfer,
                        struct directory *cache, const struct api_push_spec *spec,
                        const struct record *metadata, const char *id);
/* The push is over, or worth nothing: the next run opens a new one. */
void push_opening_forget(struct push_opening *opening);
/* Lets go of the file, which stays unless it was forgotten. Of a zeroed one with fd -1 too. */
void push_opening_release(struct push_opening *opening);
