/* SPDX-License-Identifier: MIT */
#include "server/service/leases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"
#include "server/db/pulls.h"
#include "server/service/act_budget.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/lease_words.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"

#define EXPIRE_BATCH 100

void lease_page_release(struct lease_page *page)
{
    memory_free(page->items);
    memset(page, 0, sizeof(*page));
}

bool leases_is_stale(const struct services *services, const struct lease *lease)
{
    return services_now(services) - lease->renewed_at_s > LEASES_STALE_S;
}

/* host NUL token NUL place: neither of the first two has a NUL. */
static void position_format(const struct lease *lease, char out[CURSOR_SIZE])
{
    uint8_t key[CURSOR_KEY_MAX];
    size_t host_size = strlen(lease->host) + 1;
    size_t token_size = strlen(lease->token_id) + 1;
    size_t place_size = strlen(lease->place);

    memcpy(key, lease->host, host_size);
    memcpy(key + host_size, lease->token_id, token_size);
    memcpy(key + host_size + token_size, lease->place, place_size);
    cursor_format(CURSOR_LEASES, span_of(key, host_size + token_size + place_size), out);
}

static bool take_text(struct span text, char *out, size_t size)
{
    if (text.size >= size)
        return false;
    if (text.size > 0)
        memcpy(out, text.bytes, text.size);
    out[text.size] = '\0';
    return true;
}

static int position_parse(const struct page_request *request, struct lease_position *out,
                          struct refusal *why, struct error *err)
{
    uint8_t key[CURSOR_KEY_MAX];
    struct span rest, host, token = { 0 };
    size_t size;
    int r =
        cursor_parse(CURSOR_LEASES, request != NULL ? request->cursor : NULL, key, &size, why, err);

    if (r < 0)
        return r;
    *out = (struct lease_position){ .host = "" };
    if (size == 0)
        return 0;
    rest = span_of(key, size);
    span_cut(&rest, '\0', &host);
    span_cut(&rest, '\0', &token);
    if (!utf8_is_valid(rest) || memchr(rest.bytes, '\0', rest.size) != NULL ||
        name_check(NAME_HOST, host, NULL) < 0 || !take_text(host, out->host, sizeof(out->host)) ||
        !take_text(token, out->token_id, sizeof(out->token_id)) ||
        !take_text(rest, out->place, sizeof(out->place)))
        return refusal_at(why, "/cursor", error_set(err, -EINVAL, "not a cursor of this list"));
    return 0;
}

/* What is asked for and what is seen, both; false: nothing is. */
static bool narrow(const char **wanted, const char *scope)
{
    if (scope[0] == '\0')
        return true;
    if (*wanted != NULL && strcmp(*wanted, scope) != 0)
        return false;
    *wanted = scope;
    return true;
}

static int check_filter(const struct lease_filter *filter, struct refusal *why, struct error *err)
{
    const struct {
        const char *pointer, *name;
        enum name_kind kind;
    } names[] = {
        { "/project", filter->project, NAME_PROJECT },
        { "/app", filter->app, NAME_APP },
        { "/version", filter->version, NAME_VERSION },
    };
    int r;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        r = names[i].name == NULL ? 0 : name_check(names[i].kind, span_text(names[i].name), err);
        if (r < 0)
            return refusal_at(why, names[i].pointer, r);
    }
    r = filter->state == NULL ? 0 : lease_check_state(filter->state, err);
    return r < 0 ? refusal_at(why, "/state", r) : 0;
}

int leases_list(struct services *services, const struct identity *identity,
                const struct lease_filter *filter, const struct page_request *request,
                struct lease_page *out, struct refusal *why, struct error *err)
{
    struct lease_filter seen = *filter;
    struct lease_page page = { 0 };
    struct lease_position after;
    uint32_t limit;
    size_t count;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_VISIBLE, NULL, NULL, why, err);

    if (r == 0)
        r = page_limit(request, &limit, why, err);
    if (r == 0)
        r = position_parse(request, &after, why, err);
    if (r == 0)
        r = check_filter(filter, why, err);
    if (r < 0)
        return r;
    if (!narrow(&seen.project, identity->project) || !narrow(&seen.app, identity->app)) {
        *out = page;
        return 0;
    }
    r = lease_list(services->database, &seen, &after, limit + 1, &page.items, &count, err);
    if (r < 0)
        return r;
    page.count = count > limit ? limit : count;
    if (count > limit)
        position_format(&page.items[limit - 1], page.next_cursor);
    *out = page;
    return 0;
}

int leases_remove(struct services *services, const struct caller *caller, const char *host,
                  const char *place, struct refusal *why, struct error *err)
{
    const struct actor by = caller_actor(caller);
    size_t count = 0;
    int r =
        access_check(services, &caller->identity, ACCESS_ADMIN, ACCESS_WHOLE, NULL, NULL, why, err);

    /* What can be no host and no place holds nothing. */
    if (r == 0 && name_check(NAME_HOST, span_text(host), NULL) == 0 &&
        utf8_is_valid(span_text(place)))
        r = lease_remove(services->database, host, place, &by, &count, err);
    if (r < 0)
        return r;
    if (count == 0)
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "no lease at this place of this host"));
    event_written(services);
    return 0;
}

int leases_report_pull(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *reference, const char *host,
                       struct pull_report *out, struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    const struct identity seeing = identity_with_trash(&caller->identity);
    const struct actor by = caller_actor(caller);
    struct pull pull = { project, app, version.name, host, false };
    const int64_t now_s = services_now(services);
    struct pull_report report = { .counted = false };
    int r = access_check(services, &caller->identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why,
                         err);

    if (r == 0)
        r = lease_check_host(host, why, err);
    if (r == 0)
        r = version_resolve(services, &seeing, project, app, reference, &version, why, err);
    pull.known_only = act_budget_left(services->acts, caller->identity.id, now_s) == 0;
    if (r == 0)
        r = pull_add(services->database, &pull, &by, &report.counted, err);
    if (r == -EBUSY) {
        if (why != NULL)
            why->retry_after_s = act_budget_wait_s(services->acts, caller->identity.id, now_s, 1);
        return refusal_set(why, REFUSAL_RATE_LIMITED,
                           error_set(err, -EAGAIN, "the token has told of too many hosts"));
    }
    if (r < 0)
        return r;
    act_budget_charge(services->acts, caller->identity.id, now_s, report.counted ? 1 : 0);
    if (report.counted)
        event_written(services);
    memcpy(report.version, version.name, sizeof(report.version));
    *out = report;
    return 0;
}

int leases_expire(struct services *services, size_t *out_count, struct error *err)
{
    size_t total = 0;
    size_t count;

    do {
        int r = lease_expire(services->database, EXPIRE_BATCH, &count, err);

        if (r < 0)
            return r;
        total += count;
    } while (count == EXPIRE_BATCH);
    if (total > 0)
        event_written(services);
    *out_count = total;
    return 0;
}

int leases_count(struct services *services, struct lease_counts *out, struct error *err)
{
    return lease_count(services->database, LEASES_STALE_S, out, err);
}
