/* SPDX-License-Identifier: MIT */
#include "common/client/servers_private.h"

#define LATENCIES_FEW 8

/* Choosing ----------------------------------------------------------------- */

static bool is_in(uint64_t set, size_t index)
{
    return (set >> index & 1) != 0;
}

/* How bad it is to ask it: ok, then those that may work, then those that are sure not to. */
static int rank_of(struct server *server, uint64_t now_ms)
{
    switch (server_settle(server, now_ms)) {
    case SERVER_OK:
        return 0;
    case SERVER_SLOW:
        return 1;
    case SERVER_AWAY:
    case SERVER_DOUBTED:
        return 2;
    case SERVER_LATER:
        return 3;
    case SERVER_QUARANTINED:
        return 4;
    case SERVER_FOREIGN:
        break;
    }
    return 5;
}

/* The best outside `tried`; servers->count when there is none. */
static size_t best(struct servers *servers, uint64_t tried, uint64_t now_ms, int *out_rank)
{
    size_t found = servers->count;
    int best_rank = 0;

    for (size_t i = 0; i < servers->count; i++) {
        int rank = is_in(tried, i) ? -1 : rank_of(&servers->items[i], now_ms);

        if (rank < 0)
            continue;
        if (found == servers->count || rank < best_rank ||
            (rank == best_rank && rank > 0 &&
             servers->items[i].failed_ms < servers->items[found].failed_ms)) {
            found = i;
            best_rank = rank;
        }
    }
    *out_rank = best_rank;
    return found;
}

size_t servers_pick(struct servers *servers, uint64_t tried, uint64_t now_ms)
{
    size_t found;
    int rank;

    pthread_mutex_lock(&servers->lock);
    found = best(servers, tried, now_ms, &rank);
    if (found == servers->count)
        found = best(servers, 0, now_ms, &rank);
    pthread_mutex_unlock(&servers->lock);
    return found;
}

bool servers_is_left(struct servers *servers, uint64_t tried)
{
    bool left = false;

    pthread_mutex_lock(&servers->lock);
    for (size_t i = 0; i < servers->count && !left; i++)
        left = !is_in(tried, i) && servers->items[i].state != SERVER_FOREIGN;
    pthread_mutex_unlock(&servers->lock);
    return left;
}

bool servers_has_ok(struct servers *servers, uint64_t tried, uint64_t now_ms)
{
    size_t found;
    int rank;

    pthread_mutex_lock(&servers->lock);
    found = best(servers, tried, now_ms, &rank);
    pthread_mutex_unlock(&servers->lock);
    return found < servers->count && rank == 0;
}

uint64_t servers_later_ms(struct servers *servers, uint64_t now_ms)
{
    uint64_t least = UINT64_MAX;

    pthread_mutex_lock(&servers->lock);
    for (size_t i = 0; i < servers->count; i++) {
        struct server *server = &servers->items[i];

        if (server_settle(server, now_ms) != SERVER_LATER)
            least = 0;
        else if (server->until_ms - now_ms < least)
            least = server->until_ms - now_ms;
    }
    pthread_mutex_unlock(&servers->lock);
    return least;
}

/* Probes ------------------------------------------------------------------- */

static bool needs_probe(const struct server *server)
{
    return server->state != SERVER_OK && server->state != SERVER_LATER && !server->is_probed;
}

uint64_t servers_probe_due(struct servers *servers)
{
    uint64_t due_ms = UINT64_MAX;

    pthread_mutex_lock(&servers->lock);
    for (size_t i = 0; i < servers->count; i++) {
        if (needs_probe(&servers->items[i]) && servers->items[i].until_ms < due_ms)
            due_ms = servers->items[i].until_ms;
    }
    pthread_mutex_unlock(&servers->lock);
    return due_ms;
}

bool servers_probe(struct servers *servers, uint64_t now_ms, size_t *out_index)
{
    bool found = false;

    pthread_mutex_lock(&servers->lock);
    for (size_t i = 0; i < servers->count && !found; i++) {
        struct server *server = &servers->items[i];

        if (needs_probe(server) && server->until_ms <= now_ms) {
            server->is_probed = true;
            *out_index = i;
            found = true;
        }
    }
    pthread_mutex_unlock(&servers->lock);
    return found;
}

/* Who was in quarantine is out on trial: one wrong answer more, and it is back. */
static void release_it(const struct servers_policy *policy, struct server *server, uint64_t now_ms)
{
    if (server->state == SERVER_QUARANTINED) {
        server->strikes = policy->strikes - 1;
        server->strike_ms = now_ms;
    }
    server_become_ok(server, now_ms);
}

bool servers_probed(struct servers *servers, size_t index, enum server_event event, const char *why,
                    uint64_t now_ms)
{
    struct server *server = &servers->items[index];
    bool changed = false;

    pthread_mutex_lock(&servers->lock);
    server->is_probed = false;
    if (server->state == SERVER_OK) {
        changed = false; /* somebody's request has said more meanwhile */
    } else if (event == SERVER_ANSWERED) {
        if (now_ms >= server->until_ms) {
            release_it(&servers->policy, server, now_ms);
            changed = true;
        }
    } else if (event == SERVER_STRANGE) {
        changed = server_note_strange(servers, server, why, now_ms);
    } else if (now_ms >= server->until_ms) {
        changed = server_pause(&servers->policy, server,
                               server->state >= SERVER_QUARANTINED ? server->state : SERVER_AWAY,
                               why, now_ms);
    }
    pthread_mutex_unlock(&servers->lock);
    return changed;
}

/* Hedges ------------------------------------------------------------------- */

void servers_earn_hedge(struct servers *servers)
{
    const uint32_t most = servers->policy.hedge_burst * HEDGE_PRICE;

    pthread_mutex_lock(&servers->lock);
    servers->purse += servers->policy.hedge_percent;
    if (servers->purse > most)
        servers->purse = most;
    pthread_mutex_unlock(&servers->lock);
}

/* Of the recent latencies the one that `percent` of them do not exceed; 0 when there is none. */
static uint64_t percentile(const struct server *server, unsigned percent)
{
    size_t count = server->latency_count < LATENCIES ? server->latency_count : LATENCIES;
    uint32_t sorted[LATENCIES];

    for (size_t i = 0; i < count; i++) {
        size_t at = i;

        for (; at > 0 && sorted[at - 1] > server->latencies[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = server->latencies[i];
    }
    return count == 0 ? 0 : sorted[(count - 1) * percent / 100];
}

uint64_t servers_hedge_ms(struct servers *servers, size_t index)
{
    const struct servers_policy *policy = &servers->policy;
    const struct server *server = &servers->items[index];
    uint64_t wait_ms;

    pthread_mutex_lock(&servers->lock);
    wait_ms = server->latency_count < LATENCIES_FEW ? policy->hedge_new : percentile(server, 95);
    pthread_mutex_unlock(&servers->lock);
    if (wait_ms < policy->hedge_least)
        return policy->hedge_least;
    return wait_ms > policy->hedge_most ? policy->hedge_most : wait_ms;
}

bool servers_hedge(struct servers *servers, size_t index, uint64_t tried, uint64_t now_ms,
                   size_t *out_other)
{
    struct server *server = &servers->items[index];
    bool may;
    size_t other;
    int rank;

    pthread_mutex_lock(&servers->lock);
    other = best(servers, tried | (uint64_t)1 << index, now_ms, &rank);
    may = other < servers->count && rank == 0;
    if (may && server_settle(server, now_ms) == SERVER_OK) {
        may = servers->purse >= HEDGE_PRICE;
        if (may)
            servers->purse -= HEDGE_PRICE;
    }
    if (may) {
        server->told.hedges++;
        *out_other = other;
    }
    pthread_mutex_unlock(&servers->lock);
    return may;
}

void servers_status(struct servers *servers, size_t index, uint64_t now_ms,
                    struct server_status *out)
{
    struct server *server = &servers->items[index];

    pthread_mutex_lock(&servers->lock);
    *out = server->told;
    out->state = server_settle(server, now_ms);
    out->latency_ms = percentile(server, 50);
    out->next_ms =
        out->state == SERVER_OK || server->until_ms <= now_ms ? 0 : server->until_ms - now_ms;
    pthread_mutex_unlock(&servers->lock);
}
