/* SPDX-License-Identifier: MIT */
#include "fs/main/arrival.h"

#include "common/base/clock.h"
#include "common/client/tree_fetch.h"
#include "fs/care/care.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"
#include "fs/tree_mount/tree_mount.h"
#include "fs/tree_mount/tree_set.h"

static void tree_came(void *context, struct tree_mount *mount, uint32_t slot,
                      const struct error *err)
{
    struct arrival *arrival = context;
    const struct mount_options *options = arrival->rooms->options;
    struct error failure = { 0 };

    if (mount == NULL) {
        arrival->done(arrival->context, err);
        return;
    }
    arrival->tree = tree_fetch_facts(tree_mount_fetch(mount))->tree;
    if (!arrival->whole)
        arrival->done(arrival->context, NULL);
    else if (care_bring_then(arrival->rooms->care, options->only_project, options->only_app,
                             arrival->version, arrival->done, arrival->context, &failure) < 0)
        arrival->done(arrival->context, &failure);
}

int arrival_start(struct arrival *arrival, struct error *err)
{
    const struct mount_options *options = arrival->rooms->options;

    return tree_set_open(arrival->rooms->trees, options->only_project, options->only_app,
                         arrival->version, clock_monotonic_ms() + options->deadline_ms, tree_came,
                         arrival, err);
}
