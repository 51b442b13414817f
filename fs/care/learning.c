/* SPDX-License-Identifier: MIT */
/*
 * What starts of a version read: the list that its pusher declared, which is a file of it, then the
 * one that hosts have told the server. Both are asked for at once, and nobody waits for them.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/client/api_reads.h"
#include "common/client/tree_fetch.h"
#include "common/model/prefetch_list.h"
#include "fs/care/care_private.h"
#include "fs/tree_mount/tree_mount.h"

#define LIST_TIMEOUT_MS 5000 /* what the server has not said by then is not waited for */
#define LISTS_AT_A_TIME 2    /* a server that is silent at them holds so many connections */
#define LIST_AGAIN_MS 50
#define STARTS_AT_A_TIME 16 /* of a walk over all versions the first ones */
#define WANTED_MAX ((size_t)PREFETCH_LIST_FILES_MAX)

struct learned {
    struct api_call *call; /* in progress */
    struct reads reads;
    uint8_t *declared;
    size_t declared_size;
};

/* What is to come, from both lists. */
struct choosing {
    struct care_job *job;
    struct map seen; /* SHA-256s of those that come whole */
    size_t capacity;
    uint64_t bytes_left;
};

void learning_release(struct care_job *job)
{
    if (job->learned != NULL) {
        reads_release(&job->learned->reads);
        memory_free(job->learned->declared);
    }
    job->learned = memory_free(job->learned);
    job->wanted = memory_free(job->wanted);
}

void learning_cancel(struct care_job *job)
{
    if (job->learned != NULL && job->learned->call != NULL)
        api_call_cancel(job->learned->call);
}

static const struct tree *tree_of(const struct care_job *job)
{
    return &tree_mount_view(job->mount)->tree;
}

/* Choosing, on a worker ----------------------------------------------------------------- */

static int want(struct choosing *choosing, struct wanted wanted)
{
    struct care_job *job = choosing->job;
    size_t capacity = choosing->capacity * 2 + 64;
    struct wanted *grown;

    /* Half of the cache is for others. */
    if (job->wanted_count >= WANTED_MAX || wanted.length > choosing->bytes_left)
        return -ENOSPC;
    if (job->wanted_count == choosing->capacity) {
        grown = memory_resize(job->wanted, capacity, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        job->wanted = grown;
        choosing->capacity = capacity;
    }
    choosing->bytes_left -= wanted.length;
    job->wanted[job->wanted_count++] = wanted;
    return 0;
}

/* Each content once: a pack has none twice. */
static int want_whole(void *context, uint32_t index)
{
    struct choosing *choosing = context;
    struct tree_record record = tree_record(tree_of(choosing->job), index);
    struct digest sha256, verity;
    struct span name = span_of(sha256.bytes, sizeof(sha256.bytes));
    int r;

    if (record.size == 0)
        return 0;
    r = tree_fetch_digest(tree_mount_fetch(choosing->job->mount), record.digest_index, &sha256,
                          &verity);
    if (r < 0 || map_has(&choosing->seen, name))
        return r;
    if (map_set(&choosing->seen, name, choosing, NULL) < 0)
        return -ENOMEM;
    return want(choosing, (struct wanted){ record.digest_index, record.size, 0, record.size });
}

/* What a stranger says of a file is cut to what the file has. */
static int want_ranges(struct choosing *choosing, uint32_t index, const struct read_range *ranges,
                       size_t count)
{
    struct tree_record record = tree_record(tree_of(choosing->job), index);
    struct read_range own[READS_RANGES_MAX];
    int r = 0;

    if (count == 0 || record.size <= BLOB_PIECE_SIZE)
        return want_whole(choosing, index);
    for (size_t i = 0; i < count; i++)
        own[i] = ranges[i];
    count = read_ranges_join(own, count, record.size, READS_RANGES_MAX);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = want(choosing,
                 (struct wanted){ record.digest_index, record.size, own[i].offset, own[i].length });
    return r;
}

static int want_learned(struct choosing *choosing)
{
    const struct reads *reads = &choosing->job->learned->reads;
    const struct tree *tree = tree_of(choosing->job);
    uint32_t index;
    int r = 0;

    for (size_t i = 0; r == 0 && i < reads->count; i++)
        if (tree_find_path(tree, reads_path(reads, i), &index) == 0 &&
            tree_record(tree, index).kind == ENTRY_FILE)
            r = want_ranges(choosing, index, reads_ranges(reads, i), reads->files[i].range_count);
    return r;
}

static void choose(void *context)
{
    struct care_job *job = context;
    struct choosing choosing = { .job = job, .seen = map_init(), .bytes_left = UINT64_MAX };
    struct blob_cache_stats stats;
    struct span declared = span_of(job->learned->declared, job->learned->declared_size);
    int r;

    blob_cache_stats(job->care->options.cache, &stats);
    if (stats.quota_bytes != 0)
        choosing.bytes_left = stats.quota_bytes / 2;
    r = prefetch_list_read(declared, tree_of(job), want_whole, &choosing, NULL);
    if (r == 0)
        r = want_learned(&choosing);
    map_release(&choosing.seen);
    job->result = r == -ENOSPC ? 0 : r; /* what fitted comes */
}

static void chosen(void *context)
{
    struct care_job *job = context;
    struct error err = { job->result, "what a start reads was not found out" };

    if (job->result < 0)
        care_job_over(job, job->result, &err);
    else
        bringing_go_on(job);
}

/* Asking, on the loop --------------------------------------------------------------------- */

static void one_less(struct care_job *job)
{
    struct error err = job->failure_err;

    if (--job->pending > 0)
        return;
    if (job->failure < 0)
        care_job_over(job, job->failure, &err);
    else
        care_job_work(job, choose, chosen);
}

static void list_came(void *context, const struct reads *reads, const struct error *err)
{
    struct care_job *job = context;
    struct learned *learned = job->learned;

    if (learned->call != NULL)
        job->care->lists_asked--;
    learned->call = NULL;
    for (size_t i = 0; reads != NULL && i < reads->count; i++)
        if (reads_add(&learned->reads, reads_path(reads, i), reads_ranges(reads, i),
                      reads->files[i].range_count, NULL) < 0)
            break;
    one_less(job);
}

static void declared_came(void *context, int result, const struct error *err)
{
    struct care_job *job = context;

    if (result < 0)
        job->learned->declared_size = 0;
    one_less(job);
}

/* It is one of the version's files, and verified as such. -ENOENT: there is none. */
static int read_declared(struct care_job *job)
{
    struct tree_fetch *fetch = tree_mount_fetch(job->mount);
    struct learned *learned = job->learned;
    struct blob_object *object = NULL;
    struct digest sha256, verity;
    struct tree_record record;
    uint32_t index;
    int r = prefetch_list_find(tree_of(job), &index);

    if (r < 0)
        return r;
    record = tree_record(tree_of(job), index);
    r = tree_fetch_digest(fetch, record.digest_index, &sha256, &verity);
    if (r == 0)
        r = tree_fetch_object(fetch, &sha256, &verity, record.size, &object, NULL);
    if (r < 0)
        return r;
    learned->declared_size = (size_t)record.size;
    learned->declared = memory_new(learned->declared_size);
    if (learned->declared == NULL)
        r = -ENOMEM;
    else
        r = blob_fetch_read(object, 0, learned->declared, learned->declared_size,
                            clock_monotonic_ms() + job->care->options.deadline_ms, declared_came,
                            job, NULL, NULL);
    blob_object_unref(object);
    return r;
}

static void image_here(void *context, int result, const struct error *err)
{
    struct care_job *job = context;

    if (result < 0) {
        job->failure = result;
        job->failure_err = *err;
    } else if (read_declared(job) == 0) {
        return; /* it comes back */
    } else {
        job->learned->declared_size = 0;
    }
    one_less(job);
}

static void ask_list(void *context)
{
    struct care_job *job = context;
    struct care *care = job->care;
    uint64_t now_ms = clock_monotonic_ms(), timeout_ms = care->options.deadline_ms;

    if (timeout_ms > LIST_TIMEOUT_MS)
        timeout_ms = LIST_TIMEOUT_MS;
    if (job->yields_until_ms == 0)
        job->yields_until_ms = now_ms + timeout_ms;
    job->timer = (struct http_timer){ .function = ask_list, .context = job };
    if (!atomic_load(&care->ended) && care->lists_asked >= LISTS_AT_A_TIME &&
        now_ms < job->yields_until_ms &&
        http_timer_set(care->options.loop, &job->timer, now_ms + LIST_AGAIN_MS) == 0)
        return;
    if (atomic_load(&care->ended) || care->lists_asked >= LISTS_AT_A_TIME ||
        api_reads_get_start(care->options.client, job->project, job->app, job->version, timeout_ms,
                            list_came, job, &job->learned->call, NULL) < 0)
        list_came(job, NULL, NULL);
    else
        care->lists_asked++;
}

void learning_start(struct care_job *job)
{
    struct tree_fetch *fetch = tree_mount_fetch(job->mount);
    struct error err = { 0 };

    job->pending = 3; /* the list, the tree, and this */
    ask_list(job);
    /* Which bytes belong to a path is in the part of the tree that comes behind. */
    if (tree_fetch_is_complete(fetch))
        image_here(job, 0, NULL);
    else if (tree_fetch_complete(fetch, UINT64_MAX, image_here, job, &err) < 0)
        image_here(job, err.code, &err);
    one_less(job);
}

void learning_begin(struct care *care, struct tree_mount *mount)
{
    struct tree_fetch *fetch = tree_mount_fetch(mount);
    struct learned *learned = NULL;
    struct care_job *job;

    if (care_running(care, CARE_LEARN) < STARTS_AT_A_TIME)
        learned = memory_new(sizeof(*learned));
    if (learned == NULL)
        return;
    learned->reads = reads_init();
    job = care_begin(care, CARE_LEARN, tree_fetch_project(fetch), tree_fetch_app(fetch),
                     tree_fetch_version(fetch));
    if (job == NULL || job->learned != NULL) { /* or one that runs */
        memory_free(learned);
    } else {
        job->learned = learned;
        job->mount = tree_mount_ref(mount);
        http_loop_post_at(care->options.loop, &job->post);
    }
    care_job_unref(job);
}
