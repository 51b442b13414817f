/* SPDX-License-Identifier: MIT */
/* From a name to what the version consists of: its tree opened, complete, its contents listed. */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/number.h"
#include "common/client/tree_fetch.h"
#include "fs/care/care_private.h"
#include "fs/pins/content_set.h"
#include "fs/pins/pins.h"
#include "fs/tree_mount/tree_set.h"

size_t care_job_count(const struct care_job *job)
{
    return job->kind == CARE_LEARN ? job->wanted_count : job->set->count;
}

struct wanted care_job_item(const struct care_job *job, size_t item)
{
    const struct content_item *content;

    if (job->kind == CARE_LEARN)
        return job->wanted[item];
    content = &job->set->items[item];
    return (struct wanted){ content->index, content->size, 0, content->size };
}

int care_job_object(struct care_job *job, size_t item, struct blob_object **out_object,
                    struct error *err)
{
    struct wanted content = care_job_item(job, item);
    struct tree_fetch *fetch = tree_mount_fetch(job->mount);
    struct digest sha256, verity;
    int r = tree_fetch_digest(fetch, content.index, &sha256, &verity);

    if (r < 0)
        return error_set(err, r, "the tree is not in the cache any more");
    return tree_fetch_object(fetch, &sha256, &verity, content.size, out_object, err);
}

/* What is pinned and this version, against what the cache may hold. */
static int check_room(struct care_job *job, struct error *err)
{
    const struct content_set *set = job->set;
    uint64_t own = set->bytes + set->tree_size, all = 0;
    char own_text[NUMBER_SIZE_TEXT], all_text[NUMBER_SIZE_TEXT], limit[NUMBER_SIZE_TEXT];
    struct blob_cache_stats stats;
    int r;

    blob_cache_stats(job->care->options.cache, &stats);
    if (stats.quota_bytes == 0)
        return 0;
    r = pins_bytes(job->care->options.pins, set, &all, err);
    if (r < 0 || all <= stats.quota_bytes)
        return r;
    number_format_size(own, own_text);
    number_format_size(all, all_text);
    number_format_size(stats.quota_bytes, limit);
    if (own > stats.quota_bytes)
        return error_set(err, -ENOSPC, "%s/%s/%s has %s, and the cache holds %s (cache_size)",
                         job->project, job->app, job->version, own_text, limit);
    return error_set(err, -ENOSPC,
                     "%s/%s/%s has %s: with what is pinned %s, and the cache holds %s (cache_size)",
                     job->project, job->app, job->version, own_text, all_text, limit);
}

static int add_pin(struct care_job *job, struct error *err)
{
    struct pin pin = { .tree = job->set->tree, .tree_size = job->set->tree_size };

    memcpy(pin.project, job->project, sizeof(pin.project));
    memcpy(pin.app, job->app, sizeof(pin.app));
    memcpy(pin.version, job->version, sizeof(pin.version));
    if (strlen(job->care->options.store) >= sizeof(pin.store))
        return error_set(err, -EINVAL, "a store with such an id cannot be pinned");
    memcpy(pin.store, job->care->options.store, strlen(job->care->options.store) + 1);
    return pins_add(job->care->options.pins, &pin, err);
}

/* How much of it is here. */
static void count_here(struct care_job *job)
{
    for (size_t i = 0; i < job->set->count && !atomic_load(&job->care->ended); i++) {
        struct blob_object *object = NULL;
        uint64_t cached;

        if (care_job_object(job, i, &object, NULL) < 0)
            return;
        cached = blob_entry_cached_bytes(blob_object_entry(object));
        atomic_fetch_add(&job->done_bytes, cached);
        atomic_fetch_add(&job->done_files, cached == job->set->items[i].size);
        blob_object_unref(object);
    }
}

static void list_contents(void *context)
{
    struct care_job *job = context;
    const struct known_version *facts = tree_fetch_facts(tree_mount_fetch(job->mount));
    struct error *err = &job->result_err;
    int r =
        content_set_load(job->care->options.cache, &facts->tree, facts->tree_size, &job->set, err);

    if (r == -EAGAIN)
        r = error_set(err, -ENOSPC, "the cache keeps nothing at the moment");
    if (r == 0) {
        atomic_store(&job->bytes, job->set->bytes);
        atomic_store(&job->files, job->set->count);
    }
    if (r == 0 && job->kind != CARE_VERIFY)
        r = check_room(job, err);
    if (r == 0 && job->kind == CARE_PIN)
        r = add_pin(job, err);
    if (r == 0 && job->kind == CARE_PIN)
        count_here(job);
    job->result = r;
}

static void contents_listed(void *context)
{
    struct care_job *job = context;
    struct error err = job->result_err;

    if (job->result < 0) {
        care_job_over(job, job->result, &err);
        return;
    }
    job->hold = pins_hold(job->care->options.pins, job->set);
    switch (job->kind) {
    case CARE_PIN:
        care_pins_changed(job->care);
        care_job_over(job, 0, NULL);
        return;
    case CARE_VERIFY:
    case CARE_MEND:
        checking_start(job);
        return;
    case CARE_PREFETCH:
    case CARE_LEARN:
        bringing_go_on(job);
        return;
    }
}

static void image_here(void *context, int result, const struct error *err)
{
    struct care_job *job = context;

    if (result < 0)
        care_job_over(job, result, err);
    else
        care_job_work(job, list_contents, contents_listed);
}

/* The cache has the image of a tree that is complete, unless it was evicted since. */
static void tree_opened(void *context, struct tree_mount *mount, uint32_t slot,
                        const struct error *failure)
{
    struct care_job *job = context;
    struct error err = { 0 };
    int r;

    if (mount == NULL) {
        care_job_over(job, failure->code, failure);
        return;
    }
    job->mount = tree_mount_ref(mount);
    r = tree_fetch_complete(tree_mount_fetch(mount), UINT64_MAX, image_here, job, &err);
    if (r < 0)
        care_job_over(job, r, &err);
}

void care_job_start(void *context)
{
    struct care_job *job = context;
    const struct care_options *options = &job->care->options;
    struct error err = { 0 };
    int r = 0;

    if (atomic_load(&job->care->ended)) {
        error_set(&err, -ECANCELED, "the mount ends");
        care_job_over(job, -ECANCELED, &err);
    } else if (job->kind == CARE_MEND) {
        mending_start(job);
    } else if (job->kind == CARE_LEARN) {
        learning_start(job);
    } else if (!job->is_of_version) {
        checking_start(job);
    } else {
        r = tree_set_open(options->trees, job->project, job->app, job->version,
                          clock_monotonic_ms() + options->deadline_ms, tree_opened, job, &err);
    }
    if (r < 0)
        care_job_over(job, r, &err);
}

void care_each_brought(struct care *care, care_version *each, void *context)
{
    pthread_mutex_lock(&care->lock);
    for (const struct care_job *job = care->jobs; job != NULL; job = job->next)
        if (job->kind == CARE_PREFETCH && !job->is_over)
            each(context, job->project, job->app, job->version);
    pthread_mutex_unlock(&care->lock);
}
