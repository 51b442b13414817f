/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct api_client;

/*
 * api_leases - a host tells the server which versions are in use on it.
 *
 * One request, tried once and not for long: whoever says it has his own time for saying it again.
 * All of it is taken, or nothing. Loop thread.
 */
struct api_lease_item {
    const char *project, *app, *version;
    const char *place; /* on the host: its path as a rule */
    const char *mode;  /* "pull", "mount" or "attach" */
    const char *state; /* "remote", "partial" or "complete" */
};

#define API_LEASES_MAX 1000 /* in one request */

struct api_leases {
    const char *host;
    const struct api_lease_item *items;
    size_t count;
    /* What this token holds at that place and below it and the items do not name goes; NULL: what
     * is not named stays as it is. Every item is at that place or below it. */
    const char *within;
    uint64_t timeout_ms; /* 0, and more than the client's and ten seconds: the least of these */
};

struct api_leases_answer {
    int code; /* as in api_client.h */
    struct error err;
    uint32_t renew_in_s;     /* when the server wants to hear it again; 0: it did not say */
    uint64_t retry_after_ms; /* not before that; 0: it did not say */
    size_t refused;          /* the item that all were refused for; SIZE_MAX: none is named */
};
typedef void api_leases_done(void *context, const struct api_leases_answer *answer);

struct api_leases_put;
/* Everything is copied. done comes from a later turn; it ends the put. -EFBIG: more than a request
 * holds. */
int api_leases_start(struct api_client *client, const struct api_leases *leases,
                     api_leases_done *done, void *context, struct api_leases_put **out_put,
                     struct error *err);
/* done is called with -ECANCELED before this returns. */
void api_leases_cancel(struct api_leases_put *put);
