/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>

#include "common/client/servers.h"

/*
 * servers_private - what servers.c (what is known of each, and how it changes) and
 * servers_choice.c (which one is asked, probes, hedges) share. All of it under the lock.
 */
#define LATENCIES 32
#define HEDGE_PRICE 100 /* of a hedge, in percent of a request */

struct server {
    enum server_state state;
    uint64_t until_ms;            /* the pause's end, when not ok */
    uint64_t failed_ms;           /* the last failure of any kind */
    uint64_t ok_ms;               /* since when it is ok */
    uint64_t pause_ms;            /* the last one, before it was spread */
    uint32_t failures, overtaken; /* in a row */
    uint32_t strikes;
    uint64_t strike_ms, quarantine_ms;
    bool is_probed;
    uint32_t latencies[LATENCIES];
    size_t latency_count; /* in all */
    struct server_status told;
};

struct servers {
    pthread_mutex_t lock;
    struct servers_policy policy;
    struct server *items;
    size_t count;
    uint32_t purse; /* for hedges */
};

void server_become_ok(struct server *server, uint64_t now_ms);
/* Passes it over. The pause doubles, unless it was ok for longer than the last one. True: the state
 * is another one. */
bool server_pause(const struct servers_policy *policy, struct server *server,
                  enum server_state state, const char *why, uint64_t now_ms);
bool server_note_strange(struct servers *servers, struct server *server, const char *why,
                         uint64_t now_ms);
/* Its state now: who said when to come again is asked again then, without a probe. */
enum server_state server_settle(struct server *server, uint64_t now_ms);
