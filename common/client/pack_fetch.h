/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/model/pack.h"

struct api_client;
struct workers;

/*
 * pack_fetch - many small blobs of a version in one request, unpacked on a thread as they arrive.
 *
 * What comes is given to `ask` and `member` (pack.h) in the order asked for, on one thread of the
 * pool at a time. An answer that breaks off is begun anew, as the client's policy is: `restart` is
 * called before the first member of each, on the loop's thread, and what was given may come again.
 * The server leaves out what it cannot give, so whoever asks looks at what is missing.
 *
 * Memory: what was received and is not unpacked yet, at most the whole answer; and one member.
 */
struct pack_fetch;

struct pack_fetch_end {
    int code;          /* 0; -EBADMSG: half a pack, or none; what `ask` or `member` returned; or as
                        * api_client */
    int status;        /* of the answer, or 0 */
    uint64_t received; /* bytes of bodies */
    size_t server;     /* that was asked last */
    struct error err;
};

struct pack_fetch_spec {
    struct api_client *client;
    struct workers *workers;
    const char *project, *app, *version; /* copied into the request */
    struct span digests;                 /* SHA-256s, none twice; copied */
    uint64_t bytes;                      /* of all of them, or more: bounds the answer */
    uint64_t member_size;                /* the largest */
    bool once;                           /* no second try, and a short patience */
    pack_ask_function *ask;              /* or NULL: all are wanted */
    pack_function *member;
    void (*restart)(void *context); /* or NULL */
    /* Loop thread, once, when nothing is at a thread any more. The fetch is freed behind it. */
    void (*done)(void *context, const struct pack_fetch_end *end);
    void *context;
};

/* Loop thread. done comes from a later turn. *out may be NULL. */
int pack_fetch_start(const struct pack_fetch_spec *spec, struct pack_fetch **out,
                     struct error *err);
/* Ends the request; done comes, with -ECANCELED or what was before: now, or when the thread has
 * ended. Loop thread. */
void pack_fetch_cancel(struct pack_fetch *fetch);
