/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/map.h"
#include "common/base/span.h"
#include "server/db/store.h"
#include "server/service/jobs.h"
#include "server/service/services.h"

struct busy;
struct delta_later;
struct error;
struct act_budget;
struct event_hub;
struct file_cache;
struct gate;
struct memo;
struct refusal;
struct token_verifier;
struct workers;

/*
 * context - the inside of struct services, for this folder only.
 *
 * The memos hold facts that do not change: what is behind a version's name, where
 * a blob's bytes are, open objects and trees. Each is asked first and filled
 * from the database when it does not know. `busy` is the guard inside this process,
 * the store's own guards unfinished objects between processes.
 */
struct services {
    struct database *database;
    struct blob_store *store;
    struct cache *cache;
    char *scratch_path;
    uint32_t part_size;
    uint64_t listing_max;
    char store_id[STORE_ID_SIZE];
    char holder[33]; /* this process, for leases in the database */

    struct token_verifier *verifier;
    struct memo *tokens;   /* id -> struct token_fact (access.c) */
    struct memo *versions; /* P/A/V -> struct version_fact (version_fact.h) */
    struct memo *leases;   /* token and version -> struct lease_fact (version_fact.h) */
    struct memo *blobs;    /* sha256 -> struct blob (server/db/blobs.h) */
    struct memo *trees;    /* verity digest -> struct tree_image * (tree_image.h) */
    struct memo *objects;  /* storage key -> struct object * (object.h) */

    atomic_bool stopping;      /* services_stop() */
    struct gate *gate;         /* making deltas and chunk lists for those who pull */
    struct gate *upload_gate;  /* making blobs of deltas; with few workers the same */
    struct file_cache *deltas; /* that were made (delta_pair.h); NULL: not kept */
    struct memo *delta_facts;  /* pairs of which something is known (delta_pair.c) */
    struct delta_later *deltas_later;
    atomic_uint_fast64_t wrong_deltas; /* so far */
    struct workers *side_workers;      /* for side_task.h; may be NULL */
    struct busy *busy;                 /* what one request works on alone */

    struct event_hub *events; /* who listens to events */
    struct act_budget *acts;  /* how much tokens may still have told */

    pthread_mutex_t lock;   /* the maps below */
    struct map merkles;     /* of unfinished uploads (upload_merkle.h) */
    struct map used_tokens; /* ids used since the last flush */

    /* Jobs that ended here, by kind and state (jobs.h), for metrics. */
    atomic_uint_fast64_t job_ends[JOB_KINDS_MAX][JOB_STATE_COUNT];

    pthread_mutex_t event_lock;
    void (*event_function)(void *context); /* services_on_event() */
    void *event_context;
};

/* Between two steps of long work that can be done another time: -EAGAIN when the server stops. */
int services_go_on(const struct services *services, struct error *err);

/* An event may have been written. */
void event_written(struct services *services);

/* 0, or -EBUSY with REFUSAL_PUSH_BUSY when somebody else is at it. */
int busy_enter(struct services *services, struct span name, struct refusal *why, struct error *err);
/* For the part [from, to) of an upload, perhaps after waiting for the one before it. */
int busy_enter_part(struct services *services, struct span name, uint64_t from, uint64_t to,
                    struct refusal *why, struct error *err);
void busy_leave(struct services *services, struct span name);
