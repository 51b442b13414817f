/* SPDX-License-Identifier: MIT */
#include "fs/ops/opens.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_cache.h"
#include "common/codec/json.h"
#include "fs/ops/opens_private.h"

#define CHECKS_QUEUE 64

int ops_use_opens(struct ops *ops, const struct ops_opens *options, struct error *err)
{
    struct opens *opens = memory_new(sizeof(*opens));
    int r;

    if (opens == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    opens->ops = ops;
    opens->options = *options;
    opens->held = map_init();
    pthread_mutex_init(&opens->lock, NULL);
    if (!options->passes && ops->options.without_passthrough != NULL)
        (void)snprintf(opens->why, sizeof(opens->why), "%s", ops->options.without_passthrough);
    r = workers_new(&opens->checkers, 1, CHECKS_QUEUE, err);
    if (r < 0)
        opens_free(opens);
    else
        ops->opens = opens;
    return r;
}

/* What the table says (locked) ---------------------------------------------- */

bool opens_grant_known(struct opens *opens, struct question *question)
{
    struct open_table *table = opens->options.table;

    question->open.is_old =
        question->open.repeated &&
        open_table_find(table, question->node, question->open.number, &question->open.grant);
    return question->open.is_old ||
           open_table_join(table, question->node, question->open.number, &question->open.grant);
}

void opens_grant_cached(struct opens *opens, struct question *question)
{
    question->open.grant =
        open_table_cached(opens->options.table, question->node, question->open.number);
}

/* What cannot be said now is said with the next one; what never is, the holder finds out when this
 * process has ended. */
static void close_backing(struct opens *opens, uint32_t id)
{
    if (id != 0 && opens->closing_count < CLOSING_MAX)
        opens->closing[opens->closing_count++] = id;
    if (opens->closing_count > 0 &&
        opens->options.backing_close(opens->options.context, opens->closing,
                                     opens->closing_count) != -EAGAIN)
        opens->closing_count = 0;
}

/* The entry that nobody has to keep any more, or NULL. */
static struct blob_entry *release_locked(struct opens *opens, uint64_t node, uint64_t handle)
{
    uint32_t unused;

    open_table_release(opens->options.table, node, handle, &unused);
    if (unused == 0)
        return NULL;
    close_backing(opens, unused);
    return map_remove(&opens->held, span_of(&node, sizeof(node)));
}

/* The object stays in the cache; when there is no memory for that, it may go, and the kernel still
 * has the file. */
static void hold_entry(struct opens *opens, uint64_t node, struct blob_entry *entry)
{
    if (map_set(&opens->held, span_of(&node, sizeof(node)), entry, NULL) == 0)
        blob_entry_ref(entry);
}

struct asked *opens_asked_of(struct opens *opens, uint64_t node)
{
    struct asked *asked = opens->asked;

    while (asked != NULL && asked->node != node)
        asked = asked->next;
    return asked;
}

struct asked *opens_asked_numbered(struct opens *opens, uint64_t number)
{
    struct asked *asked = opens->asked;

    while (asked != NULL && asked->number != number)
        asked = asked->next;
    return asked;
}

void opens_unlink_asked(struct opens *opens, struct asked *asked)
{
    struct asked **at = &opens->asked;

    while (*at != asked)
        at = &(*at)->next;
    *at = asked->next;
    opens->asked_count--;
}

/* Answers ------------------------------------------------------------------- */

void opens_release(struct ops *ops, uint64_t node, uint64_t handle)
{
    struct opens *opens = ops->opens;
    struct blob_entry *entry;

    pthread_mutex_lock(&opens->lock);
    entry = release_locked(opens, node, handle);
    pthread_mutex_unlock(&opens->lock);
    blob_entry_unref(entry);
}

/* What was written down stands there before the kernel has it. A request that is gone was opened
 * by nobody; but for one that a process before may have answered. */
static void answer(struct question *question)
{
    struct open_grant grant = question->open.grant;
    struct session_request *request = question_take(question);

    if (!session_reply_open(request, grant.handle, grant.backing) && !question->open.is_old)
        opens_release(question->ops, question->node, grant.handle);
}

void opens_reply(struct question *question)
{
    answer(question);
    question_end(question);
}

void opens_settle(struct question *question)
{
    struct opens *opens = question->ops->opens;

    pthread_mutex_lock(&opens->lock);
    if (!opens_grant_known(opens, question))
        opens_grant_cached(opens, question);
    pthread_mutex_unlock(&opens->lock);
    answer(question);
}

bool opens_answer_known(struct question *question)
{
    struct opens *opens = question->ops->opens;
    bool known;

    pthread_mutex_lock(&opens->lock);
    known = opens_grant_known(opens, question);
    pthread_mutex_unlock(&opens->lock);
    if (known)
        opens_reply(question);
    return known;
}

/* Those who still wait get the same way, all at once: a release in between would end it (locked).
 * True: the id is theirs. */
static bool grant_all(struct opens *opens, struct asked *asked, uint32_t id)
{
    bool used = false;

    for (struct question *at = asked->waiting; at != NULL; at = at->open.next) {
        if (at->request == NULL || opens_grant_known(opens, at))
            continue;
        if (id != 0 && open_table_passed(opens->options.table, at->node, at->open.number, id,
                                         &at->open.grant) == 0) {
            hold_entry(opens, asked->node, asked->entry);
            used = true;
        } else {
            opens_grant_cached(opens, at);
        }
        id = 0; /* also when that one could not be written down: its file is open, one way */
    }
    return used;
}

/* Loop thread, like those who wait. */
static void answer_all(struct asked *asked)
{
    struct question *at = asked->waiting;

    while (at != NULL) {
        struct question *next = at->open.next;
        if (at->request != NULL)
            opens_reply(at);
        else
            question_end(at);
        at = next;
    }
    blob_entry_unref(asked->entry);
    memory_free(asked);
}

/* Reasons that will not pass. */
static const char *lasting_reason(int result)
{
    switch (result) {
    case -ELOOP:
        return "the cache lies on a stacked file system, such as overlayfs";
    case -EPERM:
        return "the kernel does not let the holder register files";
    case -EOPNOTSUPP:
        return "the cache's file system cannot do it";
    case -EPIPE:
        return "the holder is gone";
    default:
        return NULL;
    }
}

/* Locked. True: it is to be logged, once. */
static bool note_reason(struct opens *opens, int result)
{
    const char *reason = lasting_reason(result);

    if (reason == NULL || opens->why[0] != '\0')
        return false;
    (void)snprintf(opens->why, sizeof(opens->why), "%s", reason);
    return true;
}

void ops_backing_came(struct ops *ops, uint64_t number, int result, uint32_t id)
{
    struct opens *opens = ops->opens;
    struct asked *asked;
    bool is_news;

    if (opens == NULL)
        return;
    pthread_mutex_lock(&opens->lock);
    asked = opens_asked_numbered(opens, number);
    is_news = note_reason(opens, result) && number != OPS_BACKING_PROBE;
    if (asked != NULL)
        opens_unlink_asked(opens, asked);
    if ((asked == NULL || !grant_all(opens, asked, result == 0 ? id : 0)) && result == 0)
        close_backing(opens, id); /* too late */
    pthread_mutex_unlock(&opens->lock);
    if (is_news)
        log_warning("no passthrough: %s; files are read through the page cache", opens->why);
    if (asked != NULL)
        answer_all(asked);
}

void opens_watch(struct ops *ops, uint64_t now_ms)
{
    struct opens *opens = ops->opens;
    struct asked *late = NULL, *next;

    if (opens == NULL)
        return;
    pthread_mutex_lock(&opens->lock);
    for (struct asked *at = opens->asked; at != NULL; at = next) {
        next = at->next;
        if (now_ms - at->since_ms < OPENS_PATIENCE_MS)
            continue;
        if (at->sent)
            opens->slow_until_ms = now_ms + OPENS_SLOW_MS;
        opens_unlink_asked(opens, at);
        grant_all(opens, at, 0);
        at->next = late;
        late = at;
    }
    pthread_mutex_unlock(&opens->lock);
    for (; late != NULL; late = next) {
        next = late->next;
        answer_all(late);
    }
}

/* Status and end ------------------------------------------------------------ */

void ops_without_passthrough(struct ops *ops, char out[ERROR_TEXT_SIZE])
{
    const char *why = ops->options.without_passthrough;

    if (ops->opens != NULL) {
        pthread_mutex_lock(&ops->opens->lock);
        (void)snprintf(out, ERROR_TEXT_SIZE, "%s", ops->opens->why);
        pthread_mutex_unlock(&ops->opens->lock);
    } else {
        (void)snprintf(out, ERROR_TEXT_SIZE, "%s", why != NULL ? why : "");
    }
}

void opens_status_json(struct ops *ops, struct json_writer *writer)
{
    struct open_table_counts counts = { 0 };
    char why[ERROR_TEXT_SIZE];

    ops_without_passthrough(ops, why);
    if (ops->opens != NULL) {
        pthread_mutex_lock(&ops->opens->lock);
        counts = open_table_count(ops->opens->options.table);
        pthread_mutex_unlock(&ops->opens->lock);
    }
    json_begin_object(writer, "passthrough");
    json_bool(writer, "holds", why[0] == '\0');
    json_bool(writer, "wanted", ops->options.wants_passthrough);
    json_text(writer, "why", why);
    json_integer(writer, "opens", (int64_t)counts.passed);
    json_integer(writer, "files", (int64_t)counts.backings);
    json_integer(writer, "cached_opens", (int64_t)counts.cached);
    json_integer(writer, "reads", (int64_t)atomic_load(&ops->requests[QUESTION_READ]));
    json_end(writer);
}

void opens_end(struct ops *ops)
{
    struct opens *opens = ops->opens;
    struct asked *asked, *next;

    if (opens == NULL)
        return;
    atomic_store(&opens->ended, true);
    opens->checkers = workers_free(opens->checkers);
    pthread_mutex_lock(&opens->lock);
    asked = opens->asked;
    opens->asked = NULL;
    opens->asked_count = 0;
    pthread_mutex_unlock(&opens->lock);
    for (; asked != NULL; asked = next) {
        next = asked->next;
        answer_all(asked);
    }
}

struct opens *opens_free(struct opens *opens)
{
    struct span key;
    size_t at = 0;
    void *entry;

    if (opens == NULL)
        return NULL;
    workers_free(opens->checkers);
    while (map_next(&opens->held, &at, &key, &entry))
        blob_entry_unref(entry);
    map_release(&opens->held);
    pthread_mutex_destroy(&opens->lock);
    return memory_free(opens);
}
