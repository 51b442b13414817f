/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/service/act_budget.h"
#include "server/service/context.h"
#include "server/service/lease_words.h"
#include "server/service/leases.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"

/* What a request says, on its way into the database. */
struct putting {
    const struct leases_request *request;
    struct lease_item *items;
    struct map places; /* to find one that is said twice */
    char within[LEASE_PLACE_SIZE];
    struct refusal *why;
};

static int refuse_item(const struct putting *putting, size_t index, const char *member,
                       enum refusal_code code, int result)
{
    char pointer[64];

    snprintf(pointer, sizeof(pointer), "/leases/%zu%s", index, member);
    refusal_at(putting->why, pointer, result);
    return refusal_set(putting->why, code, result);
}

static int check_name(enum name_kind kind, const char *name, struct error *err)
{
    return name_check(kind, name == NULL ? span_of("", 0) : span_text(name), err);
}

/* Everything of one item that needs no look at what is there. */
static int check_item(struct putting *putting, size_t index, struct error *err)
{
    const struct lease_said *said = &putting->request->items[index];
    struct lease_item *item = &putting->items[index];
    const char *member = "/project";
    void *twice = NULL;
    int r = check_name(NAME_PROJECT, said->project, err);

    if (r == 0) {
        member = "/app";
        r = check_name(NAME_APP, said->app, err);
    }
    if (r == 0) {
        member = "/version";
        r = check_name(NAME_VERSION, said->version, err);
    }
    if (r == 0) {
        member = "/place";
        r = lease_check_place(said->place == NULL ? "" : said->place, err);
    }
    if (r == 0) {
        member = "/mode";
        if (said->mode == NULL || lease_mode_parse(said->mode, &item->mode) < 0)
            r = error_set(err, -EINVAL, "a mode is pull, mount or attach");
    }
    if (r == 0) {
        member = "/state";
        r = lease_check_state(said->state == NULL ? "" : said->state, err);
    }
    if (r == 0) {
        member = "/place";
        if (map_set(&putting->places, span_text(said->place), item, &twice) < 0)
            return error_set(err, -ENOMEM, "out of memory");
        if (twice != NULL)
            r = error_set(err, -EINVAL, "the same place twice");
    }
    return r < 0 ? refuse_item(putting, index, member, REFUSAL_VALIDATION, r) : 0;
}

static int check_within(struct putting *putting, struct error *err)
{
    const char *within = putting->request->within;
    size_t size;
    int r;

    if (within == NULL)
        return 0;
    r = lease_check_place(within, err);
    if (r == 0 && !putting->request->replace)
        r = error_set(err, -EINVAL, "within is for replace alone");
    if (r < 0)
        return refusal_at(putting->why, "/within", r);
    size = strlen(within);
    while (size > 0 && within[size - 1] == '/')
        size--;
    memcpy(putting->within, within, size);
    putting->within[size] = '\0';
    return 0;
}

static bool is_within(const struct putting *putting, const char *place)
{
    size_t size = strlen(putting->within);

    return strncmp(place, putting->within, size) == 0 &&
           (place[size] == '\0' || place[size] == '/');
}

static int check(struct putting *putting, struct error *err)
{
    const struct leases_request *request = putting->request;
    int r = lease_check_host(request->host, putting->why, err);

    if (r == 0 && request->count > LEASES_PUT_MAX)
        r = refusal_at(putting->why, "/leases",
                       error_set(err, -EINVAL, "at most %d leases at once", LEASES_PUT_MAX));
    if (r == 0)
        r = check_within(putting, err);
    for (size_t i = 0; r == 0 && i < request->count; i++) {
        r = check_item(putting, i, err);
        if (r == 0 && request->within != NULL && !is_within(putting, request->items[i].place))
            r = refuse_item(putting, i, "/place", REFUSAL_VALIDATION,
                            error_set(err, -EINVAL, "the place is not within %s", request->within));
    }
    return r;
}

/* What a token may not pull is not there for it, and said in the same words. */
static int refuse_absent(const struct putting *putting, size_t index, struct error *err)
{
    const struct lease_said *said = &putting->request->items[index];

    return refuse_item(putting, index, "", REFUSAL_NOT_FOUND,
                       error_set(err, -ENOENT, "no version %s/%s/%s", said->project, said->app,
                                 said->version));
}

static int refuse_purged(const struct putting *putting, size_t index, struct error *err)
{
    const struct lease_said *said = &putting->request->items[index];

    return refuse_item(putting, index, "", REFUSAL_PURGED,
                       error_set(err, -ESTALE, "version %s/%s/%s was removed for ever",
                                 said->project, said->app, said->version));
}

static int resolve_item(struct services *services, const struct identity *identity,
                        struct putting *putting, size_t index, size_t *out_failed,
                        struct error *err)
{
    const struct lease_said *said = &putting->request->items[index];
    const struct identity seeing = identity_with_trash(identity);
    struct version_fact fact;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, said->project, said->app,
                         putting->why, err);

    if (r == 0)
        r = version_fact_get(services, &seeing, said->project, said->app, said->version, &fact,
                             putting->why, err);
    if (r == -ENOENT)
        return refuse_absent(putting, index, err);
    if (r < 0) {
        *out_failed = index;
        return r;
    }
    putting->items[index].version_id = fact.id;
    putting->items[index].project = said->project;
    putting->items[index].app = said->app;
    putting->items[index].version = said->version;
    putting->items[index].place = said->place;
    putting->items[index].state = said->state;
    putting->items[index].since_s = said->since_s;
    return 0;
}

static int put_once(struct services *services, const struct caller *caller, struct putting *putting,
                    struct lease_put_result *out, struct error *err)
{
    const struct leases_request *request = putting->request;
    const struct lease_put put = {
        .token_id = caller->identity.id,
        .host = request->host,
        .items = putting->items,
        .count = request->count,
        .replace = request->replace,
        .within = request->within == NULL ? NULL : putting->within,
        .life_s = LEASES_LIFE_S,
        .token_max = LEASES_TOKEN_MAX,
        .changes_max = act_budget_left(services->acts, caller->identity.id, services_now(services)),
        .by = caller_actor(caller)
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < request->count; i++)
        r = resolve_item(services, &caller->identity, putting, i, &out->failed, err);
    if (r == 0)
        r = lease_put(services->database, &put, out, err);
    return r == -ESTALE ? refuse_purged(putting, out->failed, err) : r;
}

static void forget(struct services *services, const struct leases_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        version_fact_forget(services, request->items[i].project, request->items[i].app,
                            request->items[i].version);
}

static int refuse_too_much(struct services *services, const struct caller *caller,
                           const struct putting *putting, const struct lease_put_result *result)
{
    refusal_set(putting->why, REFUSAL_RATE_LIMITED, -EAGAIN);
    putting->why->retry_after_s = act_budget_wait_s(services->acts, caller->identity.id,
                                                    services_now(services), result->changes);
    return -EAGAIN;
}

static int put(struct services *services, const struct caller *caller, struct putting *putting,
               struct lease_put_result *out, struct error *err)
{
    int r = check(putting, err);

    if (r < 0)
        return r;
    r = put_once(services, caller, putting, out, err);
    if (r == -ESTALE) {
        /* A fact may be a minute old: the version may have been purged since, and come again. */
        forget(services, putting->request);
        r = put_once(services, caller, putting, out, err);
    }
    if (r == -EBUSY)
        return refusal_set(putting->why, REFUSAL_TOO_MANY_LEASES, r);
    return r == -EAGAIN && out->is_too_much ? refuse_too_much(services, caller, putting, out) : r;
}

int leases_put(struct services *services, const struct caller *caller,
               const struct leases_request *request, int64_t *out_expires_at_s, struct refusal *why,
               struct error *err)
{
    struct refusal ignored = { 0 };
    struct putting putting = { .request = request,
                               .places = map_init(),
                               .why = why == NULL ? &ignored : why };
    struct lease_put_result result = { 0 };
    int r = access_check(services, &caller->identity, ACCESS_PULL, ACCESS_VISIBLE, NULL, NULL, why,
                         err);

    if (r < 0)
        return r;
    putting.items = memory_array(request->count, sizeof(*putting.items));
    if (putting.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = put(services, caller, &putting, &result, err);
    map_release(&putting.places);
    memory_free(putting.items);
    if (r < 0)
        return r;
    *putting.why = (struct refusal){ 0 };
    act_budget_charge(services->acts, caller->identity.id, services_now(services), result.changes);
    if (result.changes > 0)
        event_written(services);
    *out_expires_at_s = result.expires_at_s;
    return 0;
}
