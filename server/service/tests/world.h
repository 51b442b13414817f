/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"
#include "server/service/access.h"
#include "server/service/blob_upload.h"
#include "server/service/push_document.h"
#include "server/service/pushes.h"
#include "server/service/refusal.h"
#include "server/service/services.h"

/*
 * world - for tests: services over a temporary SQLite database and a store in
 * memory or in a directory, a clock that stands still until it is moved, and trees to push.
 * Every function here asserts that it works.
 */
enum world_kind { WORLD_MEMORY, WORLD_FILE };

struct fault_store;

struct world {
    enum world_kind kind;
    char directory[64];
    struct database *database;
    struct blob_store *store; /* the fault store around `inner` */
    struct blob_store *inner;
    struct services *services;
    struct caller caller; /* a global token with everything */
    /* From the next restart on; 0: the default. */
    size_t listeners_max, listeners_per_token_max;
    uint32_t beat_ms;
};

void world_open(struct world *world, enum world_kind kind);
/* As a killed process: services and database go without a word to the store, and come back. */
void world_restart(struct world *world);
void world_close(struct world *world);

int64_t world_now(void);
void world_sleep(int64_t seconds); /* moves the clock */

/* A token; the text is as the user would send it. */
void world_token(struct world *world, const char *project, const char *app, uint32_t permissions,
                 struct caller *out_caller, char out_text[64]);

struct sample_blob {
    uint8_t *bytes;
    size_t size;
    struct digest sha256;
};

/* A tree: a directory `d`, `count` files d/f00000.. and a link d/link. */
struct sample {
    struct buf listing, times;
    struct digest content, times_sha256;
    struct sample_blob *blobs;
    size_t count;
};

/* File i has size + i bytes made from `seed` and i. */
void sample_make(struct sample *sample, uint32_t seed, size_t count, size_t size);
/* Of bytes that are given, which are copied. */
void sample_make_of(struct sample *sample, uint32_t seed, const struct span *files, size_t count);
void sample_release(struct sample *sample);

/* Listing and times as bodies. */
int sample_put_listing(struct world *world, const struct caller *caller, const char *project,
                       const char *app, const char *id, struct span listing, struct refusal *why,
                       struct error *err);
int sample_put_times(struct world *world, const struct caller *caller, const char *project,
                     const char *app, const char *id, struct span times, struct refusal *why,
                     struct error *err);
/* Both, which have to be taken. */
void sample_describe(struct world *world, const struct caller *caller, const char *project,
                     const char *app, const char *id, const struct sample *sample);
/* One blob, in parts of at most part_size (0: the services'). */
int sample_put_blob(struct world *world, const struct caller *caller, const char *project,
                    const char *app, const char *id, const struct sample_blob *blob,
                    uint32_t part_size, struct refusal *why, struct error *err);

/* The whole flow as an agent does it. Returns what failed first. *out_sent (may be NULL): blobs
 * sent. */
int sample_push(struct world *world, const struct caller *caller, const char *project,
                const char *app, const char *version, const struct sample *sample,
                enum pushes_outcome *out_outcome, size_t *out_sent, struct refusal *why,
                struct error *err);

/* Opens a push with the content said; asserts that it is open. */
void sample_open(struct world *world, const struct caller *caller, const char *project,
                 const char *app, const char *version, const struct sample *sample,
                 struct push_info *out);

/* Reads every file of the version back, by its digest, and compares. */
void sample_check(struct world *world, const char *project, const char *app, const char *version,
                  const struct sample *sample);

/* How many objects the store has. */
size_t world_object_count(struct world *world);
