/* SPDX-License-Identifier: MIT */
/*
 * Starts, as this mount sees them: from the first read of a version on its reads are noted for a
 * while (fs/reads), then they are told to the server, once.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/client/api_reads.h"
#include "common/client/tree_fetch.h"
#include "fs/care/care_private.h"
#include "fs/reads/read_log.h"
#include "fs/tree_mount/tree_mount.h"

#define RECORDINGS_MAX 16 /* at a time: a walk over all versions notes the first ones */
#define TELL_TIMEOUT_MS 10000
#define TAKE_AGAIN_MS 20 /* somebody is noting */
#define TELL_AGAIN_MS \
    250 /* another is being told of: a server that is silent holds one connection */
/* What is read in a start worth telling: a look at one small file is none. */
#define START_FILES 2
#define START_BYTES BLOB_PIECE_SIZE

struct recording {
    struct care *care;
    struct recording *next;
    struct tree_mount *mount; /* a reference */
    uint32_t slot;
    struct http_post post;
    struct http_timer timer;
    struct api_call *call; /* in progress */
    struct reads reads;
};

static void unlink_recording(struct recording *recording)
{
    struct recording **at = &recording->care->recordings;

    while (*at != NULL && *at != recording)
        at = &(*at)->next;
    if (*at == recording)
        *at = recording->next;
}

static void finish(struct recording *recording)
{
    struct care *care = recording->care;
    struct read_log *log = tree_mount_reads(recording->mount);

    read_log_stop(log);
    read_log_drop(log);
    unlink_recording(recording);
    http_timer_clear(care->options.loop, &recording->timer);
    reads_release(&recording->reads);
    tree_mount_unref(recording->mount);
    memory_free(recording);
    atomic_fetch_sub(&care->recording_count, 1);
}

static void told(void *context, int result, const struct error *err)
{
    struct recording *recording = context;

    recording->call = NULL;
    recording->care->is_telling = false;
    finish(recording);
}

static bool is_start(const struct recording *recording)
{
    const struct tree *tree = &tree_mount_view(recording->mount)->tree;
    struct read_log_sums sums = read_log_sums(&recording->reads, tree);

    return sums.files >= START_FILES || sums.bytes >= START_BYTES;
}

static void tell(struct recording *recording)
{
    const struct care_options *options = &recording->care->options;
    struct tree_fetch *fetch = tree_mount_fetch(recording->mount);

    if (!is_start(recording) ||
        api_reads_put_start(options->client, tree_fetch_project(fetch), tree_fetch_app(fetch),
                            tree_fetch_version(fetch), options->host, &recording->reads,
                            TELL_TIMEOUT_MS, told, recording, &recording->call, NULL) < 0)
        finish(recording);
    else
        recording->care->is_telling = true;
}

/* A little later; without memory not at all. */
static void come_again(struct recording *recording, uint64_t after_ms)
{
    if (http_timer_set(recording->care->options.loop, &recording->timer,
                       clock_monotonic_ms() + after_ms) < 0)
        finish(recording);
}

static void start_is_over(void *context)
{
    struct recording *recording = context;
    struct read_log *log = tree_mount_reads(recording->mount);
    const struct tree *tree = &tree_mount_view(recording->mount)->tree;
    int r;

    read_log_stop(log);
    r = read_log_take(log, tree, &recording->reads, NULL); /* what was taken before is not again */
    if (r == -EAGAIN)
        come_again(recording, TAKE_AGAIN_MS);
    else if (r < 0)
        finish(recording);
    else if (recording->care->is_telling)
        come_again(recording, TELL_AGAIN_MS);
    else
        tell(recording);
}

/* Each tree is started once in the life of this process; one that was in use before it is not. */
static bool is_first(struct care *care, const struct recording *recording)
{
    struct digest tree = tree_fetch_facts(tree_mount_fetch(recording->mount))->tree;

    if (atomic_load(&care->ended) || digests_have(&care->started, tree) ||
        (care->options.is_resumed && recording->slot <= care->options.resumed_slots))
        return false;
    digests_add(&care->started, tree);
    return true;
}

static void begin(void *context)
{
    struct recording *recording = context;
    struct care *care = recording->care;
    bool is_new = is_first(care, recording);

    if (is_new && care->options.brings_starts)
        learning_begin(care, recording->mount);
    recording->next = care->recordings;
    care->recordings = recording;
    if (!is_new || care->options.host == NULL ||
        atomic_load(&care->recording_count) > RECORDINGS_MAX ||
        http_timer_set(care->options.loop, &recording->timer,
                       clock_monotonic_ms() + care->options.start_ms) < 0)
        finish(recording);
}

void care_first_read(struct care *care, struct tree_mount *mount, uint32_t slot)
{
    struct recording *recording = memory_new(sizeof(*recording));

    if (recording == NULL) {
        read_log_stop(tree_mount_reads(mount));
        return;
    }
    *recording = (struct recording){ .care = care,
                                     .mount = tree_mount_ref(mount),
                                     .slot = slot,
                                     .post = { .function = begin, .context = recording },
                                     .timer = { .function = start_is_over, .context = recording },
                                     .reads = reads_init() };
    atomic_fetch_add(&care->recording_count, 1);
    http_loop_post_at(care->options.loop, &recording->post);
}

void recording_end_all(struct care *care)
{
    while (care->recordings != NULL) {
        if (care->recordings->call != NULL)
            api_call_cancel(care->recordings->call); /* and so it finishes */
        else
            finish(care->recordings);
    }
}
