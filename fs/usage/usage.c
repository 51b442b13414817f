/* SPDX-License-Identifier: MIT */
#include "fs/usage/usage.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/client/api_client.h"
#include "fs/ids/ids.h"
#include "fs/usage/usage_private.h"

#define HOST_NAME_ROOM 256
#define RELEASE_MS 1000

static int new_book(struct usage *usage, struct error *err)
{
    char system_name[HOST_NAME_ROOM];
    struct lease_book_options options = {
        .host = usage->options.host,
        .mountpoint = usage->options.mountpoint,
        .is_silent = strcmp(api_client_token_name(usage->options.client), "anonymous") == 0,
        .alone = usage->options.alone,
        .is_former = uses_count(usage->uses) > 0,
    };

    if (options.host == NULL) {
        platform_host_name(system_name, sizeof(system_name));
        options.host = system_name;
    }
    return lease_book_new(&usage->book, &options, err);
}

int usage_new(struct usage **out_usage, const struct usage_options *options, struct error *err)
{
    struct usage *usage = memory_new(sizeof(*usage));
    int r;

    if (usage == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    usage->options = *options;
    if (usage->options.kept_ms == 0)
        usage->options.kept_ms = USAGE_KEPT_MS;
    memcpy(usage->sources, options->sources, options->source_count * sizeof(*usage->sources));
    usage->timer = (struct http_timer){ .function = usage_go_over, .context = usage };
    usage->wake_post = (struct http_post){ .function = usage_wake, .context = usage };
    pthread_mutex_init(&usage->lock, NULL);
    r = uses_open(options->file, clock_now_s(), &usage->uses, err);
    if (r == 0)
        r = new_book(usage, err);
    if (r < 0) {
        usage_free(usage);
        return r;
    }
    *out_usage = usage;
    return 0;
}

struct usage *usage_free(struct usage *usage)
{
    if (usage == NULL)
        return NULL;
    lease_book_free(usage->book);
    uses_close(usage->uses);
    in_use_release(&usage->set);
    pthread_mutex_destroy(&usage->lock);
    return memory_free(usage);
}

/* Uses ----------------------------------------------------------------------------- */

static void note(struct usage *usage, const struct ids_place *place, uint64_t seen_ms)
{
    bool is_new = false;

    if (uses_note(usage->uses, place->project, place->app, place->version, clock_now_s(), seen_ms,
                  &is_new) < 0 ||
        !is_new)
        return;
    atomic_store(&usage->is_new, true);
    usage_wake_soon(usage);
}

void usage_read(struct usage *usage, const struct ids_place *place)
{
    const uint64_t now = (uint64_t)place->slot << 32 | (clock_monotonic_ms() / 1000 & UINT32_MAX);

    if (atomic_exchange(&usage->last_read, now) != now)
        note(usage, place, 0);
}

void usage_seen(struct usage *usage, const uint32_t *slots, size_t count)
{
    const uint64_t now_ms = clock_monotonic_ms();
    struct ids_place place;

    for (size_t i = 0; i < count; i++)
        if (slots[i] <= IDS_SLOT_MAX && slots[i] > 0 &&
            ids_find(usage->options.ids, ids_node(slots[i], 0), &place, NULL) == 0 &&
            place.kind == IDS_IS_VERSION)
            note(usage, &place, now_ms);
}

/* The end --------------------------------------------------------------------------- */

static void released(void *context, const struct api_leases_answer *answer)
{
    struct usage *usage = context;

    usage->put = NULL;
    if (answer->code < 0 && answer->code != -ENOENT)
        log_info("the leases of this mount were not released: %s", answer->err.text);
}

void usage_end(struct usage *usage, bool releases)
{
    struct api_leases leases;

    if (usage == NULL || atomic_exchange(&usage->ended, true))
        return;
    http_timer_clear(usage->options.loop, &usage->timer);
    if (usage->put != NULL)
        api_leases_cancel(usage->put);
    usage_save(usage);
    pthread_mutex_lock(&usage->lock);
    if (releases && api_client_online(usage->options.client) &&
        lease_book_release(usage->book, &leases)) {
        leases.timeout_ms = RELEASE_MS;
        api_leases_start(usage->options.client, &leases, released, usage, &usage->put, NULL);
    }
    pthread_mutex_unlock(&usage->lock);
}

bool usage_is_idle(struct usage *usage)
{
    return usage == NULL || (usage->put == NULL && !usage->works);
}

void usage_give_up(struct usage *usage)
{
    if (usage != NULL && usage->put != NULL)
        api_leases_cancel(usage->put);
}

/* Status ----------------------------------------------------------------------------- */

void usage_tell(struct usage *usage, const char *project, const char *app, const char *version,
                struct json_writer *writer)
{
    pthread_mutex_lock(&usage->lock);
    lease_book_tell(usage->book, project, app, version, writer);
    pthread_mutex_unlock(&usage->lock);
}

void usage_tell_all(struct usage *usage, struct json_writer *writer)
{
    pthread_mutex_lock(&usage->lock);
    lease_book_tell_all(usage->book, writer);
    pthread_mutex_unlock(&usage->lock);
}

struct naming {
    struct in_use set;
};

static int name_it(void *context, const struct version_names *names)
{
    struct naming *naming = context;

    in_use_add(&naming->set, names->project, names->app, names->version, IN_USE_RECENT);
    return 0;
}

void usage_each(struct usage *usage, usage_version *each, void *context)
{
    struct naming naming = { 0 };

    pthread_mutex_lock(&usage->lock);
    lease_book_each(usage->book, name_it, &naming);
    pthread_mutex_unlock(&usage->lock);
    in_use_sort(&naming.set);
    for (size_t i = 0; i < naming.set.count; i++)
        each(context, naming.set.items[i].names.project, naming.set.items[i].names.app,
             naming.set.items[i].names.version);
    in_use_release(&naming.set);
}
