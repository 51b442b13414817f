/* SPDX-License-Identifier: MIT */
#include "server/storage/file_commits.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

struct request {
    struct request *next;
    struct file_commit *items;
    size_t count;
    bool done;
    int result;
    struct error error;
};

struct file_commits {
    const struct file_tree *tree;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct request *first;
    struct request **last;
    struct request *named; /* they wait for nothing but that their names are durable */
    bool is_led;           /* someone commits now */
    bool has_new_folder;   /* who leads: blobs/ has to be synced for it */
};

int file_commits_new(const struct file_tree *tree, struct file_commits **out, struct error *err)
{
    struct file_commits *commits = memory_new(sizeof(*commits));

    if (commits == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    commits->tree = tree;
    commits->last = &commits->first;
    pthread_mutex_init(&commits->lock, NULL);
    pthread_cond_init(&commits->changed, NULL);
    *out = commits;
    return 0;
}

struct file_commits *file_commits_free(struct file_commits *commits)
{
    if (commits == NULL)
        return NULL;
    pthread_cond_destroy(&commits->changed);
    pthread_mutex_destroy(&commits->lock);
    return memory_free(commits);
}

static void request_fail(struct request *request, int result, const struct error *error)
{
    if (request->result < 0)
        return;
    request->result = result;
    request->error = *error;
}

/* Runs `step` on each item of each request that has not failed. */
typedef int item_step(struct file_commits *commits, struct file_commit *item, struct error *err);

static void each_item(struct file_commits *commits, struct request *first, item_step *step)
{
    struct error error;
    int r;

    for (struct request *request = first; request != NULL; request = request->next) {
        for (size_t i = 0; i < request->count && request->result >= 0; i++) {
            r = step(commits, &request->items[i], &error);
            if (r < 0)
                request_fail(request, r, &error);
        }
    }
}

static int data_sync(struct file_commits *commits, struct file_commit *item, struct error *err)
{
    return fdatasync(item->fd) == 0 ? 0 : file_tree_error(err, errno, "syncing an object");
}

/* A write-back that failed is told by syncfs() once, to whoever asks first: of pages that failed
 * before their batch was taken that was another batch, or another program. Each open file is told
 * on its own, and its pages are written by now, so there is nothing to wait for. */
static int data_check(struct file_commits *commits, struct file_commit *item, struct error *err)
{
    return sync_file_range(item->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0
               ? 0
               : file_tree_error(err, errno, "syncing an object");
}

static int name_give(struct file_commits *commits, struct file_commit *item, struct error *err)
{
    bool made = false;
    int r = file_tree_folder_open(commits->tree, item->key, true, &item->folder_fd, &made, err);

    commits->has_new_folder |= made;
    if (r < 0)
        return r;
    if (renameat2(commits->tree->tmp_fd, item->key, item->folder_fd, item->key, RENAME_NOREPLACE) !=
        0)
        return file_tree_error(err, errno, "naming an object");
    item->is_named = true;
    return 0;
}

static int names_sync(struct file_commits *commits, struct file_commit *item, struct error *err)
{
    if (fsync(item->folder_fd) != 0 ||
        (commits->has_new_folder && fsync(commits->tree->blobs_fd) != 0))
        return file_tree_error(err, errno, "syncing an object's name");
    commits->has_new_folder = false;
    return 0;
}

static void name_take_back(struct file_commits *commits, struct file_commit *item)
{
    cleanup_fd int folder = -1;

    if (item->is_named &&
        file_tree_folder_open(commits->tree, item->key, false, &folder, NULL, NULL) == 0)
        unlinkat(folder, item->key, 0);
    item->is_named = false;
}

static void names_take_back(struct file_commits *commits, struct request *first)
{
    for (struct request *request = first; request != NULL; request = request->next)
        for (size_t i = 0; i < request->count && request->result < 0; i++)
            name_take_back(commits, &request->items[i]);
}

static size_t item_count(const struct request *first)
{
    size_t count = 0;

    for (const struct request *request = first; request != NULL; request = request->next)
        count += request->count;
    return count;
}

/* A few, by themselves. */
static void few_run(struct file_commits *commits, struct request *batch)
{
    each_item(commits, batch, data_sync);
    each_item(commits, batch, name_give);
    each_item(commits, batch, names_sync);
    names_take_back(commits, batch);
}

static void requests_fail(struct request *first, int result, const struct error *error)
{
    for (struct request *request = first; request != NULL; request = request->next)
        request_fail(request, result, error);
}

/* One sync is for the names of one batch and for the data of the next. */
static void many_run(struct file_commits *commits, struct request *batch, struct request *named)
{
    struct error error;
    int r = 0;

    if (syncfs(commits->tree->root_fd) != 0)
        r = file_tree_error(&error, errno, "syncing the store");
    if (r < 0) {
        requests_fail(batch, r, &error);
        requests_fail(named, r, &error);
    } else {
        commits->has_new_folder = false;
    }
    names_take_back(commits, named);
    each_item(commits, batch, data_check);
    each_item(commits, batch, name_give);
    names_take_back(commits, batch);
}

static void folders_close(struct request *first)
{
    for (struct request *request = first; request != NULL; request = request->next)
        for (size_t i = 0; i < request->count; i++)
            cleanup_fd_at(&request->items[i].folder_fd);
}

static void finish(struct file_commits *commits, struct request *first)
{
    struct request *next;

    for (struct request *request = first; request != NULL; request = next) {
        next = request->next;
        request->done = true;
    }
    if (first != NULL)
        pthread_cond_broadcast(&commits->changed);
}

static struct request *take_waiting(struct file_commits *commits)
{
    struct request *batch = commits->first;

    commits->first = NULL;
    commits->last = &commits->first;
    return batch;
}

/* One step: a few requests are done, or those that were named are, and the next get their names. A
 * few do not go with others, which would go on for ever by the dearer way. The lock is held at
 * entry and at return. */
static void step(struct file_commits *commits)
{
    struct request *named = commits->named;
    bool are_few = item_count(commits->first) < FILE_COMMITS_SYNCFS;
    struct request *batch = are_few && named != NULL ? NULL : take_waiting(commits);

    pthread_mutex_unlock(&commits->lock);
    if (are_few && named == NULL)
        few_run(commits, batch);
    else
        many_run(commits, batch, named);
    folders_close(batch);
    pthread_mutex_lock(&commits->lock);
    commits->named = are_few ? NULL : batch;
    finish(commits, are_few && named == NULL ? batch : named);
}

/* Leads until its own request is done; the next one takes over what is named by then. */
static void lead(struct file_commits *commits, struct request *own)
{
    commits->is_led = true;
    while (!own->done)
        step(commits);
    commits->is_led = false;
    pthread_cond_broadcast(&commits->changed);
}

int file_commits_run(struct file_commits *commits, struct file_commit *items, size_t count,
                     struct error *err)
{
    struct request request = { .items = items, .count = count };

    for (size_t i = 0; i < count; i++)
        items[i].folder_fd = -1, items[i].is_named = false;
    pthread_mutex_lock(&commits->lock);
    *commits->last = &request;
    commits->last = &request.next;
    while (!request.done) {
        if (commits->is_led)
            pthread_cond_wait(&commits->changed, &commits->lock);
        else
            lead(commits, &request);
    }
    pthread_mutex_unlock(&commits->lock);
    if (request.result < 0 && err != NULL)
        *err = request.error;
    return request.result;
}
