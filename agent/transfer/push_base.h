/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct api_client;
struct delta_plan;
struct directory;
struct error;

/*
 * push_base - a blob of the server's that a file of ours may be like: which one it is,
 * and its chunk list or merkle tree.
 *
 * Of a list or tree only what differs from the file's own travels; nothing does when
 * the hint cache has it. Nothing is believed: a plan made by a lie gives a delta that
 * the server refuses.
 *
 * One step at a time; each calls its function from a later turn of the loop, or sooner
 * when nothing has to travel. Loop thread, but for push_base_plan().
 */
enum push_base_kind {
    PUSH_BASE_LIST, /* finds what moved */
    PUSH_BASE_TREE, /* finds changes in place, to 4 KiB */
};

struct push_base_options {
    struct api_client *client;
    struct directory *cache; /* or NULL */
    const char *project, *app, *version;
    void *context; /* of the functions below */
};

struct push_base;
typedef void push_base_done(void *context, int r, const struct error *err);

/* The texts of the options outlive it. */
int push_base_new(const struct push_base_options *options, struct push_base **out_base,
                  struct error *err);
/* Also in the middle of a step, whose function is not called then. NULL is fine; returns NULL. */
struct push_base *push_base_free(struct push_base *base);

/* The version's file at this path. -ENOENT: it has none. */
int push_base_find(struct push_base *base, const char *path, push_base_done *done,
                   struct error *err);
/* The same without asking. */
void push_base_set(struct push_base *base, const struct digest *sha256, uint64_t size);
void push_base_tell(const struct push_base *base, struct digest *out_sha256, uint64_t *out_size);

/* Its list or tree. own: that of the file, which stays until the plan is made; for trees both are
 * of one size. A failure may come either way. -EBADMSG: what the server gave breaks a rule. */
int push_base_fetch(struct push_base *base, enum push_base_kind kind, struct span own,
                    push_base_done *done, struct error *err);

/* What of the file is in the base. Any thread. */
int push_base_plan(const struct push_base *base, struct delta_plan *out, struct error *err);

/* The kind's name in the hint cache. */
const char *push_base_hint(enum push_base_kind kind);
