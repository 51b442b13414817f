/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_leases.h"
#include "fs/usage/in_use.h"

struct json_writer;

/*
 * lease_book - what a mount says to the server about its versions, and when.
 *
 * A version that is in use is leased: the server keeps it from retention and deletion, and goes on
 * serving it from the trash. All of a mount are said in one request, which also releases what is
 * not in use any more: `replace` within the mount's own place, so that the mounts and pulls of one
 * host leave each other's alone. More than one request holds are said in several; then nothing is
 * released, which 30 days do.
 *
 * A place is MOUNTPOINT/P/A/V. A mount point that is too long for that, or no plain text, is
 * "mount-" and its digest.
 *
 * The first is said soon after a version begins to be used, the next when the server wants to hear
 * it (lease_pace.h). A version that the server refuses (it was purged, or the token may not see it)
 * is left out until the next renewal; the others are said at once. What fails is said again later,
 * never sooner than the server asks for; a server that knows no leases is asked each hour.
 *
 * No clock and no network of its own; one thread at a time. now_ms is clock_monotonic_ms, now_s the
 * time of day, random any 32 bits.
 */
struct lease_book;

#define LEASE_BOOK_SOON_MS \
    500 /* after a change, for those that come with it; up to four times so */
#define LEASE_BOOK_AGAIN_MS 5000 /* after a failure at first */
#define LEASE_BOOK_NEXT_MS 250   /* after one version was refused */

struct lease_book_options {
    const char *host;
    const char *mountpoint;
    bool is_silent; /* there is nobody to say it to: a mount without a token holds nothing */
    /* An earlier mount at this place may have left leases: they are settled first. */
    bool is_former;
    /* One version is shown at the mount point, and others may be there beside it, whose leases are
     * not this book's: nothing but that version's own is ever released. */
    bool alone;
};

int lease_book_new(struct lease_book **out_book, const struct lease_book_options *options,
                   struct error *err);
struct lease_book *lease_book_free(struct lease_book *book); /* NULL is fine; returns NULL */

/* This is in use now (sorted); a state that was not looked at stays as it was. -ENOMEM: the rest
 * waits for the next time. */
int lease_book_update(struct lease_book *book, const struct in_use *set, uint64_t now_ms,
                      uint32_t random, struct error *err);

/* When the next request is to be made; UINT64_MAX: nothing is to be said. */
uint64_t lease_book_due_ms(const struct lease_book *book);
/* What was begun to be said takes more requests: the versions need not be looked at again. */
bool lease_book_is_saying(const struct lease_book *book);
/* The next request; it is the book's until lease_book_answer(). -ENOMEM. */
int lease_book_next(struct lease_book *book, uint64_t now_ms, struct api_leases *out,
                    struct error *err);
void lease_book_answer(struct lease_book *book, const struct api_leases_answer *answer,
                       uint64_t now_ms, int64_t now_s, uint32_t random);

/* The server may hold something: a mount that ends says this. False: there is nothing to say. */
bool lease_book_release(const struct lease_book *book, struct api_leases *out);

/* The members "in_use" and "lease" of a version. */
void lease_book_tell(const struct lease_book *book, const char *project, const char *app,
                     const char *version, struct json_writer *writer);
/* The member "leases" of the mount. */
void lease_book_tell_all(const struct lease_book *book, struct json_writer *writer);

/* Every version that is in use. Non-zero ends it and is returned. */
typedef int lease_book_each_function(void *context, const struct version_names *names);
int lease_book_each(const struct lease_book *book, lease_book_each_function *each, void *context);
