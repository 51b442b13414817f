/* SPDX-License-Identifier: MIT */
#include "fs/ops/question.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "fs/ops/faults.h"
#include "fs/ops/opens.h"
#include "fs/ops/task.h"
#include "fs/tree_mount/tree_set.h"

#define WATCH_MS 25
#define WATCHED_AFTER_MS 50
#define RETRY_MS 500 /* between tries at a server that is away */
#define GRACE_MS 500 /* what is below has the same deadline, and better words for it */
#define FAILURE_MS 1000

struct session_request *question_take(struct question *question)
{
    return take_pointer(&question->request);
}

static void unlink_parked(struct question *question)
{
    struct ops *ops = question->ops;

    pthread_mutex_lock(&ops->lock);
    if (question->previous != NULL)
        question->previous->next = question->next;
    else
        ops->parked = question->next;
    if (question->next != NULL)
        question->next->previous = question->previous;
    pthread_mutex_unlock(&ops->lock);
}

void question_end(struct question *question)
{
    question_note_answer(question->ops);
    buffers_give(question->ops->buffers, question->buffer, question->buffer_size);
    tree_mount_unref(question->mount);
    question->mount = NULL;
    question->buffer = NULL;
    if (!question->is_parked)
        return;
    unlink_parked(question);
    if (question->text != NULL)
        buf_release(question->text);
    memory_free(question->text);
    memory_free(question->own_name);
    memory_free(question);
}

void question_fail_code(struct question *question, int code)
{
    struct session_request *request = question_take(question);

    if (request != NULL)
        session_reply_error(request, faults_errno(code));
    question_end(question);
}

void question_fail(struct question *question, const struct error *err)
{
    question_note_failure(question, err);
    question_fail_code(question, err->code);
}

static void fail_posted(void *context)
{
    struct question *question = context;

    question_fail(question, &question->err);
}

void question_fail_later(struct question *question, const struct error *err)
{
    question->err = *err;
    question->post = (struct http_post){ .function = fail_posted, .context = question };
    http_loop_post_at(question->ops->options.loop, &question->post);
}

static void try_again(void *context)
{
    struct question *question = context;

    if (!question_is_over(question))
        question->again(question);
}

bool question_retry(struct question *question, const struct error *err,
                    void (*again)(struct question *question))
{
    uint64_t due_ms = clock_monotonic_ms() + RETRY_MS;

    if ((err->code != -EAGAIN && err->code != -ETIMEDOUT && err->code != -EIO) ||
        due_ms >= question->deadline_ms)
        return false;
    question->err = *err;
    question->again = again;
    question->timer = (struct http_timer){ .function = try_again, .context = question };
    return http_timer_set(question->ops->options.loop, &question->timer, due_ms) == 0;
}

bool question_is_over(struct question *question)
{
    if (question->request != NULL)
        return false;
    question_end(question);
    return true;
}

void question_remember_failure(struct ops *ops, uint64_t node, int result)
{
    pthread_mutex_lock(&ops->lock);
    ops->failed[ops->failed_next].node = node;
    ops->failed[ops->failed_next].until_ms = clock_monotonic_ms() + FAILURE_MS;
    ops->failed[ops->failed_next].result = result;
    ops->failed_next = (ops->failed_next + 1) % QUESTION_FAILED_READS;
    pthread_mutex_unlock(&ops->lock);
}

int question_recent_failure(struct ops *ops, uint64_t node)
{
    uint64_t now_ms = clock_monotonic_ms();
    int result = 0;

    pthread_mutex_lock(&ops->lock);
    for (size_t i = 0; i < QUESTION_FAILED_READS; i++)
        if (ops->failed[i].node == node && ops->failed[i].until_ms > now_ms)
            result = ops->failed[i].result;
    pthread_mutex_unlock(&ops->lock);
    return result;
}

void question_count(struct ops *ops, enum question_kind kind)
{
    atomic_fetch_add_explicit(&ops->requests[kind], 1, memory_order_relaxed);
}

void question_note_wait(struct question *question)
{
    struct ops *ops = question->ops;

    pthread_mutex_lock(&ops->lock);
    metric_histogram_add(&ops->waits, (clock_monotonic_ms() - question->asked_ms) * 1000);
    pthread_mutex_unlock(&ops->lock);
}

/* Answers, without ending it: whoever it waits for still comes back to it. */
static void look_at(struct question *question, uint64_t now_ms)
{
    static const struct error late = { -ETIMEDOUT, "no answer before the deadline" };

    if (question->request == NULL || now_ms - question->asked_ms < WATCHED_AFTER_MS)
        return;
    if (question->deadline_ms != UINT64_MAX && now_ms >= question->deadline_ms + GRACE_MS) {
        const struct error *why = question->err.code < 0 ? &question->err : &late;
        question_note_failure(question, why);
        if (question->kind == QUESTION_READ)
            question_remember_failure(question->ops, question->node, late.code);
        if (question->kind == QUESTION_READ)
            question_note_wait(question);
        session_reply_error(question_take(question), EIO);
    } else if (question->settle != NULL && now_ms >= question->patience_ms) {
        question->settle(question);
    } else if (task_is_killed(question->pid)) {
        session_reply_error(question_take(question), EINTR);
    }
}

/* On the loop's thread, where questions end too: none goes away meanwhile but by itself. */
static void watch(void *context)
{
    struct ops *ops = context;
    uint64_t now_ms = clock_monotonic_ms();
    struct question *question;

    pthread_mutex_lock(&ops->lock);
    question = ops->parked;
    pthread_mutex_unlock(&ops->lock);
    while (question != NULL) {
        struct question *next;
        look_at(question, now_ms);
        pthread_mutex_lock(&ops->lock);
        next = question->next;
        pthread_mutex_unlock(&ops->lock);
        question = next;
    }
    opens_watch(ops, now_ms);
    pthread_mutex_lock(&ops->lock);
    ops->watching = ops->parked != NULL && !ops->ended &&
                    http_timer_set(ops->options.loop, &ops->timer, now_ms + WATCH_MS) == 0;
    pthread_mutex_unlock(&ops->lock);
}

static void start_watch(void *context)
{
    struct ops *ops = context;

    if (http_timer_set(ops->options.loop, &ops->timer, clock_monotonic_ms() + WATCH_MS) < 0) {
        pthread_mutex_lock(&ops->lock);
        ops->watching = false;
        pthread_mutex_unlock(&ops->lock);
    }
}

static void link_parked(struct question *question)
{
    struct ops *ops = question->ops;

    pthread_mutex_lock(&ops->lock);
    question->next = ops->parked;
    if (ops->parked != NULL)
        ops->parked->previous = question;
    ops->parked = question;
    if (!ops->watching) {
        ops->watching = true;
        ops->timer.function = watch;
        ops->timer.context = ops;
        ops->watch_post = (struct http_post){ .function = start_watch, .context = ops };
        http_loop_post_at(ops->options.loop, &ops->watch_post);
    }
    pthread_mutex_unlock(&ops->lock);
}

struct question *question_park(struct question *question)
{
    struct question *parked = question;

    if (question->is_parked)
        return question;
    parked = memory_copy(question, sizeof(*question));
    if (parked != NULL && question->name != NULL)
        parked->own_name = memory_text(question->name);
    if (parked == NULL || (question->name != NULL && parked->own_name == NULL)) {
        memory_free(parked);
        question_fail_code(question, -ENOMEM);
        return NULL;
    }
    parked->name = parked->own_name;
    parked->is_parked = true;
    parked->asked_ms = session_request_asked_ms(parked->request);
    parked->deadline_ms = parked->asked_ms + parked->ops->options.deadline_ms;
    parked->pid = session_request_pid(parked->request);
    link_parked(parked);
    return parked;
}

static void go_on(struct question *question)
{
    switch (question->kind) {
    case QUESTION_READ:
        question_read(question);
        break;
    case QUESTION_OPEN:
        question_open(question);
        break;
    case QUESTION_XATTR_GET:
    case QUESTION_XATTR_LIST:
        question_xattr(question);
        break;
    case QUESTION_LOOKUP:
    case QUESTION_ATTRIBUTES:
    case QUESTION_LINK:
    case QUESTION_DIRECTORY:
    case QUESTION_STATFS:
        question_inside(question);
        break;
    }
}

static void open_tree(struct question *question);

static void tree_came(void *context, struct tree_mount *mount, uint32_t slot,
                      const struct error *err)
{
    static const struct error other = { -ESTALE, "the version has another tree now" };
    struct question *question = context;

    if (question_is_over(question))
        return;
    if (mount == NULL && question_retry(question, err, open_tree))
        return;
    if (mount == NULL || slot != question->place.slot) {
        question_fail(question, mount == NULL ? err : &other);
        return;
    }
    question->err = (struct error){ 0 };
    question->mount = tree_mount_ref(mount);
    go_on(question);
}

static void open_tree(struct question *question)
{
    struct question *parked = question_park(question);
    struct error err = { 0 };

    if (parked == NULL)
        return;
    if (tree_set_open(parked->ops->options.trees, parked->place.project, parked->place.app,
                      parked->place.version, parked->deadline_ms, tree_came, parked, &err) < 0)
        question_fail_later(parked, &err);
}

void question_begin(struct question *question)
{
    struct error err = { 0 };

    question_count(question->ops, question->kind);
    if (ids_find(question->ops->options.ids, question->node, &question->place, &err) < 0) {
        question_fail_code(question, -ESTALE);
        return;
    }
    /* What a version's directory itself is needs no tree, where names stand above it. */
    if (question->place.kind != IDS_IS_VERSION ||
        (question->place.index == 0 && question->kind == QUESTION_ATTRIBUTES &&
         question->node != SESSION_ROOT)) {
        question_above(question);
        return;
    }
    question->mount = tree_set_get(question->ops->options.trees, question->place.slot);
    if (question->mount == NULL)
        open_tree(question);
    else
        go_on(question);
}
