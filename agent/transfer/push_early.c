/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_early.h"

#include <errno.h>
#include <pthread.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/push_lanes.h"
#include "agent/transfer/push_opening.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_versions.h"
#include "common/net/http_loop.h"

/* As it was before it was hashed: the entry is the hasher's meanwhile. */
struct early_file {
    const struct scan_entry *entry;
    const char *path;
    uint64_t size, stamp;
    bool is_begun;
    /* Locked: */
    bool is_through;
    int result; /* of hashing */
    uint64_t hashed_stamp;
    struct digest sha256;
};

struct push_early {
    struct push_early_options options;
    struct push_opening opening;
    struct api_push push;
    bool is_open; /* and not taken */
    pthread_mutex_t lock;
    struct early_file files[PUSH_EARLY_FILES_MAX];
    size_t count;
};

int push_early_new(const struct push_early_options *options, struct push_early **out_early,
                   struct error *err)
{
    struct push_early *early = memory_new(sizeof(*early));

    if (early == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    early->options = *options;
    early->opening.fd = -1;
    pthread_mutex_init(&early->lock, NULL);
    *out_early = early;
    return 0;
}

struct push_early *push_early_free(struct push_early *early)
{
    if (early == NULL)
        return NULL;
    push_opening_release(&early->opening);
    api_push_release(&early->push);
    pthread_mutex_destroy(&early->lock);
    return memory_free(early);
}

void push_early_add(struct push_early *early, const struct scan_entry *entry)
{
    if (entry->size < PUSH_EARLY_FILE_MIN || early->count == PUSH_EARLY_FILES_MAX)
        return;
    pthread_mutex_lock(&early->lock);
    early->files[early->count++] = (struct early_file){
        .entry = entry, .path = entry->path, .size = entry->size, .stamp = entry->stamp
    };
    pthread_mutex_unlock(&early->lock);
}

void push_early_hashed(void *context, const struct scan_entry *entry, int r)
{
    struct push_early *early = context;
    bool found = false;

    pthread_mutex_lock(&early->lock);
    for (size_t i = 0; i < early->count && !found; i++) {
        struct early_file *file = &early->files[i];

        found = file->entry == entry;
        if (!found)
            continue;
        file->is_through = true;
        file->result = r;
        file->hashed_stamp = entry->stamp;
        file->sha256 = entry->sha256;
    }
    pthread_mutex_unlock(&early->lock);
    if (found)
        http_loop_wake(api_client_loop(early->options.transfer->client));
}

/* push_source */
static bool next_file(void *context, struct push_file *out)
{
    struct push_early *early = context;
    bool found = false;

    pthread_mutex_lock(&early->lock);
    for (size_t i = 0; i < early->count && !found; i++) {
        struct early_file *file = &early->files[i];

        found = !file->is_begun && !file->is_through;
        if (!found)
            continue;
        file->is_begun = true;
        *out = (struct push_file){ .path = file->path,
                                   .size = file->size,
                                   .stamp = file->stamp,
                                   .is_new = true,
                                   .number = (uint32_t)i };
    }
    pthread_mutex_unlock(&early->lock);
    return found;
}

/* push_source */
static int find_digest(void *context, const struct push_file *sent, struct digest *out)
{
    struct push_early *early = context;
    struct early_file *file = &early->files[sent->number];
    int r = -EAGAIN;

    pthread_mutex_lock(&early->lock);
    if (file->is_through)
        r = file->result == 0 && file->hashed_stamp == file->stamp ? 0 : PUSH_SEND_CHANGED;
    if (r == 0)
        *out = file->sha256;
    pthread_mutex_unlock(&early->lock);
    return r;
}

static uint64_t bytes_of(const struct push_early *early)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < early->count; i++)
        bytes += early->files[i].size;
    return bytes;
}

/* The ordinary way would only find out once more, and wait as long for it. */
static bool is_final(int r)
{
    return r == -EAGAIN || r == -ETIMEDOUT || r == -EIO || r == -ECANCELED || r == -ENOMEM;
}

/* Whether the app has no version: 1, 0 also where that cannot be told, or why nothing can. */
static int is_first(const struct push_early *early, struct error *err)
{
    const struct api_push_spec *spec = early->options.spec;
    struct api_version version = { 0 };
    int r = api_version_get(early->options.transfer->client, spec->project, spec->app, "latest",
                            &version, err);

    api_version_release(&version);
    if (is_final(r))
        return r;
    return r == -ENOENT;
}

/* 1: it is open; 0: a refusal, which is the ordinary push's to tell; or why nothing can be. */
static int open_push(struct push_early *early, struct error *err)
{
    const struct push_early_options *options = &early->options;
    int r = push_opening_begin(&early->opening, options->transfer, options->cache, options->spec,
                               options->place, options->metadata, &early->push, err);

    early->is_open = r == 0 && !early->push.exists;
    if (r < 0)
        api_push_release(&early->push);
    if (is_final(r))
        return r;
    return early->is_open;
}

/* What only says that this way is none, or that the file is another one now. */
static bool is_passed_over(int r)
{
    return r > 0 || r == -ENOENT || r == -EINVAL || r == -ENOTSUP;
}

static int send(struct push_early *early, struct error *err)
{
    const struct push_early_options *options = &early->options;
    struct transfer *transfer = options->transfer;
    uint64_t part_size = early->push.part_size;
    const struct push_lanes_options lanes = {
        .transfer = transfer,
        .root = options->root,
        .spec = options->spec,
        .id = early->push.id,
        .part_size = part_size < transfer->part_size ? part_size : transfer->part_size,
        .is_resumed = early->opening.is_taken_up,
        .source = { .next = next_file, .digest = find_digest, .context = early },
    };
    const char *changed = NULL;
    int r;

    transfer_meter(transfer, METER_SENDING, early->count, bytes_of(early));
    r = push_lanes_run(&lanes, &changed, err);
    if (r == -ENOSPC && transfer->exit_code == 0) { /* the server's disk: make room */
        push_early_forget(early);
        push_early_give_up(early);
    }
    if (!is_passed_over(r))
        return r;
    if (r > 0)
        transfer_detail(transfer, "%s: changed while it was sent, and goes again", changed);
    else
        transfer_detail(transfer, "files go once they are hashed, not before: %s", err->text);
    transfer->exit_code = 0;
    return 0;
}

int push_early_run(struct push_early *early, struct hasher *hasher, struct error *err)
{
    int r = early->count == 0 ? 0 : is_first(early, err);

    if (r > 0)
        r = open_push(early, err);
    if (r <= 0)
        return r;
    hasher_uncounted(hasher);
    return send(early, err);
}

bool push_early_take(struct push_early *early, struct api_push *out)
{
    if (early == NULL || !early->is_open)
        return false;
    *out = early->push;
    early->push = (struct api_push){ 0 };
    early->is_open = false;
    return true;
}

void push_early_forget(struct push_early *early)
{
    if (early != NULL)
        push_opening_forget(&early->opening);
}

void push_early_give_up(struct push_early *early)
{
    if (early == NULL || !early->is_open)
        return;
    push_early_forget(early);
    api_push_delete(early->options.transfer->client, early->options.spec, early->push.id, NULL);
    early->is_open = false;
}
