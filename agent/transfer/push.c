/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/kept_files.h"
#include "agent/transfer/push_busy.h"
#include "agent/transfer/push_deltas.h"
#include "agent/transfer/push_documents.h"
#include "agent/transfer/push_dry.h"
#include "agent/transfer/push_early.h"
#include "agent/transfer/push_looks.h"
#include "agent/transfer/push_opening.h"
#include "agent/transfer/push_packs.h"
#include "agent/transfer/push_send.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/client/api_pushes.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/record.h"

#define ROUND_AGAIN 1 /* the tree changed: a round's result */
#define COMMIT_TRIES 3

CLEANUP_DEFINE(scan, scan_free);
CLEANUP_DEFINE(hasher, hasher_free);
CLEANUP_DEFINE(stat_cache, stat_cache_close);
CLEANUP_DEFINE(stat_cache_writer, stat_cache_writer_free);

/* One round: a scan, and what follows from it. */
struct round {
    const struct push_options *options;
    struct scan *scan;
    uint64_t place; /* tells the tree's directory from others */
    struct listing_totals totals;
    struct push_looks *looks; /* or NULL */
    struct push_early *early; /* or NULL */
    struct digest times;
    const char *changed; /* the path that was seen to change; the scan's */
    bool is_resumed;     /* the push that is open may have parts of files already */
};

/* Who looks at a file that the scan cache does not know. */
struct unknown {
    struct hasher *hasher;
    struct push_looks *looks; /* or NULL */
    struct push_early *early; /* or NULL */
};

static void add_unknown(void *context, struct scan_entry *entry)
{
    struct unknown *unknown = context;
    struct digest last = entry->sha256; /* until it is hashed */

    if (unknown->looks != NULL)
        push_looks_add(unknown->looks, entry, &last);
    if (unknown->early != NULL)
        push_early_add(unknown->early, entry);
    hasher_add(unknown->hasher, entry);
}

/* What tells one directory from another: its device and inode, hashed. */
static int find_place(struct directory *root, uint64_t *out, struct error *err)
{
    static const uint64_t key[2] = { 1, 2 };
    struct file_info info;
    uint64_t place[2];
    int r = directory_info(root, "", &info, err);

    if (r < 0)
        return r;
    place[0] = info.device;
    place[1] = info.inode;
    *out = map_hash(key, span_of(place, sizeof(place)));
    return 0;
}

static int new_early(struct round *round, const struct api_push_spec *spec, struct error *err)
{
    const struct push_options *options = round->options;
    const struct push_early_options early = { .transfer = options->transfer,
                                              .root = options->root,
                                              .cache = options->cache,
                                              .place = round->place,
                                              .spec = spec,
                                              .metadata = options->metadata };

    return options->dry_run ? 0 : push_early_new(&early, &round->early, err);
}

static int scan_and_hash(struct round *round, const struct api_push_spec *spec,
                         struct stat_cache *cache, struct error *err)
{
    const struct push_options *options = round->options;
    cleanup(cleanup_hasher) struct hasher *hasher = NULL;
    struct scan_options scan_options = {
        .transfer = options->transfer,
        .root = options->root,
        .ignore = options->ignore,
        .executable = options->executable,
        .links = options->links,
        .cache = cache,
        .on_unknown = add_unknown,
    };
    struct unknown unknown = { NULL, NULL, NULL };
    int r = scan_new(&round->scan, err);

    if (r == 0)
        r = new_early(round, spec, err);
    if (r == 0)
        r = hasher_new(options->transfer, options->root,
                       round->early != NULL ? push_early_hashed : NULL, round->early, &hasher, err);
    if (r < 0)
        return r;
    if (options->cache != NULL && !options->dry_run) /* without them it goes as well */
        push_looks_new(options->root, options->cache, &round->looks, NULL);
    unknown = (struct unknown){ hasher, round->looks, round->early };
    scan_options.context = &unknown;
    transfer_meter(options->transfer, METER_SCANNING, 0, 0);
    r = scan_run(round->scan, &scan_options, err);
    if (r < 0)
        return transfer_local(options->transfer, r);
    if (round->early != NULL) {
        r = push_early_run(round->early, hasher, err);
        if (r < 0)
            return r;
    }
    r = hasher_finish(hasher, &round->changed, err);
    return r == HASHER_UNSTEADY ? ROUND_AGAIN : transfer_local(options->transfer, r);
}

static int write_cache(const struct round *round, struct stat_cache_writer *writer,
                       struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < scan_count(round->scan); i++) {
        const struct scan_entry *entry = scan_entry_at(round->scan, i);
        if (entry->kind == ENTRY_FILE)
            r = stat_cache_writer_add(writer, span_of(entry->path, entry->path_size), entry->stamp,
                                      &entry->sha256, err);
    }
    return r < 0 ? r : stat_cache_writer_end(writer, err);
}

/* With the scan cache around it; that one's own failures do not matter. */
static int look_at_tree(struct round *round, const struct api_push_spec *spec, bool believe_cache,
                        struct error *err)
{
    const struct push_options *options = round->options;
    cleanup(cleanup_stat_cache) struct stat_cache *cache = NULL;
    cleanup(cleanup_stat_cache_writer) struct stat_cache_writer *writer = NULL;
    bool cached = options->cache != NULL && find_place(options->root, &round->place, NULL) == 0;
    char name[32];
    int r;

    (void)snprintf(name, sizeof(name), "scan-%016llx", (unsigned long long)round->place);
    if (cached && believe_cache)
        stat_cache_open(options->cache, name, &cache, NULL);
    if (cached && !options->dry_run)
        stat_cache_writer_new(options->cache, name, &writer, NULL);
    r = scan_and_hash(round, spec, cache, err);
    if (r == 0 && writer != NULL)
        write_cache(round, writer, NULL);
    return r;
}

static int identify(struct round *round, struct error *err)
{
    uint64_t size = 0;
    int r = scan_write_listing(round->scan, sink_to_counter(&size), &round->totals, err);

    size = 0;
    return r < 0 ? r : scan_write_times(round->scan, sink_to_counter(&size), &round->times, err);
}

static int send_blobs(struct round *round, const struct api_push_spec *spec,
                      const struct api_push *push, struct error *err)
{
    const struct push_options *options = round->options;
    struct transfer *transfer = options->transfer;
    cleanup(buf_release) struct buf missing = buf_init(BUF_UNLIMITED);
    struct push_send_options send = { .transfer = transfer,
                                      .root = options->root,
                                      .scan = round->scan,
                                      .spec = spec,
                                      .id = push->id,
                                      .is_resumed = round->is_resumed };
    struct push_deltas_options deltas = {
        .send = &send, .delta_max = push->part_size, .cache = options->cache, .looks = round->looks
    };
    int r =
        api_push_missing(transfer->client, spec, push->id, round->totals.file_count, &missing, err);

    if (r < 0)
        return r;
    send.missing = buf_span(&missing);
    send.part_size = push->part_size < transfer->part_size ? push->part_size : transfer->part_size;
    push_send_meter(&send);
    r = push_packs(&send, missing.bytes, &round->changed, err);
    if (r == 0)
        r = push_deltas(&deltas, missing.bytes, &round->changed, err);
    round->looks = push_looks_free(round->looks);
    return r != 0 ? r : push_send(&send, &round->changed, err);
}

static int check_tree(struct round *round, struct error *err)
{
    int r = scan_check_directories(round->scan, round->options->root, &round->changed, err);

    return r > 0 ? ROUND_AGAIN : transfer_local(round->options->transfer, r);
}

static bool blobs_are_missing(const struct api_push *push)
{
    return strcmp(push->problem.code, "missing-blobs") == 0;
}

/* Blobs, then the commit; a server that misses blobs yet (it was restarted) is given them. */
static int send_and_commit(struct round *round, const struct api_push_spec *spec,
                           const struct api_push *push, struct api_push *out_done,
                           struct error *err)
{
    struct api_client *client = round->options->transfer->client;
    uint64_t busy_since_ms = 0;
    int r = -EEXIST;

    for (int tries = 0; tries < COMMIT_TRIES; tries++) {
        r = send_blobs(round, spec, push, err);
        if (r == PUSH_SEND_CHANGED)
            return ROUND_AGAIN;
        if (r == 0)
            r = check_tree(round, err);
        if (r != 0)
            return r;
        transfer_meter(round->options->transfer, METER_ASKING, 0, 0);
        do {
            api_push_release(out_done);
            r = api_push_commit(client, spec, push->id, out_done, err);
        } while (r < 0 &&
                 push_busy_wait(round->options->transfer, &out_done->problem, &busy_since_ms));
        if (r == 0 || !blobs_are_missing(out_done))
            break;
    }
    return r;
}

static int take_result(const struct round *round, const struct api_push *push, bool exists,
                       struct push_result *out, struct error *err)
{
    const struct record *version = &push->version.record;
    size_t size = strlen(version->version);

    if (size == 0 || !version->has_content ||
        !digest_equal(&version->content, &round->totals.content))
        return transfer_failed(round->options->transfer,
                               error_set(err, -EBADMSG, "the server answered with another version"),
                               EXIT_INTEGRITY);
    *out = (struct push_result){ .content = round->totals.content,
                                 .exists = exists,
                                 .files = round->totals.file_count,
                                 .bytes = round->totals.bytes };
    memcpy(out->version, version->version, size + 1);
    return 0;
}

/* A name that is taken: by what. */
static int explain_conflict(const struct push_options *options, const struct api_push *push, int r,
                            struct error *err)
{
    if (r == -EEXIST && push->problem.existing_content[0] != '\0')
        return error_set(err, r, "%s/%s/%s has other content: %.12s...", options->project,
                         options->app, options->version != NULL ? options->version : "?",
                         push->problem.existing_content);
    return r;
}

/* The commit was done, perhaps, and its answer was lost: the push is gone then, and the version is
 * there. Else what failed stays. */
static int find_committed(const struct round *round, const struct api_push_spec *spec, int cause,
                          struct push_result *out, struct error *err)
{
    struct api_client *client = round->options->transfer->client;
    cleanup(api_push_release) struct api_push push = { 0 };

    if (api_push_create(client, spec, &push, NULL) < 0)
        return cause;
    if (push.exists)
        return take_result(round, &push, true, out, err);
    api_push_delete(client, spec, push.id, NULL);
    return cause;
}

/* The large files' bytes, for the patches of the next push: as many as there is room for. */
static void keep_files(const struct round *round)
{
    const struct push_options *options = round->options;
    uint64_t bytes = 0;

    for (size_t i = 0; i < scan_count(round->scan) && options->cache != NULL; i++) {
        const struct scan_entry *entry = scan_entry_at(round->scan, i);
        cleanup_fd int fd = -1;
        struct file_info info;

        if (entry->kind != ENTRY_FILE || entry->size < KEPT_FILES_MIN ||
            entry->size > KEPT_FILES_MAX || bytes + entry->size > KEPT_FILES_BYTES ||
            directory_open_read(options->root, entry->path, &fd, NULL) < 0 ||
            file_info(fd, &info, NULL) < 0 || stat_stamp(&info) != entry->stamp)
            continue;
        kept_files_put(options->cache, &entry->sha256, fd, entry->size);
        if (file_info(fd, &info, NULL) < 0 || stat_stamp(&info) != entry->stamp)
            kept_files_remove(options->cache, &entry->sha256); /* a copy of neither, perhaps */
        bytes += entry->size;
    }
    kept_files_trim(options->cache, KEPT_FILES_BYTES);
}

/* The one that is open already, or a new one, or one of an earlier run. */
static int open_push(struct round *round, const struct api_push_spec *spec,
                     struct push_opening *opening, struct api_push *out, struct error *err)
{
    const struct push_options *options = round->options;
    int r;

    if (!push_early_take(round->early, out)) {
        r = push_opening_begin(opening, options->transfer, options->cache, spec, 0,
                               options->metadata, out, err);
        round->is_resumed = opening->is_taken_up;
        return r;
    }
    round->is_resumed = true; /* what went early may have been an earlier run's */
    push_opening_adopt(opening, options->transfer, options->cache, spec, options->metadata,
                       out->id);
    push_early_forget(round->early); /* the next run knows the files, and looks for this one */
    return 0;
}

static int send_round(struct round *round, const struct api_push_spec *spec,
                      struct push_result *out, struct error *err)
{
    const struct push_options *options = round->options;
    struct api_client *client = options->transfer->client;
    cleanup(push_opening_release) struct push_opening opening = { .fd = -1 };
    cleanup(api_push_release) struct api_push push = { 0 };
    cleanup(api_push_release) struct api_push done = { 0 };
    struct push_documents_options documents = { .transfer = options->transfer,
                                                .scan = round->scan,
                                                .spec = spec,
                                                .push = &push,
                                                .cache = options->cache };
    bool full;
    int r;

    transfer_meter(options->transfer, METER_ASKING, 0, 0);
    r = open_push(round, spec, &opening, &push, err);
    if (r < 0)
        return explain_conflict(options, &push, r, err);
    if (push.exists) {
        r = check_tree(round, err);
        return r != 0 ? r : take_result(round, &push, true, out, err);
    }
    r = push_documents_send(&documents, err);
    if (r == 0)
        r = send_and_commit(round, spec, &push, &done, err);
    if (r == 0)
        r = take_result(round, &done, done.exists, out, err);
    else if (r == -ENOENT)
        r = find_committed(round, spec, r, out, err);
    if (r == 0) {
        push_documents_keep(&documents);
        keep_files(round);
    }
    full = r == -ENOSPC && options->transfer->exit_code == 0; /* the server's disk, not ours */
    if (r == 0 || r == ROUND_AGAIN || r == -EEXIST || r == -ENOENT || full)
        push_opening_forget(&opening);
    if (r == 0)
        return 0;
    if (r == ROUND_AGAIN || full)
        api_push_delete(client, spec, push.id, NULL);
    return explain_conflict(options, &done, r, err);
}

static int run_round(struct round *round, bool believe_cache, struct push_result *out,
                     struct error *err)
{
    const struct push_options *options = round->options;
    cleanup(buf_release) struct buf metadata = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&metadata);
    struct api_push_spec spec = { .project = options->project,
                                  .app = options->app,
                                  .version = options->version };
    int r;

    json_begin_object(&writer, NULL);
    record_write_metadata(options->metadata, &writer);
    json_end(&writer);
    r = buf_check(&metadata, err);
    if (r < 0)
        return r;
    spec.metadata = buf_span(&metadata);
    r = look_at_tree(round, &spec, believe_cache, err);
    if (r == 0)
        r = transfer_local(options->transfer, identify(round, err));
    if (r == ROUND_AGAIN)
        push_early_give_up(round->early);
    if (r != 0)
        return r;
    if (options->dry_run)
        return push_dry(options, round->scan, &round->totals, out, err);
    spec.content = &round->totals.content;
    spec.times = &round->times;
    return send_round(round, &spec, out, err);
}

int push_run(const struct push_options *options, struct push_result *out, struct error *err)
{
    struct error told = { 0 };

    for (int i = 0; i < PUSH_ROUNDS; i++) {
        cleanup(cleanup_scan) struct scan *scan = NULL;
        struct round round = { .options = options };
        int r = run_round(&round, i > 0 || !options->full_check, out, err);
        push_looks_free(round.looks);
        push_early_free(round.early);
        scan = round.scan;
        if (r != ROUND_AGAIN)
            return r;
        error_set(&told, -EBUSY, "%s: changes while it is pushed", round.changed);
        r = transfer_stopped(options->transfer, err);
        if (r < 0)
            return r;
    }
    return transfer_local(options->transfer, error_set(err, -EBUSY, "%s", told.text));
}
