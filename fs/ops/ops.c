/* SPDX-License-Identifier: MIT */
#include "fs/ops/ops.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/client/known_versions.h"
#include "common/model/names.h"
#include "fs/catalog/catalog_list.h"
#include "fs/ops/faults.h"
#include "fs/ops/opens.h"
#include "fs/ops/question.h"
#include "fs/ops/siblings.h"
#include "fs/tree_mount/tree_set.h"

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int ops_new(struct ops **out_ops, const struct ops_options *options, struct error *err)
{
    struct ops *ops = memory_new(sizeof(*ops));

    if (ops == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    ops->options = *options;
    ops->started_ns = realtime_ns();
    pthread_mutex_init(&ops->lock, NULL);
    ops->faults = faults_new();
    ops->buffers = buffers_new();
    if (options->fetches_siblings)
        ops->siblings = siblings_new(options->loop, options->engine);
    if (ops->faults == NULL || ops->buffers == NULL ||
        (options->fetches_siblings && ops->siblings == NULL)) {
        ops_free(ops);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out_ops = ops;
    return 0;
}

void ops_end(struct ops *ops)
{
    struct question *question;

    if (ops == NULL)
        return;
    pthread_mutex_lock(&ops->lock);
    ops->ended = true;
    question = ops->parked;
    pthread_mutex_unlock(&ops->lock);
    http_timer_clear(ops->options.loop, &ops->timer);
    for (; question != NULL; question = question->next)
        if (question->request != NULL)
            session_reply_error(question_take(question), EIO);
    opens_end(ops);
}

bool ops_is_idle(struct ops *ops)
{
    bool idle;

    pthread_mutex_lock(&ops->lock);
    idle = ops->parked == NULL;
    pthread_mutex_unlock(&ops->lock);
    return idle;
}

struct ops *ops_free(struct ops *ops)
{
    if (ops == NULL)
        return NULL;
    opens_free(ops->opens);
    siblings_free(ops->siblings);
    faults_free(ops->faults);
    buffers_free(ops->buffers);
    pthread_mutex_destroy(&ops->lock);
    return memory_free(ops);
}

int ops_number(void *context, const char *project, const char *app, const struct catalog_item *item,
               uint64_t *out_node)
{
    struct ops_numbers *numbers = context;
    uint32_t slot;
    int r;

    if (!item->is_version)
        return ids_above(numbers->ids, project != NULL ? project : item->name,
                         project != NULL ? item->name : NULL, out_node, NULL);
    r = ops_slot(numbers, project, app, item->name, &item->tree, &slot, NULL);
    if (r == 0)
        *out_node = ids_node(slot, 0);
    return r;
}

int ops_slot(void *context, const char *project, const char *app, const char *version,
             const struct digest *tree, uint32_t *out_slot, struct error *err)
{
    struct ops_numbers *numbers = context;
    struct known_version fact;

    if (known_versions_get(numbers->known, project, app, version, &fact, NULL) == 0)
        tree = &fact.tree;
    return ids_slot(numbers->ids, project, app, version, tree, out_slot, err);
}

static void lookup(void *context, struct session_request *request, uint64_t parent,
                   const char *name)
{
    struct question question = {
        .ops = context, .request = request, .kind = QUESTION_LOOKUP, .node = parent, .name = name
    };

    if (strlen(name) > COMPONENT_MAX_SIZE)
        session_reply_error(request, ENAMETOOLONG);
    else
        question_begin(&question);
}

static void attributes(void *context, struct session_request *request, uint64_t node)
{
    struct question question = {
        .ops = context, .request = request, .kind = QUESTION_ATTRIBUTES, .node = node
    };

    question_begin(&question);
}

static void read_link(void *context, struct session_request *request, uint64_t node)
{
    struct question question = {
        .ops = context, .request = request, .kind = QUESTION_LINK, .node = node
    };

    question_begin(&question);
}

static void read_file(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    struct question question = { .ops = context,
                                 .request = request,
                                 .kind = QUESTION_READ,
                                 .node = node,
                                 .offset = offset,
                                 .size = size };

    question_begin(&question);
}

static void open_file(void *context, struct session_request *request, uint64_t node)
{
    struct question question = { .ops = context,
                                 .request = request,
                                 .kind = QUESTION_OPEN,
                                 .node = node,
                                 .settle = opens_settle,
                                 .patience_ms = clock_monotonic_ms() + OPENS_PATIENCE_MS,
                                 .open = { .number = session_request_number(request),
                                           .repeated = session_request_is_repeated(request) } };

    if (opens_answer_known(&question))
        question_count(context, QUESTION_OPEN);
    else
        question_begin(&question);
}

static void release_file(void *context, uint64_t node, uint64_t handle)
{
    opens_release(context, node, handle);
}

static void directory(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    struct question question = { .ops = context,
                                 .request = request,
                                 .kind = QUESTION_DIRECTORY,
                                 .node = node,
                                 .offset = offset,
                                 .size = size };

    question_begin(&question);
}

static int add_up(void *context, const struct tree_set_version *version)
{
    struct session_statfs *sums = context;

    sums->bytes += version->bytes;
    sums->files += version->file_count;
    return 0;
}

/* What was shown so far is what is used; free is what the cache's disk has: a disk that is always
 * full would alarm whoever watches disks. */
static void tell_statfs(void *context, struct session_request *request)
{
    struct ops *ops = context;
    struct session_statfs sums = { .bytes = 0 };

    question_count(ops, QUESTION_STATFS);
    tree_set_walk(ops->options.trees, add_up, &sums);
    if (file_free_space(ops->options.cache_path, &sums.bytes_free, NULL) == 0)
        sums.bytes += sums.bytes_free;
    session_reply_statfs(request, &sums);
}

static void xattr_get(void *context, struct session_request *request, uint64_t node,
                      const char *name, uint32_t size)
{
    struct question question = { .ops = context,
                                 .request = request,
                                 .kind = QUESTION_XATTR_GET,
                                 .node = node,
                                 .name = name,
                                 .size = size };

    question_begin(&question);
}

static void xattr_list(void *context, struct session_request *request, uint64_t node, uint32_t size)
{
    struct question question = {
        .ops = context, .request = request, .kind = QUESTION_XATTR_LIST, .node = node, .size = size
    };

    question_begin(&question);
}

const struct session_ops ops_table = {
    .lookup = lookup,
    .attributes = attributes,
    .link = read_link,
    .read = read_file,
    .open = open_file,
    .release = release_file,
    .directory = directory,
    .statfs = tell_statfs,
    .xattr_get = xattr_get,
    .xattr_list = xattr_list,
};
