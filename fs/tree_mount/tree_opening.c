/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/tree_opening.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/client/api_versions.h"
#include "common/client/tree_fetch.h"
#include "common/model/record.h"
#include "fs/tree_mount/record_store.h"
#include "fs/tree_mount/tree_mount.h"

struct steps {
    const struct opening_place *place;
    const char *project, *app, *version;
    uint64_t deadline_ms;
    tree_opening_done *done;
    void *context;
    unsigned outstanding; /* answers that are to come */
    struct tree_fetch *fetch;
    struct error failure; /* of the tree */
    bool has_record, record_is_new;
    struct record record;
};

static int start_online(struct steps *steps, struct error *err);

static void steps_free(struct steps *steps)
{
    tree_fetch_unref(steps->fetch);
    record_release(&steps->record);
    memory_free(steps);
}

static void finish(struct steps *steps, struct tree_mount *mount, const struct error *err)
{
    tree_opening_done *done = steps->done;
    void *context = steps->context;

    steps_free(steps);
    done(context, mount, err);
    tree_mount_unref(mount);
}

/* Kept or just got, it counts only if it is of this very tree. */
static bool record_fits(const struct steps *steps, const struct known_version *facts)
{
    const struct record *record = &steps->record;

    return steps->has_record && record->has_content && record->has_tree &&
           digest_equal(&record->content, &facts->content) &&
           digest_equal(&record->tree, &facts->tree) &&
           strcmp(record->project, steps->project) == 0 && strcmp(record->app, steps->app) == 0 &&
           strcmp(record->version, steps->version) == 0;
}

static int settle_record(struct steps *steps, struct error *err)
{
    const struct known_version *facts = tree_fetch_facts(steps->fetch);

    if (!steps->has_record && record_store_load(steps->place->records, steps->project, steps->app,
                                                steps->version, &facts->tree, &steps->record) == 0)
        steps->has_record = true;
    if (!record_fits(steps, facts)) {
        record_release(&steps->record);
        steps->record_is_new = false;
        return manifest_record_of_facts(steps->project, steps->app, steps->version, facts,
                                        &steps->record, err);
    }
    if (steps->record_is_new)
        record_store_save(steps->place->records, steps->place->workers, &steps->record);
    return 0;
}

static void complete(struct steps *steps)
{
    struct tree_mount *mount = NULL;
    struct error err = { 0 };

    if (steps->fetch == NULL) {
        err = steps->failure;
        finish(steps, NULL, &err);
        return;
    }
    err.code = settle_record(steps, &err);
    if (err.code == 0)
        err.code = tree_mount_new(&mount, steps->place->loop, take_pointer(&steps->fetch),
                                  &steps->record, steps->place->temporary, &err);
    finish(steps, mount, err.code < 0 ? &err : NULL);
}

static void arrived(struct steps *steps)
{
    if (--steps->outstanding == 0)
        complete(steps);
}

static void online_tree(void *context, struct tree_fetch *tree, const struct error *err)
{
    struct steps *steps = context;

    steps->fetch = tree;
    if (tree == NULL)
        steps->failure = *err;
    arrived(steps);
}

static void online_record(void *context, const struct api_version *version, const struct error *err)
{
    struct steps *steps = context;

    if (version != NULL && record_copy(&version->record, &steps->record, NULL) == 0)
        steps->has_record = steps->record_is_new = true;
    arrived(steps);
}

static void offline_tree(void *context, struct tree_fetch *tree, const struct error *err)
{
    struct steps *steps = context;

    if (tree != NULL) {
        steps->fetch = tree;
        complete(steps);
        return;
    }
    if (api_client_is_offline(steps->place->client)) {
        error_set(&steps->failure, -ENETDOWN, "offline: %.180s", err->text);
        complete(steps);
        return;
    }
    if (start_online(steps, &steps->failure) < 0)
        complete(steps);
}

static int start_tree(struct steps *steps, unsigned flags, tree_fetch_done *done, struct error *err)
{
    struct tree_fetch_options options = {
        .engine = steps->place->engine,
        .client = steps->place->client,
        .known = steps->place->known,
        .project = steps->project,
        .app = steps->app,
        .version = steps->version,
        .flags = flags,
        .deadline_ms = steps->deadline_ms,
    };

    return tree_fetch_open(&options, done, steps, err);
}

static int start_online(struct steps *steps, struct error *err)
{
    int r = start_tree(steps, 0, online_tree, err);

    if (r < 0)
        return r;
    steps->outstanding = 1;
    /* Without it the tree is shown all the same. */
    if (api_version_get_start(steps->place->client, steps->project, steps->app, steps->version,
                              online_record, steps, NULL) == 0)
        steps->outstanding++;
    return 0;
}

int tree_opening_start(const struct opening_place *place, const char *project, const char *app,
                       const char *version, uint64_t deadline_ms, tree_opening_done *done,
                       void *context, struct error *err)
{
    struct steps *steps = memory_new(sizeof(*steps));
    int r;

    if (steps == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    steps->place = place;
    steps->project = project;
    steps->app = app;
    steps->version = version;
    steps->deadline_ms = deadline_ms;
    steps->done = done;
    steps->context = context;
    record_init(&steps->record);
    r = start_tree(steps, TREE_OFFLINE, offline_tree, err);
    if (r == -ENOENT && !api_client_is_offline(place->client))
        r = start_online(steps, err);
    if (r < 0)
        steps_free(steps);
    return r;
}
