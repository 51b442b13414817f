/* SPDX-License-Identifier: MIT */
#include "common/client/servers.h"

#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/servers_private.h"

const char *server_state_text(enum server_state state)
{
    static const char *const texts[] = {
        [SERVER_OK] = "ok",
        [SERVER_SLOW] = "slow",
        [SERVER_AWAY] = "away",
        [SERVER_DOUBTED] = "doubted",
        [SERVER_LATER] = "later",
        [SERVER_QUARANTINED] = "quarantined",
        [SERVER_FOREIGN] = "other-store",
    };

    return texts[state];
}

struct servers_policy servers_policy_default(void)
{
    return (struct servers_policy){
        .failures = 3,
        .overtaken = 3,
        .pause = 1000,
        .pause_max = 30000,
        .strikes = 3,
        .strike_within = 600000,
        .doubt = 5000,
        .quarantine = 600000,
        .quarantine_max = 3600000,
        .later_max = 600000,
        .hedge_least = 200,
        .hedge_most = 2000,
        .hedge_new = 1000,
        .hedge_percent = 5,
        .hedge_burst = 4,
        .stall = 2000,
        .connect = 3000,
        .patience = 5000,
    };
}

int servers_new(struct servers **out_servers, size_t count, const struct servers_policy *policy,
                struct error *err)
{
    struct servers *servers;

    if (count == 0)
        return error_set(err, -EINVAL, "no server is named");
    if (count > SERVERS_MAX)
        return error_set(err, -EINVAL, "more than %d servers", SERVERS_MAX);
    servers = memory_new(sizeof(*servers));
    if (servers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    servers->items = memory_array(count, sizeof(*servers->items));
    if (servers->items == NULL) {
        memory_free(servers);
        return error_set(err, -ENOMEM, "out of memory");
    }
    servers->count = count;
    servers->policy = policy != NULL ? *policy : servers_policy_default();
    servers->purse = servers->policy.hedge_burst * HEDGE_PRICE;
    pthread_mutex_init(&servers->lock, NULL);
    *out_servers = servers;
    return 0;
}

struct servers *servers_free(struct servers *servers)
{
    if (servers == NULL)
        return NULL;
    pthread_mutex_destroy(&servers->lock);
    memory_free(servers->items);
    return memory_free(servers);
}

const struct servers_policy *servers_policy_of(const struct servers *servers)
{
    return &servers->policy;
}

/* States ------------------------------------------------------------------- */

static uint64_t spread(uint64_t pause_ms)
{
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    return pause_ms / 2 + (pause_ms - pause_ms / 2) * random / UINT32_MAX;
}

void server_become_ok(struct server *server, uint64_t now_ms)
{
    server->state = SERVER_OK;
    server->ok_ms = now_ms;
    server->failures = server->overtaken = 0;
}

static void keep_cause(struct server *server, const char *why)
{
    size_t length = strnlen(why != NULL ? why : "", SERVER_CAUSE_SIZE - 1);

    if (length > 0)
        memcpy(server->told.cause, why, length);
    server->told.cause[length] = '\0';
}

static bool leave_ok(struct server *server, enum server_state state, const char *why)
{
    bool changed = server->state != state;

    server->state = state;
    if (changed)
        keep_cause(server, why);
    return changed;
}

bool server_pause(const struct servers_policy *policy, struct server *server,
                  enum server_state state, const char *why, uint64_t now_ms)
{
    bool lasted = server->state == SERVER_OK && now_ms - server->ok_ms >= server->pause_ms;

    if (server->pause_ms == 0 || lasted)
        server->pause_ms = policy->pause;
    else
        server->pause_ms *= 2;
    if (server->pause_ms > policy->pause_max)
        server->pause_ms = policy->pause_max;
    server->until_ms = now_ms + spread(server->pause_ms);
    return leave_ok(server, state, why);
}

/* What was on its way when it failed fails too, and tells nothing new. */
static bool is_pausing(const struct server *server, uint64_t now_ms)
{
    return server->state != SERVER_OK && server->state != SERVER_LATER && now_ms < server->until_ms;
}

/* Somebody asked it since there was no other, or it is ok: it is away. What is worse stays. */
static bool note_lost(struct servers *servers, struct server *server, const char *why,
                      uint64_t now_ms)
{
    enum server_state state = server->state >= SERVER_QUARANTINED ? server->state : SERVER_AWAY;

    server->failures = 0;
    if (is_pausing(server, now_ms))
        return server->state == SERVER_SLOW && leave_ok(server, SERVER_AWAY, why);
    return server_pause(&servers->policy, server, state, why, now_ms);
}

static bool note_wrong(struct servers *servers, struct server *server, const char *why,
                       uint64_t now_ms)
{
    const struct servers_policy *policy = &servers->policy;

    server->told.wrong++;
    if (now_ms - server->strike_ms > policy->strike_within) {
        server->strikes = 0;
        server->quarantine_ms = 0;
    }
    server->strike_ms = now_ms;
    server->strikes++;
    if (server->state >= SERVER_QUARANTINED)
        return false;
    if (server->strikes < policy->strikes) {
        server->until_ms = now_ms + policy->doubt;
        return leave_ok(server, SERVER_DOUBTED, why);
    }
    server->quarantine_ms =
        server->quarantine_ms == 0 ? policy->quarantine : server->quarantine_ms * 2;
    if (server->quarantine_ms > policy->quarantine_max)
        server->quarantine_ms = policy->quarantine_max;
    server->until_ms = now_ms + spread(server->quarantine_ms);
    return leave_ok(server, SERVER_QUARANTINED, why);
}

bool server_note_strange(struct servers *servers, struct server *server, const char *why,
                         uint64_t now_ms)
{
    server->until_ms = now_ms + spread(servers->policy.quarantine);
    return leave_ok(server, SERVER_FOREIGN, why);
}

/* An answer says that it is there. Not that it is fast, nor that its bytes are right; of the only
 * one nobody else tells. */
static bool note_answered(const struct servers *servers, struct server *server, uint64_t now_ms)
{
    server->failures = server->overtaken = 0;
    if (server->state == SERVER_OK)
        return false;
    if (server->state != SERVER_AWAY && server->state != SERVER_LATER &&
        (servers->count > 1 || now_ms < server->until_ms))
        return false;
    server_become_ok(server, now_ms);
    return true;
}

static bool note_event(struct servers *servers, struct server *server, enum server_event event,
                       const char *why, uint64_t now_ms)
{
    const struct servers_policy *policy = &servers->policy;

    if (event == SERVER_ANSWERED)
        return note_answered(servers, server, now_ms);
    server->failed_ms = now_ms;
    if (event == SERVER_WRONG)
        return note_wrong(servers, server, why, now_ms);
    if (event == SERVER_STRANGE)
        return server_note_strange(servers, server, why, now_ms);
    if (event == SERVER_OVERTAKEN) {
        if (++server->overtaken < policy->overtaken || server->state != SERVER_OK)
            return false;
        return server_pause(policy, server, SERVER_SLOW, why, now_ms);
    }
    server->told.failures++;
    if (event == SERVER_FAILED && server->state == SERVER_OK &&
        ++server->failures < policy->failures)
        return false;
    return note_lost(servers, server, why, now_ms);
}

enum server_state server_settle(struct server *server, uint64_t now_ms)
{
    if (server->state == SERVER_LATER && now_ms >= server->until_ms)
        server_become_ok(server, now_ms);
    return server->state;
}

bool servers_note(struct servers *servers, size_t index, enum server_event event, const char *why,
                  uint64_t now_ms)
{
    bool changed;

    pthread_mutex_lock(&servers->lock);
    server_settle(&servers->items[index], now_ms);
    changed = note_event(servers, &servers->items[index], event, why, now_ms);
    pthread_mutex_unlock(&servers->lock);
    return changed;
}

bool servers_note_later(struct servers *servers, size_t index, uint64_t retry_after_ms,
                        uint64_t now_ms)
{
    struct server *server = &servers->items[index];
    uint64_t wait_ms = retry_after_ms;
    bool changed = false;

    if (wait_ms > servers->policy.later_max)
        wait_ms = servers->policy.later_max;
    pthread_mutex_lock(&servers->lock);
    server->told.failures++;
    server->failed_ms = now_ms;
    if (server->state < SERVER_QUARANTINED && server->state != SERVER_DOUBTED) {
        server->until_ms = now_ms + wait_ms;
        changed = leave_ok(server, SERVER_LATER, "it said when to come again");
    }
    pthread_mutex_unlock(&servers->lock);
    return changed;
}

void servers_note_latency(struct servers *servers, size_t index, uint64_t latency_ms)
{
    struct server *server = &servers->items[index];

    pthread_mutex_lock(&servers->lock);
    server->latencies[server->latency_count++ % LATENCIES] =
        latency_ms < UINT32_MAX ? (uint32_t)latency_ms : UINT32_MAX;
    pthread_mutex_unlock(&servers->lock);
}
