/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/usage/in_use.h"

struct api_client;
struct error;
struct http_loop;
struct ids;
struct ids_place;
struct json_writer;
struct workers;

/*
 * usage - which versions of a mount are in use, and why; and that the server is told
 * (lease_book.h).
 *
 * In use is what was read, or found open by a look, in the last 24 hours, and what the sources
 * tell: pinned versions and so on. All that is gone over every few seconds, on a worker, and at
 * once when a version begins to be used. Nothing here is waited for by anybody: a server that is
 * away is told later, a disk that fails costs what is remembered over restarts (uses.h).
 */
struct usage;

/* Calls each for every version that is in use for this reason. On a worker. */
typedef void usage_version(void *context, const char *project, const char *app,
                           const char *version);
struct usage_source {
    enum in_use_reason reason;
    void (*each)(void *context, usage_version *each, void *each_context);
    void *context;
};
#define USAGE_SOURCES_MAX 4

struct usage_options { /* all but the sources' array outlive the usage */
    struct http_loop *loop;
    struct api_client *client;
    struct workers *workers;
    struct ids *ids;
    const char *file; /* of uses, or NULL */
    const char *mountpoint;
    bool alone;       /* one version is shown there (lease_book.h) */
    const char *host; /* NULL: the system's name */
    const struct usage_source *sources;
    size_t source_count;
    /* "remote", "partial" or "complete", which lives for ever. On a worker. */
    const char *(*state)(void *context, const char *project, const char *app, const char *version);
    void *state_context;
    uint64_t kept_ms; /* how long a use counts. 0: 24 hours */
    uint64_t look_ms; /* from one look to the next */
};

/* For tests: the variable of the environment that says how many milliseconds a use counts. */
#define USAGE_KEPT_VARIABLE "KKARTIFACT_FS_USED_MS"
#define USAGE_KEPT_MS ((uint64_t)24 * 3600 * 1000)

int usage_new(struct usage **out_usage, const struct usage_options *options, struct error *err);
/* Begins. The loop is run by somebody from now on. Any thread. */
void usage_start(struct usage *usage);

/* Something of the version was read. Any thread; cheap. */
void usage_read(struct usage *usage, const struct ids_place *place);
/* A look has found these open. Loop thread. */
void usage_seen(struct usage *usage, const uint32_t *slots, size_t count);
/* Writes down what was used. Any thread; blocks on the disk. */
void usage_save(struct usage *usage);

/* Ends it. releases: the mount is over, and so are its leases, if the server answers at once; else
 * another process goes on with it. Loop thread, or none running; the loop has to be run until
 * usage_is_idle(), or until patience ends. NULL is fine. */
void usage_end(struct usage *usage, bool releases);
bool usage_is_idle(struct usage *usage);
/* After usage_end(): does not wait for the server any more. */
void usage_give_up(struct usage *usage);
/* After the loop. NULL is fine; returns NULL. */
struct usage *usage_free(struct usage *usage);

/* For status; any thread. The members "in_use" and "lease" of a version, "leases" of the mount. */
void usage_tell(struct usage *usage, const char *project, const char *app, const char *version,
                struct json_writer *writer);
void usage_tell_all(struct usage *usage, struct json_writer *writer);
/* Every version in use, also one that was not shown since the mount began. */
void usage_each(struct usage *usage, usage_version *each, void *context);
