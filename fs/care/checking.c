/* SPDX-License-Identifier: MIT */
/* What is in the cache, held against its names: of one version, or all of it. On a worker. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/client/blob_check.h"
#include "common/client/tree_fetch.h"
#include "common/model/tree.h"
#include "fs/care/care_private.h"
#include "fs/pins/content_set.h"
#include "fs/tree_mount/tree_mount.h"

#define FOLDERS 256
#define WHAT_SIZE (PATH_MAX_SIZE + 3 * VERSION_TEXT_SIZE)

static bool step(void *context, size_t size)
{
    struct care_job *job = context;

    atomic_fetch_add(&job->done_bytes, size);
    return atomic_load(&job->care->ended);
}

static int end_early(struct care_job *job)
{
    return error_set(&job->result_err, -ECANCELED, "the mount ends");
}

/* P/A/V/PATH of the first file with that content. */
static void name_content(struct care_job *job, size_t item, char *out, size_t size)
{
    const struct tree *tree = &tree_mount_view(job->mount)->tree;
    uint8_t room[PATH_MAX_SIZE];
    struct span path = tree_path(tree, tree_find_file(tree, job->set->items[item].index), room);

    (void)snprintf(out, size, "%s/%s/%s/%.*s", job->project, job->app, job->version, (int)path.size,
                   (const char *)path.bytes);
}

/* -ECANCELED ends it; all else is noted. */
static int check_content(struct care_job *job, size_t item)
{
    struct blob_check how = { step, job };
    struct blob_object *object = NULL;
    const struct blob_key *key;
    struct blob_entry *entry;
    char what[WHAT_SIZE];
    int r = care_job_object(job, item, &object, NULL);

    if (r < 0)
        return 0;
    entry = blob_object_entry(object);
    key = blob_object_key(object);
    if (blob_entry_is_complete(entry)) {
        r = blob_cache_check(job->care->options.cache, BLOB_CONTENT, &key->name, &how, NULL, NULL);
        if (r == -ENOENT) /* complete, and not moved to its name yet */
            r = blob_entry_check_part(entry, &how);
    } else {
        r = blob_entry_check_part(entry, &how);
    }
    atomic_fetch_add(&job->done_files, 1);
    if (r == -EBADMSG || r > 0) {
        name_content(job, item, what, sizeof(what));
        mending_note(job, BLOB_CONTENT, &key->name, what, object);
        return 0;
    }
    blob_object_unref(object);
    return r == -ECANCELED ? end_early(job) : 0;
}

static int check_tree(struct care_job *job)
{
    struct tree_fetch *fetch = tree_mount_fetch(job->mount);
    struct blob_check how = { step, job };
    struct digest tree = tree_fetch_facts(fetch)->tree;
    char what[WHAT_SIZE];
    int r = blob_cache_check(job->care->options.cache, BLOB_TREE, &tree, &how, NULL, NULL);

    if (r == -ECANCELED)
        return end_early(job);
    if (r == -EBADMSG) {
        (void)snprintf(what, sizeof(what), "%s/%s/%s (its tree)", job->project, job->app,
                       job->version);
        mending_note(job, BLOB_TREE, &tree, what, blob_object_ref(tree_fetch_image(fetch)));
    }
    return 0;
}

static void check_version(void *context)
{
    struct care_job *job = context;
    int r = 0;

    /* The tree last: what it says is needed for the others. */
    for (size_t i = 0; r == 0 && i < job->set->count; i++)
        r = check_content(job, i);
    if (r == 0)
        r = check_tree(job);
    job->result = r;
}

static int check_object(struct care_job *job, enum blob_kind kind, const struct digest *name)
{
    struct blob_check how = { step, job };
    struct error err = { 0 };
    int r = blob_cache_check(job->care->options.cache, kind, name, &how, NULL, &err);

    if (r == -ECANCELED)
        return end_early(job);
    atomic_fetch_add(&job->done_files, 1);
    if (r == -EBADMSG)
        mending_note(job, kind, name, err.text, NULL);
    return 0;
}

static int check_folder(struct care_job *job, enum blob_kind kind, uint8_t first)
{
    cleanup_memory struct digest *names = NULL;
    size_t count = 0;
    int r =
        blob_cache_names(job->care->options.cache, kind, first, &names, &count, &job->result_err);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = check_object(job, kind, &names[i]);
    return r;
}

static void check_all(void *context)
{
    static const enum blob_kind kinds[] = { BLOB_CONTENT, BLOB_TREE };
    struct care_job *job = context;
    struct blob_cache_stats stats;
    int r = 0;

    blob_cache_stats(job->care->options.cache, &stats);
    atomic_store(&job->bytes, stats.bytes);
    atomic_store(&job->files, stats.objects);
    for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(*kinds); i++)
        for (unsigned first = 0; r == 0 && first < FOLDERS; first++)
            r = check_folder(job, kinds[i], (uint8_t)first);
    if (r == 0)
        mending_place(job);
    job->result = r;
}

static void checked(void *context)
{
    struct care_job *job = context;
    struct error err = job->result_err;

    if (job->result < 0)
        care_job_over(job, job->result, &err);
    else
        mending_start(job);
}

void checking_start(struct care_job *job)
{
    care_job_work(job, job->is_of_version ? check_version : check_all, checked);
}
