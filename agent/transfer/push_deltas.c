/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_deltas.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/kept_files.h"
#include "agent/transfer/push_base.h"
#include "agent/transfer/push_delta_job.h"
#include "agent/transfer/push_documents.h"
#include "agent/transfer/push_looks.h"
#include "agent/transfer/push_names.h"
#include "agent/transfer/push_packs.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_pushes.h"
#include "common/client/api_versions.h"
#include "common/model/bitmap.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define TREE_FILE_MAX ((uint64_t)4 << 30) /* larger trees have more than 33 MiB, lists a tenth */

/* One file at a time: its base is found, both are looked at, the delta is made and sent. */
struct lane {
    struct deltas *deltas;
    const struct scan_entry *entry; /* NULL: idle */
    uint64_t file_index;            /* its bit */
    struct push_delta_job job;
    struct api_call *call;
    workers_function *work; /* at a thread: what it is */
    int result;
    struct error error;
    struct http_post worked;
};

struct deltas {
    const struct push_deltas_options *options;
    uint8_t *missing;
    struct http_loop *loop;
    struct workers *workers;
    struct lane *lanes;
    size_t lane_count;
    size_t working; /* lanes that are at a thread */
    size_t entry_index;
    uint64_t file_index;
    char *version;      /* where bases are looked for */
    struct buf listing; /* of that version, when it is at hand: */
    bool has_names;
    struct push_names names;
    int result; /* first failure, or PUSH_SEND_CHANGED */
    struct error error;
    const char *changed;
    pthread_mutex_t patching;
};

static void fill_lane(struct lane *lane);

static void lane_end(struct lane *lane)
{
    push_delta_job_clear(&lane->job);
    lane->entry = NULL;
}

static void fail(struct lane *lane, int r, const struct error *err)
{
    struct deltas *deltas = lane->deltas;

    if (deltas->result == 0) {
        deltas->result = r;
        if (r < 0) {
            deltas->error = *err;
            error_prefix(&deltas->error, r, "%s", lane->entry->path);
        } else {
            deltas->changed = lane->entry->path;
        }
    }
    lane_end(lane);
}

/* Stays for push_send(). */
static void leave(struct lane *lane, const char *why)
{
    transfer_detail(lane->deltas->options->send->transfer, "%s: whole, %llu bytes: %s",
                    lane->entry->path, (unsigned long long)lane->entry->size, why);
    lane_end(lane);
    fill_lane(lane);
}

static bool is_fatal(int r)
{
    return r == -ECANCELED || r == -ENOMEM;
}

/* On a thread ----------------------------------------------------------------- */

static void look(void *context)
{
    struct lane *lane = context;

    lane->result = push_delta_job_look(&lane->job, &lane->error);
    http_loop_post_at(lane->deltas->loop, &lane->worked);
}

static void make(void *context)
{
    struct lane *lane = context;

    lane->result = push_delta_job_make(&lane->job, &lane->error);
    http_loop_post_at(lane->deltas->loop, &lane->worked);
}

static void start_work(struct lane *lane, workers_function *work)
{
    lane->work = work;
    lane->deltas->working++;
    workers_submit(lane->deltas->workers, work, lane);
}

/* On the loop ------------------------------------------------------------------ */

static bool file_is_unchanged(const struct lane *lane)
{
    struct file_info info;

    return file_info(lane->job.file.fd, &info, NULL) == 0 &&
           stat_stamp(&info) == lane->entry->stamp;
}

static void delta_is_taken(struct lane *lane)
{
    struct deltas *deltas = lane->deltas;
    const struct scan_entry *entry = lane->entry;

    hint_cache_put(deltas->options->cache, &entry->sha256, push_base_hint(lane->job.kind),
                   buf_span(&lane->job.own));
    bitmap_clear(deltas->missing, lane->file_index);
    transfer_done(deltas->options->send->transfer, 1, entry->size);
    transfer_detail(deltas->options->send->transfer, "%s: delta, %zu bytes of %llu", entry->path,
                    lane->job.delta.size, (unsigned long long)entry->size);
    lane_end(lane);
    fill_lane(lane);
}

static void on_answer(void *context, const struct api_answer *answer)
{
    struct lane *lane = context;

    lane->call = NULL;
    if (lane->deltas->result != 0)
        lane_end(lane);
    else if (answer->code == 0)
        delta_is_taken(lane);
    else if (is_fatal(answer->code))
        fail(lane, answer->code, &answer->err);
    else
        leave(lane, answer->err.text);
}

static void send_delta(struct lane *lane)
{
    const struct push_send_options *send = lane->deltas->options->send;
    struct error err;
    int r;

    if (!file_is_unchanged(lane)) {
        fail(lane, PUSH_SEND_CHANGED, NULL);
        return;
    }
    r = api_push_delta_start(send->transfer->client, send->spec, send->id, &lane->entry->sha256,
                             buf_span(&lane->job.delta), on_answer, lane, &lane->call, &err);
    if (r < 0)
        fail(lane, r, &err);
}

static void base_is_known(void *context, int r, const struct error *err)
{
    struct lane *lane = context;

    if (r == 0)
        start_work(lane, make);
    else if (is_fatal(r))
        fail(lane, r, err);
    else
        leave(lane, err->text);
}

/* The file's own list or tree is there: now the base's. */
static void is_looked_at(struct lane *lane)
{
    struct error err;
    int r = push_base_fetch(lane->job.base, lane->job.kind, buf_span(&lane->job.own), base_is_known,
                            &err);

    if (r < 0)
        base_is_known(lane, r, &err);
}

static void delta_is_made(struct lane *lane)
{
    if (lane->result == 0) {
        send_delta(lane);
    } else if (lane->result == PUSH_DELTA_JOB_USELESS && lane->job.kind == PUSH_BASE_TREE) {
        lane->job.kind = PUSH_BASE_LIST; /* equal sizes by chance: things have moved */
        start_work(lane, look);
    } else {
        leave(lane, lane->result == PUSH_DELTA_JOB_USELESS
                        ? "there is little of it in the last version"
                        : lane->error.text);
    }
}

static void work_is_done(void *context)
{
    struct lane *lane = context;
    struct deltas *deltas = lane->deltas;

    deltas->working--;
    if (deltas->result != 0)
        lane_end(lane);
    else if (lane->result == -ESTALE || (lane->result < 0 && !file_is_unchanged(lane)))
        fail(lane, PUSH_SEND_CHANGED, NULL);
    else if (is_fatal(lane->result))
        fail(lane, lane->result, &lane->error);
    else if (lane->work == make)
        delta_is_made(lane);
    else if (lane->result == 0)
        is_looked_at(lane);
    else
        leave(lane, lane->error.text);
}

static void base_is_found(void *context, int r, const struct error *err)
{
    struct lane *lane = context;
    struct digest sha256;
    uint64_t size;

    if (r < 0 && is_fatal(r)) {
        fail(lane, r, err);
        return;
    }
    if (r < 0) {
        leave(lane, "the last version has no such file");
        return;
    }
    push_base_tell(lane->job.base, &sha256, &size);
    kept_files_open(lane->job.cache, &sha256, size, &lane->job.kept_fd);
    lane->job.kind =
        size == lane->entry->size && size <= TREE_FILE_MAX ? PUSH_BASE_TREE : PUSH_BASE_LIST;
    start_work(lane, look);
}

/* The next large file whose bit is set. */
static bool next_large(struct deltas *deltas, struct lane *lane)
{
    const struct scan *scan = deltas->options->send->scan;

    while (deltas->entry_index < scan_count(scan)) {
        const struct scan_entry *entry = scan_entry_at(scan, deltas->entry_index++);

        if (entry->kind != ENTRY_FILE)
            continue;
        lane->file_index = deltas->file_index++;
        if (entry->size > PUSH_PACKS_FILE_MAX && bitmap_get(deltas->missing, lane->file_index)) {
            lane->entry = entry;
            return true;
        }
    }
    return false;
}

static void tell_whole(const struct deltas *deltas, const struct scan_entry *entry, const char *why)
{
    transfer_detail(deltas->options->send->transfer, "%s: whole, %llu bytes%s", entry->path,
                    (unsigned long long)entry->size, why);
}

/* The next one that may have a base; *out_name: the one that a listing at hand has for it. */
static bool next_with_name(struct deltas *deltas, struct lane *lane,
                           const struct push_name **out_name)
{
    while (next_large(deltas, lane)) {
        const struct scan_entry *entry = lane->entry;

        if (!deltas->has_names)
            return true;
        *out_name =
            push_names_find(&deltas->names, span_of(entry->path, entry->path_size), entry->size);
        if (*out_name != NULL)
            return true;
        tell_whole(deltas, entry, ": the last version has no such file");
        lane->entry = NULL;
    }
    return false;
}

/* Opens the file and checks that it is what was hashed. */
static int open_file(struct lane *lane, struct error *err)
{
    const struct push_send_options *send = lane->deltas->options->send;
    int r = directory_open_read(send->root, lane->entry->path, &lane->job.file.fd, err);

    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
        return PUSH_SEND_CHANGED;
    if (r < 0)
        return transfer_local(send->transfer, r);
    lane->job.entry = lane->entry;
    lane->job.file.size = lane->entry->size;
    lane->job.file.sha256 = lane->entry->sha256;
    lane->job.file.stop = send->transfer->stop;
    return file_is_unchanged(lane) ? 0 : PUSH_SEND_CHANGED;
}

static void fill_lane(struct lane *lane)
{
    struct deltas *deltas = lane->deltas;
    const struct push_send_options *send = deltas->options->send;
    const struct push_base_options base = { .client = send->transfer->client,
                                            .cache = deltas->options->cache,
                                            .project = send->spec->project,
                                            .app = send->spec->app,
                                            .version = deltas->version,
                                            .context = lane };
    const struct push_name *name = NULL;
    struct error err;
    int r;

    if (deltas->result != 0 || !next_with_name(deltas, lane, &name))
        return;
    r = open_file(lane, &err);
    if (r == 0)
        r = push_base_new(&base, &lane->job.base, &err);
    if (r == 0 && name == NULL)
        r = push_base_find(lane->job.base, lane->entry->path, base_is_found, &err);
    if (r != 0) {
        fail(lane, r, &err);
    } else if (name != NULL) {
        push_base_set(lane->job.base, &name->sha256, name->size);
        base_is_found(lane, 0, NULL);
    }
}

/* Running ---------------------------------------------------------------------- */

static bool is_over(void *context)
{
    const struct deltas *deltas = context;

    for (size_t i = 0; i < deltas->lane_count; i++)
        if (deltas->lanes[i].entry != NULL)
            return deltas->result != 0;
    return true;
}

static void run(struct deltas *deltas)
{
    struct error err;
    int r = 0;

    while (r == 0 && !is_over(deltas)) {
        r = http_loop_run_until(deltas->loop, is_over, deltas, clock_monotonic_ms() + TURN_MS,
                                &err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(deltas->options->send->transfer, &err);
    }
    if (r < 0 && deltas->result == 0) {
        deltas->result = r;
        deltas->error = err;
    }
    for (size_t i = 0; i < deltas->lane_count; i++)
        if (deltas->lanes[i].call != NULL)
            api_call_cancel(deltas->lanes[i].call);
    if (deltas->result != 0)
        push_looks_stop(deltas->options->looks);
    /* What is at a thread comes back to the loop before its lane may go. */
    workers_drain(deltas->workers);
    while (deltas->working > 0)
        http_loop_run_once(deltas->loop, 0, NULL);
    for (size_t i = 0; i < deltas->lane_count; i++)
        lane_end(&deltas->lanes[i]);
}

static int prepare(struct deltas *deltas, struct error *err)
{
    uint64_t delta_max = deltas->options->delta_max;

    if (delta_max > PUSH_DELTAS_MAX)
        delta_max = PUSH_DELTAS_MAX;
    deltas->lanes = memory_array(deltas->lane_count, sizeof(*deltas->lanes));
    if (deltas->lanes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < deltas->lane_count; i++) {
        struct lane *lane = &deltas->lanes[i];

        lane->deltas = deltas;
        lane->job.file.fd = -1;
        lane->job.looks = deltas->options->looks;
        lane->job.cache = deltas->options->cache;
        lane->job.kept_fd = -1;
        lane->job.patching = &deltas->patching;
        lane->job.own = buf_init(HINT_CACHE_LARGEST);
        lane->job.delta = buf_init((size_t)delta_max);
        lane->worked = (struct http_post){ .function = work_is_done, .context = lane };
    }
    return workers_new(&deltas->workers, deltas->lane_count, deltas->lane_count, err);
}

static bool any_large(struct deltas *deltas)
{
    struct lane lane;
    bool found = next_large(deltas, &lane);

    deltas->entry_index = 0;
    deltas->file_index = 0;
    return found;
}

/* There is nothing that they could be made of. */
static void leave_all(struct deltas *deltas)
{
    struct lane lane;

    while (next_large(deltas, &lane))
        tell_whole(deltas, lane.entry, "");
}

/* The version whose files are bases. That there is none, or that it may not be read, is no
 * failure. */
static int find_version(struct deltas *deltas, struct error *err)
{
    const struct push_send_options *send = deltas->options->send;
    const struct push_documents_options documents = { .transfer = send->transfer,
                                                      .spec = send->spec,
                                                      .cache = deltas->options->cache };
    cleanup(api_version_release) struct api_version version = { 0 };
    int r = api_version_get(send->transfer->client, send->spec->project, send->spec->app, "latest",
                            &version, err);

    if (r < 0)
        return is_fatal(r) ? r : 0;
    deltas->version = memory_text(version.record.version);
    if (deltas->version == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    deltas->has_names =
        push_documents_listing(&documents, &version.record.content, &deltas->listing) &&
        push_names_read(buf_span(&deltas->listing), CHUNK_LIST_MIN_SIZE, &deltas->names, NULL) == 0;
    return 0;
}

int push_deltas(const struct push_deltas_options *options, uint8_t *missing, const char **out_path,
                struct error *err)
{
    struct deltas deltas = { .options = options,
                             .missing = missing,
                             .loop = api_client_loop(options->send->transfer->client),
                             .lane_count = PUSH_DELTAS_LANES,
                             .patching = PTHREAD_MUTEX_INITIALIZER,
                             .listing = buf_init(HINT_CACHE_LARGEST + DIGEST_SIZE) };
    int r;

    if (!any_large(&deltas))
        return 0;
    r = find_version(&deltas, err);
    if (r == 0 && deltas.version == NULL) {
        leave_all(&deltas);
        return 0;
    }
    if (r == 0)
        r = prepare(&deltas, err);
    if (r == 0) {
        for (size_t i = 0; i < deltas.lane_count; i++)
            fill_lane(&deltas.lanes[i]);
        run(&deltas);
        r = deltas.result;
        if (r < 0)
            error_set(err, r, "%s", deltas.error.text);
        else if (r > 0)
            *out_path = deltas.changed;
    }
    workers_free(deltas.workers);
    memory_free(deltas.lanes);
    memory_free(deltas.version);
    push_names_release(&deltas.names);
    buf_release(&deltas.listing);
    hint_cache_trim(options->cache, HINT_CACHE_FILES, HINT_CACHE_BYTES);
    return r;
}
