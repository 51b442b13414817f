/* SPDX-License-Identifier: MIT */
#include "fs/care/care.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "fs/care/care_private.h"
#include "fs/care/scrubber.h"
#include "fs/pins/content_set.h"
#include "fs/pins/pins.h"
#include "fs/tree_mount/tree_mount.h"

#define WORKERS 2
#define WORKERS_QUEUE 64
#define JOBS_KEPT 16 /* that are over, for who asks after them */
#define PINS_AT_A_TIME 2
#define UPKEEP_MS 5000
#define RETRY_FIRST_MS 30000
#define RETRY_MOST_MS 600000

/* One more; without memory it is forgotten, and gone over again. */
void digests_add(struct digests *digests, struct digest digest)
{
    if (digests->count == digests->capacity) {
        size_t capacity = digests->capacity * 2 + 16;
        struct digest *grown = memory_resize(digests->items, capacity, sizeof(*grown));

        if (grown == NULL)
            return;
        digests->items = grown;
        digests->capacity = capacity;
    }
    digests->items[digests->count++] = digest;
}

bool digests_have(const struct digests *digests, struct digest digest)
{
    for (size_t i = 0; i < digests->count; i++)
        if (digest_equal(&digests->items[i], &digest))
            return true;
    return false;
}

/* Jobs ----------------------------------------------------------------------------- */

static void release(struct care_job *job)
{
    mending_release(job);
    learning_release(job);
    for (size_t i = 0; i < job->object_count; i++)
        blob_object_unref(job->objects[i]);
    pins_let_go(job->care->options.pins, job->hold);
    content_set_free(job->set);
    tree_mount_unref(job->mount);
    memory_free(job);
}

struct care_job *care_job_unref(struct care_job *job)
{
    bool last;

    if (job == NULL)
        return NULL;
    pthread_mutex_lock(&job->care->lock);
    last = --job->refs == 0;
    pthread_mutex_unlock(&job->care->lock);
    if (last)
        release(job);
    return NULL;
}

static bool is_same(const struct care_job *job, enum care_kind kind, const char *project,
                    const char *app, const char *version)
{
    return job->kind == kind && job->is_of_version == (version != NULL) &&
           (version == NULL || (strcmp(job->project, project) == 0 && strcmp(job->app, app) == 0 &&
                                strcmp(job->version, version) == 0));
}

static bool copy_name(const char *name, char *out, size_t size)
{
    if (strlen(name) >= size)
        return false;
    memcpy(out, name, strlen(name) + 1);
    return true;
}

static struct care_job *job_new(struct care *care, enum care_kind kind, const char *project,
                                const char *app, const char *version)
{
    struct care_job *job = memory_new(sizeof(*job));

    if (job == NULL)
        return NULL;
    job->care = care;
    job->kind = kind;
    job->is_of_version = version != NULL;
    if (version != NULL && (!copy_name(project, job->project, sizeof(job->project)) ||
                            !copy_name(app, job->app, sizeof(job->app)) ||
                            !copy_name(version, job->version, sizeof(job->version))))
        return memory_free(job);
    job->post = (struct http_post){ .function = care_job_start, .context = job };
    return job;
}

/* The oldest that are over go (locked); the list's reference is the last of those. */
static struct care_job *take_old(struct care *care)
{
    struct care_job **at = &care->jobs, **oldest = NULL, *job = NULL;
    size_t over = 0;

    for (; *at != NULL; at = &(*at)->next) {
        if ((*at)->is_over && (*at)->refs == 1) {
            over++;
            oldest = at;
        }
    }
    if (over > JOBS_KEPT) {
        job = *oldest;
        *oldest = job->next;
    }
    return job;
}

struct care_job *care_begin(struct care *care, enum care_kind kind, const char *project,
                            const char *app, const char *version)
{
    struct care_job *made = job_new(care, kind, project, app, version), *job, *old = NULL;

    if (made == NULL)
        return NULL;
    pthread_mutex_lock(&care->lock);
    for (job = care->jobs; job != NULL; job = job->next)
        if (!job->is_over && kind != CARE_MEND && is_same(job, kind, project, app, version))
            break;
    if (job != NULL) {
        job->refs++;
    } else {
        made->refs = 3; /* the list's, the work's, the caller's */
        made->id = ++care->last_id;
        made->next = care->jobs;
        care->jobs = made;
        old = take_old(care);
    }
    pthread_mutex_unlock(&care->lock);
    care_job_unref(old);
    if (job != NULL) {
        memory_free(made);
        return job;
    }
    if (kind != CARE_MEND && kind != CARE_LEARN) /* those are filled first */
        http_loop_post_at(care->options.loop, &made->post);
    return made;
}

struct care_job *care_find(struct care *care, uint64_t id)
{
    struct care_job *job;

    pthread_mutex_lock(&care->lock);
    for (job = care->jobs; job != NULL && job->id != id; job = job->next)
        ;
    if (job != NULL)
        job->refs++;
    pthread_mutex_unlock(&care->lock);
    return job;
}

void care_job_work(struct care_job *job, void (*function)(void *), void (*behind)(void *))
{
    if (atomic_load(&job->care->ended)) {
        job->result = error_set(&job->result_err, -ECANCELED, "the mount ends");
        behind(job);
        return;
    }
    job->work = function;
    job->post = (struct http_post){ .function = behind, .context = job };
    workers_submit(job->care->workers, care_job_run, job);
}

void care_job_run(void *context)
{
    struct care_job *job = context;

    job->work(job);
    http_loop_post_at(job->care->options.loop, &job->post);
}

/* The names of a version, as one. */
static struct digest names_of(const char *project, const char *app, const char *version)
{
    struct digest_stream stream;

    digest_stream_init(&stream);
    digest_stream_add(&stream, project, strlen(project) + 1);
    digest_stream_add(&stream, app, strlen(app) + 1);
    digest_stream_add(&stream, version, strlen(version) + 1);
    return digest_stream_end(&stream);
}

/* It is left alone until all that failed is tried again (locked). */
static void note_failure(struct care *care, const struct care_job *job)
{
    uint64_t pause = care->retry_pause_ms * 2;

    digests_add(&care->failed, names_of(job->project, job->app, job->version));
    if (care->retry_ms > clock_monotonic_ms())
        return;
    care->retry_pause_ms = pause < RETRY_FIRST_MS  ? RETRY_FIRST_MS
                           : pause > RETRY_MOST_MS ? RETRY_MOST_MS
                                                   : pause;
    care->retry_ms = clock_monotonic_ms() + care->retry_pause_ms;
}

static void note_end(struct care *care, const struct care_job *job, int code)
{
    if (job->kind != CARE_PREFETCH)
        return;
    if (code < 0)
        note_failure(care, job);
    else
        care->retry_pause_ms = 0;
}

void care_job_over(struct care_job *job, int code, const struct error *err)
{
    struct care *care = job->care;
    struct care_wait *waits;

    job->hold = pins_let_go(care->options.pins, job->hold);
    job->set = content_set_free(job->set);
    job->mount = tree_mount_unref(job->mount);
    learning_release(job);
    pthread_mutex_lock(&care->lock);
    note_end(care, job, code);
    job->is_over = true;
    job->code = code;
    if (code < 0)
        job->err = *err;
    for (struct wrong *wrong = job->wrong; wrong != NULL; wrong = wrong->next)
        wrong->object = blob_object_unref(wrong->object);
    waits = take_pointer(&job->waits);
    pthread_mutex_unlock(&care->lock);
    care_tell(waits);
    if (job->kind == CARE_PREFETCH)
        care_pins_changed(care); /* the next of them */
    care_job_unref(job);
}

void care_bring(struct care *care, const char *project, const char *app, const char *version)
{
    care_job_unref(care_begin(care, CARE_PREFETCH, project, app, version));
}

/* Pins are to be complete ------------------------------------------------------------ */

void care_note_complete(struct care *care, const struct digest *tree)
{
    pthread_mutex_lock(&care->lock);
    digests_add(&care->complete, *tree);
    pthread_mutex_unlock(&care->lock);
}

static bool is_left_alone(struct care *care, const struct pin *pin)
{
    bool alone;

    pthread_mutex_lock(&care->lock);
    alone = digests_have(&care->complete, pin->tree) ||
            digests_have(&care->failed, names_of(pin->project, pin->app, pin->version));
    pthread_mutex_unlock(&care->lock);
    return alone;
}

size_t care_running(struct care *care, enum care_kind kind)
{
    size_t count = 0;

    pthread_mutex_lock(&care->lock);
    for (const struct care_job *job = care->jobs; job != NULL; job = job->next)
        count += !job->is_over && job->kind == kind;
    pthread_mutex_unlock(&care->lock);
    return count;
}

/* A few at a time; each that ends comes back here. */
static int keep_up(void *context, const struct pin *pin)
{
    struct care *care = context;

    if (care_running(care, CARE_PREFETCH) >= PINS_AT_A_TIME)
        return 1;
    if (!is_left_alone(care, pin))
        care_bring(care, pin->project, pin->app, pin->version);
    return 0;
}

/* What other mounts have pinned; on a worker. */
static void look_at_pins(void *context)
{
    struct care *care = context;
    const struct blob_cache_keeper *keeper = pins_keeper(care->options.pins);

    keeper->look(keeper->context);
}

static void upkeep(void *context)
{
    struct care *care = context;
    uint64_t now = clock_monotonic_ms();

    if (atomic_load(&care->ended))
        return;
    pthread_mutex_lock(&care->lock);
    if (atomic_exchange(&care->pins_doubtful, false))
        care->complete.count = care->failed.count = 0;
    if (now >= care->retry_ms)
        care->failed.count = 0;
    pthread_mutex_unlock(&care->lock);
    pins_each(care->options.pins, care->options.store, keep_up, care);
    workers_try(care->workers, look_at_pins, care);
    http_timer_set(care->options.loop, &care->upkeep, now + UPKEEP_MS);
}

static void upkeep_now(void *context)
{
    struct care *care = context;

    atomic_store(&care->upkeep_posted, false);
    upkeep(care);
}

void care_pins_changed(struct care *care)
{
    if (!atomic_load(&care->ended) && !atomic_exchange(&care->upkeep_posted, true))
        http_loop_post_at(care->options.loop, &care->upkeep_post);
}

/* The scrubber ------------------------------------------------------------------------ */

static bool is_busy(void *context)
{
    struct care *care = context;
    struct blob_fetch_stats stats;

    blob_fetch_stats(care->options.engine, &stats);
    return stats.reads > 0;
}

static void found_wrong(void *context, enum blob_kind kind, const struct digest *name,
                        const char *text)
{
    struct care *care = context;
    struct care_job *job = care_begin(care, CARE_MEND, NULL, NULL, NULL);

    log_error("the cache is damaged: %s", text);
    if (job == NULL) {
        atomic_store(&care->pins_doubtful, true);
        return;
    }
    mending_note(job, kind, name, text, NULL);
    mending_place(job);
    http_loop_post_at(care->options.loop, &job->post);
    care_job_unref(job);
}

/* The care ------------------------------------------------------------------------------ */

int care_new(struct care **out_care, const struct care_options *options, struct error *err)
{
    struct care *care = memory_new(sizeof(*care));
    int r;

    if (care == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    care->options = *options;
    care->upkeep = (struct http_timer){ .function = upkeep, .context = care };
    care->upkeep_post = (struct http_post){ .function = upkeep_now, .context = care };
    pthread_mutex_init(&care->lock, NULL);
    r = workers_new(&care->workers, WORKERS, WORKERS_QUEUE, err);
    if (r < 0) {
        care_free(care);
        return r;
    }
    *out_care = care;
    return 0;
}

int care_start(struct care *care, struct error *err)
{
    struct scrubber_options options = { .cache = care->options.cache,
                                        .directory = care->options.directory,
                                        .bytes_per_s = care->options.scrub_bytes_per_s,
                                        .every_ms = care->options.scrub_every_ms,
                                        .is_busy = is_busy,
                                        .found = found_wrong,
                                        .context = care };

    care_pins_changed(care);
    return scrubber_start(&care->scrubber, &options, err);
}

void care_end(struct care *care)
{
    struct care_job *job;

    if (care == NULL)
        return;
    atomic_store(&care->ended, true);
    care->scrubber = scrubber_stop(care->scrubber);
    care->workers = workers_free(care->workers);
    http_timer_clear(care->options.loop, &care->upkeep);
    recording_end_all(care);
    for (job = care->jobs; job != NULL; job = job->next)
        learning_cancel(job);
    for (job = care->jobs; job != NULL; job = job->next) {
        if (job->timer.place == 0)
            continue;
        http_timer_clear(care->options.loop, &job->timer);
        job->timer.function(job);
    }
}

bool care_is_idle(struct care *care)
{
    bool idle;

    if (care == NULL)
        return true;
    idle = atomic_load(&care->recording_count) == 0;
    pthread_mutex_lock(&care->lock);
    for (const struct care_job *job = care->jobs; idle && job != NULL; job = job->next)
        idle = job->is_over;
    pthread_mutex_unlock(&care->lock);
    return idle;
}

struct care *care_free(struct care *care)
{
    if (care == NULL)
        return NULL;
    care_end(care);
    while (care->jobs != NULL) {
        struct care_job *job = care->jobs;

        care->jobs = job->next;
        release(job);
    }
    memory_free(care->complete.items);
    memory_free(care->failed.items);
    memory_free(care->started.items);
    pthread_mutex_destroy(&care->lock);
    return memory_free(care);
}
