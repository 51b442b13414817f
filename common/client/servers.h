/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/*
 * servers - the addresses of one store: which of them is to be asked, and what is known of each.
 *
 * No network and no clock of its own: requests are chosen for here, and what came of them is told
 * here. The first in the given order that is `ok` is preferred. One that failed is passed over,
 * for a pause that doubles from one failure to the next and is spread over its upper half; behind
 * it a probe is due (servers_probe), and only its success makes the server `ok` again: no reader
 * is the one who finds out. When none is `ok` the one that failed least recently is given, so that
 * there is always one to ask. docs/design/servers.md tells why.
 *
 * A request that is tried again says which servers it has tried (a bit for each, bit 0 the first):
 * it gets one that it has not.
 *
 * Times are those of clock_monotonic_ms. Any thread.
 */
struct servers;

#define SERVERS_MAX 64 /* a bit for each */
#define SERVER_CAUSE_SIZE 160

enum server_state {
    SERVER_OK,
    SERVER_SLOW,        /* others were faster, several times in a row */
    SERVER_AWAY,        /* not reached, no answer in time, or it failed several times in a row */
    SERVER_DOUBTED,     /* an answer of it was wrong */
    SERVER_LATER,       /* it said when to come again (Retry-After) */
    SERVER_QUARANTINED, /* several answers of it were wrong */
    SERVER_FOREIGN,     /* it belongs to another store */
};
/* "ok", "slow", "away", "doubted", "later", "quarantined", "other-store" */
const char *server_state_text(enum server_state state);

/* What came of a request. */
enum server_event {
    SERVER_ANSWERED,  /* in its own words, whatever they are */
    SERVER_FAILED,    /* 500, broken off in the middle: several of them in a row count */
    SERVER_LOST,      /* not reached, silent, 502, 503, 504: counts at once */
    SERVER_OVERTAKEN, /* another one, asked later, answered first: several in a row count */
    SERVER_WRONG,     /* bytes that do not verify, a page, a length or range not asked for */
    SERVER_STRANGE,   /* another store's id */
};

/* Times in ms. */
struct servers_policy {
    uint32_t failures, overtaken; /* in a row that count */
    uint64_t pause, pause_max;
    uint32_t strikes; /* wrong answers for a quarantine, each at most strike_within later */
    uint64_t strike_within;
    uint64_t doubt; /* the pause after a wrong answer */
    uint64_t quarantine, quarantine_max;
    uint64_t later_max; /* of what Retry-After says */
    /* Another server is asked as well when there was no first byte for as long as 19 of 20 recent
     * answers needed, but not sooner or later than these; hedge_new while there are few answers. */
    uint64_t hedge_least, hedge_most, hedge_new;
    uint32_t hedge_percent; /* so many requests more, at most, ... */
    uint32_t hedge_burst;   /* ... and so many at once */
    uint64_t stall;         /* an answer that stands still, or crawls */
    /* While another server could be asked: for connecting, and for the first byte of what may be
     * asked of another. */
    uint64_t connect, patience;
};
/* 3 failures, 3 overtakings; pauses 1 s to 30 s; 3 strikes within 10 min, doubt 5 s, quarantine
 * 10 min to 1 h; Retry-After up to 10 min; hedges after 200 ms to 2 s (1 s), 5 %, 4 at once; a
 * stall of 2 s; 3 s to connect, 5 s of patience. */
struct servers_policy servers_policy_default(void);

/* policy NULL: the default. -EINVAL: none, or more than SERVERS_MAX; -ENOMEM. */
int servers_new(struct servers **out_servers, size_t count, const struct servers_policy *policy,
                struct error *err);
struct servers *servers_free(struct servers *servers); /* NULL is fine; returns NULL */
const struct servers_policy *servers_policy_of(const struct servers *servers);

/* The one to ask, of those that are not in `tried`; of all when every one is. */
size_t servers_pick(struct servers *servers, uint64_t tried, uint64_t now_ms);
/* Whether one outside `tried` is there that is not known to be of another store. */
bool servers_is_left(struct servers *servers, uint64_t tried);
/* Whether one outside `tried` is ok: waiting long for another does not pay. */
bool servers_has_ok(struct servers *servers, uint64_t tried, uint64_t now_ms);
/* When every server has said when to come again, how long it is until the first of them may be
 * asked; else 0. */
uint64_t servers_later_ms(struct servers *servers, uint64_t now_ms);

/* Tells what came of a request. `why` is kept as the cause when the state changes, and may be NULL
 * for SERVER_ANSWERED. True: the state changed. */
bool servers_note(struct servers *servers, size_t index, enum server_event event, const char *why,
                  uint64_t now_ms);
/* It answered 429 or 503 with a Retry-After. */
bool servers_note_later(struct servers *servers, size_t index, uint64_t retry_after_ms,
                        uint64_t now_ms);
/* The time from a request to the first byte of its answer. */
void servers_note_latency(struct servers *servers, size_t index, uint64_t latency_ms);

/* When the next probe is due; UINT64_MAX: none. While one runs there is no other of that server. */
uint64_t servers_probe_due(struct servers *servers);
/* Takes one that is due: false when none is. servers_probed must follow. */
bool servers_probe(struct servers *servers, uint64_t now_ms, size_t *out_index);
/* What came of it: SERVER_ANSWERED makes it ok; anything else begins another pause. True: the
 * state changed. */
bool servers_probed(struct servers *servers, size_t index, enum server_event event, const char *why,
                    uint64_t now_ms);

/* Hedges. A request that somebody waits for was sent: earns its share of one. */
void servers_earn_hedge(struct servers *servers);
uint64_t servers_hedge_ms(struct servers *servers, size_t index);
/* Another server for a request that waits for `index`: one that is ok and not in `tried`. It costs
 * a share, unless `index` is passed over by now. */
bool servers_hedge(struct servers *servers, size_t index, uint64_t tried, uint64_t now_ms,
                   size_t *out_other);

struct server_status {
    enum server_state state;
    char cause[SERVER_CAUSE_SIZE]; /* of the last change for the worse; "" when there was none */
    uint64_t failures, wrong;      /* in all; failures without the wrong ones */
    uint64_t hedges;               /* requests of it that another one was asked as well */
    uint64_t latency_ms;           /* the middle of the recent ones; 0: none */
    uint64_t next_ms;              /* until it is looked at again; 0 when ok */
};
void servers_status(struct servers *servers, size_t index, uint64_t now_ms,
                    struct server_status *out);
