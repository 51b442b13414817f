/* SPDX-License-Identifier: MIT */
#include "fs/main/rooms_usage.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/number.h"
#include "fs/care/care.h"
#include "fs/ids/ids.h"
#include "fs/look/looker.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"
#include "fs/pins/pins.h"
#include "fs/usage/usage.h"

static void note_read(void *context, const struct ids_place *place)
{
    const struct rooms *rooms = context;

    usage_read(rooms->usage, place);
}

static void tell_version(void *context, const char *project, const char *app, const char *version,
                         struct json_writer *writer)
{
    const struct rooms *rooms = context;

    usage_tell(rooms->usage, project, app, version, writer);
}

static void each_in_use(void *context, ops_version *each, void *each_context)
{
    const struct rooms *rooms = context;

    usage_each(rooms->usage, each, each_context);
}

/* No question is asked before all rooms are open. */
struct ops_usage rooms_usage_of_ops(struct rooms *rooms)
{
    return (struct ops_usage){
        .context = rooms, .read = note_read, .tell = tell_version, .each = each_in_use
    };
}

struct giving {
    const struct mount_options *options;
    usage_version *each;
    void *context;
};

/* A cache has the pins of all its mounts, also of what this one does not show. */
static int give_pin(void *context, const struct pin *pin)
{
    const struct giving *giving = context;
    const struct mount_options *options = giving->options;

    if ((options->only_project == NULL || strcmp(options->only_project, pin->project) == 0) &&
        (options->only_app == NULL || strcmp(options->only_app, pin->app) == 0))
        giving->each(giving->context, pin->project, pin->app, pin->version);
    return 0;
}

static void each_pinned(void *context, usage_version *each, void *each_context)
{
    const struct rooms *rooms = context;
    struct giving giving = { rooms->options, each, each_context };

    pins_each(rooms->pins, rooms->entry.store, give_pin, &giving);
}

static void each_brought(void *context, usage_version *each, void *each_context)
{
    const struct rooms *rooms = context;

    care_each_brought(rooms->care, each, each_context);
}

/* The version that is shown alone, as long as its connection lives. */
static void each_attached(void *context, usage_version *each, void *each_context)
{
    const struct rooms *rooms = context;
    struct ids_place place;

    if (ids_find(rooms->ids, IDS_ROOT, &place, NULL) == 0 && place.kind == IDS_IS_VERSION)
        each(each_context, place.project, place.app, place.version);
}

static const char *state_of(void *context, const char *project, const char *app,
                            const char *version)
{
    const struct rooms *rooms = context;

    return ops_version_state(rooms->ops, project, app, version);
}

static uint64_t kept_ms(void)
{
    const char *text = getenv(USAGE_KEPT_VARIABLE);
    uint64_t kept = 0;

    return text != NULL && number_parse(span_text(text), USAGE_KEPT_MS, &kept, NULL) == 0
               ? kept
               : USAGE_KEPT_MS;
}

int rooms_usage_open(struct rooms *rooms, struct error *err)
{
    const struct usage_source sources[] = {
        { IN_USE_PINNED, each_pinned, rooms },
        { IN_USE_PREFETCHING, each_brought, rooms },
    };
    const struct usage_source attached[] = { { IN_USE_ATTACHED, each_attached, rooms } };
    const bool alone = rooms->options->attached;
    struct usage_options options = {
        .loop = rooms->loop,
        .client = rooms->client,
        .workers = rooms->workers,
        .ids = rooms->ids,
        .mountpoint = rooms->options->mountpoint,
        .alone = alone,
        .sources = alone ? attached : sources,
        .source_count = alone ? 1 : sizeof(sources) / sizeof(sources[0]),
        .state = state_of,
        .state_context = rooms,
        .kept_ms = kept_ms(),
        .look_ms = looker_every_ms(),
    };

    if (!alone) /* what is shown tells itself what is used */
        rooms->uses = rooms_own_file(rooms, "uses");
    options.file = rooms->uses;
    return usage_new(&rooms->usage, &options, err);
}
