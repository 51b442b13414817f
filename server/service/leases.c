/* SPDX-License-Identifier: MIT */
#include "server/service/leases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"
#include "server/db/pulls.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"

#define EXPIRE_BATCH 100

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

static int check_host(const char *host, struct refusal *why, struct error *err)
{
    int r = name_check(NAME_HOST, span_text(host), err);

    return r < 0 ? refusal_at(why, "/host", r) : 0;
}

static int check_state(const char *state, struct error *err)
{
    size_t size = strspn(state, "abcdefghijklmnopqrstuvwxyz-");

    if (size == 0 || size >= LEASE_STATE_SIZE || state[size] != '\0' || state[0] == '-')
        return error_set(err, -EINVAL, "a state is a word of at most %d letters in lower case",
                         LEASE_STATE_SIZE - 1);
    return 0;
}

static int check_place(const char *place, struct error *err)
{
    size_t size = strnlen(place, LEASE_PLACE_SIZE);

    if (size == 0 || size >= LEASE_PLACE_SIZE)
        return error_set(err, -EINVAL, "a place is a text of 1 to %d bytes", LEASE_PLACE_SIZE - 1);
    return 0;
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
        r = check_place(said->place == NULL ? "" : said->place, err);
    }
    if (r == 0) {
        member = "/mode";
        if (said->mode == NULL || lease_mode_parse(said->mode, &item->mode) < 0)
            r = error_set(err, -EINVAL, "a mode is pull, mount or attach");
    }
    if (r == 0) {
        member = "/state";
        r = check_state(said->state == NULL ? "" : said->state, err);
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
    r = check_place(within, err);
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
    int r = check_host(request->host, putting->why, err);

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

/* What is in use may be in the trash. */
static struct identity with_trash(const struct identity *identity)
{
    struct identity seeing = *identity;

    seeing.sees_trash = true;
    return seeing;
}

static int resolve_item(struct services *services, const struct identity *identity,
                        struct putting *putting, size_t index, size_t *out_failed,
                        struct error *err)
{
    const struct lease_said *said = &putting->request->items[index];
    const struct identity seeing = with_trash(identity);
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
    const struct lease_put put = { .token_id = caller->identity.id,
                                   .host = request->host,
                                   .items = putting->items,
                                   .count = request->count,
                                   .replace = request->replace,
                                   .within = request->within == NULL ? NULL : putting->within,
                                   .life_s = LEASES_LIFE_S,
                                   .token_max = LEASES_TOKEN_MAX,
                                   .by = caller_actor(caller) };
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
    return r;
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
    if (result.changes > 0)
        event_written(services);
    *out_expires_at_s = result.expires_at_s;
    return 0;
}

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
    r = filter->state == NULL ? 0 : check_state(filter->state, err);
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
    const struct identity seeing = with_trash(&caller->identity);
    const struct actor by = caller_actor(caller);
    struct pull pull = { project, app, version.name, host };
    struct pull_report report = { .counted = false };
    int r = access_check(services, &caller->identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why,
                         err);

    if (r == 0)
        r = check_host(host, why, err);
    if (r == 0)
        r = version_resolve(services, &seeing, project, app, reference, &version, why, err);
    if (r == 0)
        r = pull_add(services->database, &pull, &by, &report.counted, err);
    if (r < 0)
        return r;
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
