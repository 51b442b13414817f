/* SPDX-License-Identifier: MIT */
/*
 * The contents of a version into the cache: some at a time, the small ones in packs. What a pack
 * does not bring is asked for alone, where every server and every try is.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/client/tree_fetch.h"
#include "fs/care/care_private.h"
#include "fs/pins/content_set.h"
#include "fs/tree_mount/tree_mount.h"

#define YIELD_MS 1000
#define YIELD_START_MS 60 /* what a start reads is waited for before long */
#define YIELD_STEP_MS 20

static void give_back(struct care_job *job)
{
    for (size_t i = 0; i < job->object_count; i++)
        blob_object_unref(job->objects[i]);
    job->object_count = job->small_count = 0;
}

/* part NULL: all of it. */
static bool is_here(const struct blob_object *object, const struct wanted *part)
{
    struct blob_entry *entry = blob_object_entry(object);
    uint64_t piece;

    if (blob_entry_is_complete(entry))
        return true;
    if (part == NULL || part->length == part->size)
        return false;
    for (piece = part->offset / BLOB_PIECE_SIZE;
         piece * BLOB_PIECE_SIZE < part->offset + part->length; piece++)
        if (!blob_entry_has(entry, piece))
            return false;
    return true;
}

/* What is missing, some of it: on a worker, since it looks at the disk. */
static void look_for_some(void *context)
{
    struct care_job *job = context;
    struct blob_object *large[BRING_LARGE];
    size_t large_count = 0;
    uint64_t bytes = 0;

    job->result = 0;
    while (job->next_item < care_job_count(job) && job->object_count < BRING_SMALL &&
           bytes < 2 * BRING_PACK_BYTES && large_count < BRING_LARGE && job->result == 0 &&
           !atomic_load(&job->care->ended)) {
        struct wanted item = care_job_item(job, job->next_item);
        struct blob_object *object = NULL;

        job->result = care_job_object(job, job->next_item, &object, &job->result_err);
        if (job->result < 0)
            break;
        job->next_item++;
        if (is_here(object, &item)) {
            atomic_fetch_add(&job->done_bytes, item.length);
            atomic_fetch_add(&job->done_files, 1);
            blob_object_unref(object);
        } else if (item.size > BLOB_PIECE_SIZE) {
            job->parts[large_count] = item;
            large[large_count++] = object;
        } else {
            job->objects[job->object_count++] = object;
            bytes += item.size;
        }
    }
    job->small_count = job->object_count;
    for (size_t i = 0; i < large_count; i++)
        job->objects[job->object_count++] = large[i];
}

static void some_came(struct care_job *job);

static void one_came(void *context, int result, const struct error *err)
{
    struct care_job *job = context;

    if (result < 0 && job->failure == 0) {
        job->failure = result;
        job->failure_err = *err;
    }
    if (--job->pending == 0)
        some_came(job);
}

static void ask_for(struct care_job *job, struct blob_object *object, uint64_t offset,
                    uint64_t length)
{
    struct error err = { 0 };

    job->pending++;
    if (blob_fetch_bring(object, offset, length, UINT64_MAX, one_came, job, &err) < 0)
        one_came(job, err.code, &err);
}

/* The place of a large one, NULL of a small one. */
static const struct wanted *part_of(const struct care_job *job, size_t object)
{
    return object < job->small_count ? NULL : &job->parts[object - job->small_count];
}

static void pack_came(void *context, int result, const struct error *err)
{
    one_came(context, 0, NULL); /* whatever it brought is looked at */
}

/* As many as fit into one pack. */
static size_t ask_for_pack(struct care_job *job, size_t first)
{
    struct tree_fetch *fetch = tree_mount_fetch(job->mount);
    struct blob_pack pack = { .project = tree_fetch_project(fetch),
                              .app = tree_fetch_app(fetch),
                              .version = tree_fetch_version(fetch),
                              .objects = &job->objects[first],
                              .done = pack_came,
                              .context = job };
    uint64_t bytes = 0;

    while (first + pack.count < job->small_count && pack.count < BLOB_PACK_MAX &&
           bytes < BRING_PACK_BYTES)
        bytes += blob_object_key(job->objects[first + pack.count++])->size;
    job->pending++;
    if (pack.count == 1 || blob_fetch_pack(job->care->options.engine, &pack, NULL) < 0)
        pack_came(job, 0, NULL);
    return pack.count;
}

static void ask(struct care_job *job)
{
    job->is_second_try = false;
    job->pending = 1; /* until all is asked for */
    for (size_t i = 0; i < job->small_count;)
        i += ask_for_pack(job, i);
    for (size_t i = job->small_count; i < job->object_count; i++)
        ask_for(job, job->objects[i], part_of(job, i)->offset, part_of(job, i)->length);
    pack_came(job, 0, NULL);
}

static void ask_alone(struct care_job *job)
{
    job->is_second_try = true;
    job->pending = 1;
    for (size_t i = 0; i < job->small_count; i++)
        if (!is_here(job->objects[i], NULL))
            ask_for(job, job->objects[i], 0, blob_object_key(job->objects[i])->size);
    pack_came(job, 0, NULL);
}

static void count_some(struct care_job *job)
{
    for (size_t i = 0; i < job->object_count; i++) {
        const struct blob_object *object = job->objects[i];
        const struct wanted *part = part_of(job, i);

        if (!is_here(object, part)) {
            if (job->failure == 0)
                job->failure = error_set(&job->failure_err, -ENOSPC, "the cache does not keep it");
            continue;
        }
        atomic_fetch_add(&job->done_bytes,
                         part != NULL ? part->length : blob_object_key(object)->size);
        atomic_fetch_add(&job->done_files, 1);
    }
    give_back(job);
}

static void some_came(struct care_job *job)
{
    if (!job->is_second_try && job->failure == 0) {
        ask_alone(job);
        return;
    }
    count_some(job);
    bringing_go_on(job);
}

/* Somebody waits for bytes: a little later, but not for ever. */
static void ask_when_quiet(void *context)
{
    struct care_job *job = context;
    struct care *care = job->care;
    uint64_t now = clock_monotonic_ms();

    if (atomic_load(&care->ended)) {
        give_back(job);
        bringing_go_on(job);
    } else if (!blob_fetch_is_busy(care->options.engine) || now >= job->yields_until_ms ||
               http_timer_set(care->options.loop, &job->timer, now + YIELD_STEP_MS) < 0) {
        ask(job);
    }
}

static void some_found(void *context)
{
    struct care_job *job = context;

    if (job->result < 0 && job->failure == 0) {
        job->failure = job->result;
        job->failure_err = job->result_err;
    }
    if (job->object_count == 0 || job->failure < 0) {
        give_back(job);
        bringing_go_on(job);
        return;
    }
    job->timer = (struct http_timer){ .function = ask_when_quiet, .context = job };
    job->yields_until_ms =
        clock_monotonic_ms() + (job->kind == CARE_LEARN ? YIELD_START_MS : YIELD_MS);
    ask_when_quiet(job);
}

void bringing_go_on(struct care_job *job)
{
    struct error err = job->failure_err;

    if (job->failure == 0 && job->next_item < care_job_count(job) &&
        !atomic_load(&job->care->ended)) {
        care_job_work(job, look_for_some, some_found);
        return;
    }
    if (job->failure == 0 && job->next_item < care_job_count(job))
        job->failure = error_set(&err, -ECANCELED, "the mount ends");
    if (job->failure == 0 && job->kind == CARE_PREFETCH)
        care_note_complete(job->care, &job->set->tree);
    care_job_over(job, job->failure, &err);
}
