/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/model/names.h"
#include "fs/catalog/catalog.h"
#include "fs/catalog/catalog_fetch.h"
#include "fs/main/exit_code.h"
#include "fs/main/store_entry.h"
#include "fs/ops/ops.h"

struct api_client;
struct blob_cache;
struct blob_fetch;
struct care;
struct error;
struct http_loop;
struct ids;
struct known_versions;
struct mount_options;
struct pins;
struct reader;
struct secret;
struct tree_set;
struct usage;
struct workers;

/*
 * rooms - what stands between the server and the kernel in one mount, from the ground up: the
 * loop, the client, the cache, what is known of the store, the engine, ids, names, trees, and the
 * answers to the kernel's questions.
 *
 * Zeroed memory is no room yet. The loop is run by whoever owns them; before they are closed nobody
 * runs it and no question comes any more.
 */
struct rooms {
    const struct mount_options *options;
    bool is_held; /* by another process */
    struct http_loop *loop;
    struct api_client *client;
    struct pins *pins;
    struct blob_cache *cache;
    struct store_entry entry;
    struct known_versions *known;
    struct workers *workers;
    struct blob_fetch *engine;
    struct reader *reader;
    struct ids *ids;
    struct catalog_server names_server;
    struct ops_numbers numbers;
    struct catalog *catalog;
    struct tree_set *trees;
    struct ops *ops;
    struct care *care;
    struct usage *usage;
    bool is_resumed;              /* another process may have had versions in use ... */
    uint32_t resumed_slots;       /* ... of these slots */
    char host[HOST_MAX_SIZE + 1]; /* "" when it has no name that the server takes */
    char *uses;                   /* the file of what is used; NULL: none is kept */
    char *records;                /* the directory of version records; NULL: none is kept */
};

/* In the environment of whoever mounts: how long a start lasts, in milliseconds, for tests. */
#define ROOMS_START_MS "KKARTIFACT_FS_START_MS"

/* What another process has found out, or read, already. */
struct rooms_given {
    struct secret *token; /* instead of the options' file; handed over, also on failure */
    const char *store;    /* the mount is of this one: no server is asked. NULL: not known yet */
    bool is_resumed;      /* another process has answered this mount before */
};

/* Asks the server, unless it is away and known. *out_place tells where a failure came from; what
 * was opened until then is for rooms_close. given NULL: nothing. */
int rooms_open(struct rooms *rooms, const struct mount_options *options, struct rooms_given *given,
               enum exit_place *out_place, struct error *err);
/* The path of a file in a directory of ours in the cache that belongs to this store and mount
 * point; memory_free() it. NULL when the directory cannot be made: then nothing is kept there. */
char *rooms_own_file(const struct rooms *rooms, const char *directory);
/* On the loop's thread: asks the server behind, so that status knows how it is. */
void rooms_look_at_server(struct rooms *rooms);
/* From the roof down, after ops_end(). is_over: the mount is, and nobody goes on with it. False:
 * something still waits for a silent server, so that nothing could be freed; what is on disk is
 * whole, and the process has to end. */
bool rooms_close(struct rooms *rooms, bool is_over);
