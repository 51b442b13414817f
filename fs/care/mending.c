/* SPDX-License-Identifier: MIT */
/* What was wrong in the cache: named, and fetched again by whichever open version has it. */
#include <errno.h>

#include "common/base/memory.h"
#include "common/client/tree_fetch.h"
#include "fs/care/care_private.h"
#include "fs/pins/content_set.h"
#include "fs/tree_mount/tree_set.h"

void mending_note(struct care_job *job, enum blob_kind kind, const struct digest *name,
                  const char *what, struct blob_object *object)
{
    struct wrong *wrong = memory_new(sizeof(*wrong));

    atomic_store(&job->care->pins_doubtful, true);
    pthread_mutex_lock(&job->care->lock);
    job->wrong_count++;
    if (wrong != NULL) { /* else it is counted, and fetched when it is read */
        *wrong = (struct wrong){ .next = job->wrong,
                                 .job = job,
                                 .kind = kind,
                                 .name = *name,
                                 .what = memory_text(what),
                                 .object = object };
        job->wrong = wrong;
    }
    pthread_mutex_unlock(&job->care->lock);
    if (wrong == NULL)
        blob_object_unref(object);
}

void mending_release(struct care_job *job)
{
    while (job->wrong != NULL) {
        struct wrong *wrong = job->wrong;

        job->wrong = wrong->next;
        blob_object_unref(wrong->object);
        memory_free(wrong->what);
        memory_free(wrong);
    }
}

/* Whose it is ------------------------------------------------------------------------ */

static struct blob_object *content_of(struct tree_fetch *fetch, const struct content_set *set,
                                      const struct digest *name)
{
    struct blob_object *object = NULL;
    struct digest sha256, verity;

    for (size_t i = 0; i < set->count; i++) {
        const struct content_item *item = &set->items[i];

        if (item->mark == content_mark(name) &&
            tree_fetch_digest(fetch, item->index, &sha256, &verity) == 0 &&
            digest_equal(&sha256, name) &&
            tree_fetch_object(fetch, &sha256, &verity, item->size, &object, NULL) == 0)
            return object;
    }
    return NULL;
}

static int place_in(void *context, const struct tree_set_version *version)
{
    struct care_job *job = context;
    struct tree_fetch *fetch = version->mount == NULL ? NULL : tree_mount_fetch(version->mount);
    const struct known_version *facts = fetch == NULL ? NULL : tree_fetch_facts(fetch);
    struct content_set *set = NULL;

    if (fetch == NULL)
        return 0;
    for (struct wrong *wrong = job->wrong; wrong != NULL; wrong = wrong->next)
        if (wrong->kind == BLOB_TREE && digest_equal(&wrong->name, &facts->tree))
            wrong->object = blob_object_ref(tree_fetch_image(fetch));
    if (content_set_load(job->care->options.cache, &facts->tree, facts->tree_size, &set, NULL) < 0)
        return 0;
    for (struct wrong *wrong = job->wrong; wrong != NULL; wrong = wrong->next)
        if (wrong->object == NULL && content_set_has(set, &wrong->name))
            wrong->object = content_of(fetch, set, &wrong->name);
    content_set_free(set);
    return 0;
}

void mending_place(struct care_job *job)
{
    if (job->wrong != NULL)
        tree_set_walk(job->care->options.trees, place_in, job);
}

/* Fetching ----------------------------------------------------------------------------- */

static void done_with(struct care_job *job)
{
    if (--job->pending > 0)
        return;
    care_pins_changed(job->care);
    care_job_over(job, 0, NULL);
}

static void came(void *context, int result, const struct error *err)
{
    struct wrong *wrong = context;

    pthread_mutex_lock(&wrong->job->care->lock);
    wrong->again = result == 0;
    pthread_mutex_unlock(&wrong->job->care->lock);
    done_with(wrong->job);
}

void mending_start(struct care_job *job)
{
    job->pending = 1; /* until all is asked for */
    for (struct wrong *wrong = job->wrong; wrong != NULL; wrong = wrong->next) {
        if (wrong->object == NULL)
            continue;
        job->pending++;
        if (blob_fetch_complete(wrong->object, UINT64_MAX, came, wrong, NULL) < 0)
            job->pending--;
    }
    done_with(job);
}
