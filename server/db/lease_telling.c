/* SPDX-License-Identifier: MIT */
#include "server/db/lease_telling.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/db/audit.h"
#include "server/db/events_outbox.h"
#include "server/db/transaction.h"

/* A place may be of bytes that are six each in JSON. */
#define DATA_MAX ((size_t)32 << 10)
#define LISTED ((size_t)4 << 10) /* no more are named when the text is so long */
#define KEY_MAX 640

static const struct {
    const char *operation, *event, *word;
} changes[] = {
    [LEASE_BEGAN] = { "lease.begin", "lease.changed", "began" },
    [LEASE_ENDED] = { "lease.end", "lease.changed", "ended" },
    [LEASE_EXPIRED] = { "lease.expire", "lease.changed", "expired" },
    [LEASE_REMOVED] = { "lease.remove", "lease.removed", "removed" },
};
#define CHANGE_COUNT (sizeof(changes) / sizeof(changes[0]))

struct lease_group {
    struct lease_group *next;
    enum lease_change change;
    enum lease_mode mode; /* of the first */
    char project[NAME_SIZE], app[NAME_SIZE], version[VERSION_NAME_SIZE];
    char token_id[13];
    char host[LEASE_HOST_SIZE];
    char place[LEASE_PLACE_SIZE]; /* the first */
    size_t count;
    struct buf places; /* a JSON array, until it is long */
    struct json_writer writer;
};

void lease_telling_init(struct lease_telling *telling)
{
    *telling = (struct lease_telling){ .groups = map_init() };
    telling->last = &telling->first;
}

static void group_free(struct lease_group *group)
{
    if (group == NULL)
        return;
    buf_release(&group->places);
    memory_free(group);
}

void lease_telling_release(struct lease_telling *telling)
{
    struct lease_group *next;

    for (struct lease_group *at = telling->first; at != NULL; at = next) {
        next = at->next;
        group_free(at);
    }
    map_release(&telling->groups);
    lease_telling_init(telling);
}

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static struct lease_group *group_new(enum lease_change change, const struct lease_told *told)
{
    struct lease_group *group = memory_new(sizeof(*group));

    if (group == NULL)
        return NULL;
    group->change = change;
    group->mode = told->mode;
    copy(group->project, sizeof(group->project), told->project);
    copy(group->app, sizeof(group->app), told->app);
    copy(group->version, sizeof(group->version), told->version);
    copy(group->token_id, sizeof(group->token_id), told->token_id);
    copy(group->host, sizeof(group->host), told->host);
    copy(group->place, sizeof(group->place), told->place);
    group->places = buf_init(DATA_MAX);
    group->writer = json_writer_init(&group->places);
    json_begin_array(&group->writer, NULL);
    return group;
}

static int find_group(struct lease_telling *telling, enum lease_change change,
                      const struct lease_told *told, struct lease_group **out, struct error *err)
{
    struct lease_group *group;
    char text[KEY_MAX];
    struct span key;
    int size = snprintf(text, sizeof(text), "%d/%s/%s/%s/%s/%s", (int)change, told->token_id,
                        told->host, told->project, told->app, told->version);

    if (size < 0 || (size_t)size >= sizeof(text))
        return error_set(err, -EBADMSG, "names of a lease that are too long");
    key = span_of(text, (size_t)size);
    group = map_get(&telling->groups, key);
    if (group != NULL) {
        *out = group;
        return 0;
    }
    group = group_new(change, told);
    if (group == NULL || map_set(&telling->groups, key, group, NULL) < 0) {
        group_free(group);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *telling->last = group;
    telling->last = &group->next;
    *out = group;
    return 0;
}

int lease_telling_add(struct lease_telling *telling, enum lease_change change,
                      const struct lease_told *told, struct error *err)
{
    struct lease_group *group;
    int r = find_group(telling, change, told, &group, err);

    if (r < 0)
        return r;
    group->count++;
    if (group->places.size < LISTED)
        json_text(&group->writer, NULL, told->place);
    return buf_check(&group->places, err);
}

/* The version's own event. */
static int tell(struct transaction *tx, struct lease_group *group, const struct actor *by,
                struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct event_draft event = { .type = changes[group->change].event,
                                 .project = group->project,
                                 .app = group->app,
                                 .version = group->version,
                                 .actor = by->name };
    int r;

    json_end(&group->writer);
    json_begin_object(&writer, NULL);
    json_text(&writer, "change", changes[group->change].word);
    json_text(&writer, "host", group->host);
    json_text(&writer, "place", group->place);
    json_text(&writer, "mode", lease_mode_name(group->mode));
    json_text(&writer, "token", group->token_id);
    json_integer(&writer, "count", (int64_t)group->count);
    if (group->count > 1)
        json_ready(&writer, "places", buf_span(&group->places));
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    event.data = buf_text(&data);
    return event_add(tx, &event, err);
}

/* What all the groups of a kind of change have in common, and how much they are. */
struct summary {
    const struct lease_group *first;
    bool one_project, one_app, one_version, one_host;
    size_t leases, versions;
};

static struct summary summarise(const struct lease_telling *telling, enum lease_change change)
{
    struct summary summary = { NULL, true, true, true, true, 0, 0 };

    for (const struct lease_group *at = telling->first; at != NULL; at = at->next) {
        if (at->change != change)
            continue;
        if (summary.first == NULL)
            summary.first = at;
        summary.one_project &= strcmp(at->project, summary.first->project) == 0;
        summary.one_app &= strcmp(at->app, summary.first->app) == 0;
        summary.one_version &= strcmp(at->version, summary.first->version) == 0;
        summary.one_host &= strcmp(at->host, summary.first->host) == 0;
        summary.leases += at->count;
        summary.versions++;
    }
    summary.one_app &= summary.one_project;
    summary.one_version &= summary.one_app;
    return summary;
}

static void write_groups(const struct lease_telling *telling, enum lease_change change,
                         struct buf *data, struct json_writer *writer)
{
    json_begin_array(writer, "leases");
    for (const struct lease_group *at = telling->first; at != NULL; at = at->next) {
        if (at->change != change || data->size > LISTED)
            continue;
        json_begin_object(writer, NULL);
        json_text(writer, "host", at->host);
        json_text(writer, "place", at->place);
        json_text(writer, "project", at->project);
        json_text(writer, "app", at->app);
        json_text(writer, "version", at->version);
        json_text(writer, "mode", lease_mode_name(at->mode));
        json_text(writer, "token", at->token_id);
        json_integer(writer, "count", (int64_t)at->count);
        json_end(writer);
    }
    json_end(writer);
}

static int log_change(struct transaction *tx, const struct lease_telling *telling,
                      enum lease_change change, const struct actor *by, struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    const struct summary summary = summarise(telling, change);
    struct audit_entry entry = { .actor = by->name,
                                 .token_id = by->token_id,
                                 .address = by->address,
                                 .request_id = by->request_id,
                                 .operation = changes[change].operation,
                                 .result = "ok" };
    int r;

    if (summary.first == NULL)
        return 0;
    json_begin_object(&writer, NULL);
    json_text(&writer, "change", changes[change].word);
    if (summary.one_host)
        json_text(&writer, "host", summary.first->host);
    json_integer(&writer, "count", (int64_t)summary.leases);
    json_integer(&writer, "versions", (int64_t)summary.versions);
    write_groups(telling, change, &data, &writer);
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    entry.project = summary.one_project ? summary.first->project : NULL;
    entry.app = summary.one_app ? summary.first->app : NULL;
    entry.version = summary.one_version ? summary.first->version : NULL;
    entry.data = buf_text(&data);
    return audit_write(tx, &entry, err);
}

int lease_telling_write(struct lease_telling *telling, struct transaction *tx,
                        const struct actor *by, struct error *err)
{
    int r = 0;

    for (struct lease_group *at = telling->first; r >= 0 && at != NULL; at = at->next)
        r = tell(tx, at, by, err);
    for (size_t change = 0; r >= 0 && change < CHANGE_COUNT; change++)
        r = log_change(tx, telling, (enum lease_change)change, by, err);
    return r < 0 ? r : 0;
}
