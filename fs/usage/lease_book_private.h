/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/map.h"
#include "common/client/lease_pace.h"
#include "fs/usage/lease_book.h"

/* lease_book_private - what lease_book.c (what is said, and when) and lease_book_tell.c (what
 * status shows of it) share. */
enum lease_kind {
    LEASE_NONE,    /* the server knows nothing of it */
    LEASE_HELD,    /* it has taken it */
    LEASE_REFUSED, /* it does not want it */
};

/* A version that is in use, or is to be released. */
struct lease_line {
    struct version_names names;
    char *place;
    unsigned reasons, next_reasons; /* 0: not in use */
    const char *state;
    enum lease_kind kind;
    const char *said_mode; /* of one that is held */
    bool is_doubtful;      /* held, but something of it has changed */
    bool is_in_round;      /* it is being said */
    int64_t renewed_at_s;  /* 0: never */
    struct error refusal;
};

struct lease_book {
    char *host, *base;
    bool is_silent, is_former, alone;
    struct lease_line **lines;
    size_t count, capacity;
    struct map by_names;
    struct lease_pace pace;
    uint64_t soon_ms; /* something is to be said before the pace wants it; UINT64_MAX: nothing */
    bool knows_no_leases; /* the server */
    struct error failure; /* of the last request; code 0: none */
    int64_t renewed_at_s;
    /* What is being said, in as many requests as it takes. */
    bool in_round;
    struct lease_line **round;
    struct api_lease_item *items;
    size_t round_count, round_at, asked; /* all, said already, in the request that is on its way */
    uint64_t step_ms;
};

const char *lease_mode_of(const struct lease_line *line);
struct lease_line *lease_book_line(const struct lease_book *book,
                                   const struct version_names *names);
