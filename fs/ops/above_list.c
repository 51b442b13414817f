/* SPDX-License-Identifier: MIT */
/* A directory above the versions: its list, and its time, which tells whether that has changed. */
#include <errno.h>

#include "common/base/clock.h"
#include "fs/catalog/catalog.h"
#include "fs/ops/above.h"
#include "fs/ops/question.h"

#define PATIENCE_MS 300 /* a directory's list may be a little old rather than wait longer */
#define SLOW_MS 10000   /* ... and after that nobody waits for a while */
#define FIRST_ITEM 2    /* positions 0 and 1 are "." and ".." */

static bool is_over(struct ops *ops, const uint64_t *until_ms)
{
    bool over;

    pthread_mutex_lock(&ops->lock);
    over = clock_monotonic_ms() >= *until_ms;
    pthread_mutex_unlock(&ops->lock);
    return over;
}

static bool may_wait(struct ops *ops)
{
    return is_over(ops, &ops->slow_until_ms);
}

static void note(struct ops *ops, uint64_t *until_ms)
{
    pthread_mutex_lock(&ops->lock);
    *until_ms = clock_monotonic_ms() + SLOW_MS;
    pthread_mutex_unlock(&ops->lock);
}

static void note_slow(struct ops *ops)
{
    note(ops, &ops->slow_until_ms);
}

static void reply_attributes(struct question *question, bool is_settled)
{
    struct session_request *request = question_take(question);
    bool fresh;
    int64_t ns =
        above_changed_ns(question->ops, question->place.project, question->place.app, &fresh);
    struct session_attributes attributes = attributes_above(question->ops, question->node, ns);

    if (request != NULL)
        session_reply_attributes(request, &attributes, fresh || is_settled ? ABOVE_NAME_S : 0);
}

static void attributes_came(void *context, struct catalog_list *list, const struct error *err)
{
    struct question *question = context;

    /* Without an answer the old time stands: nothing is known to have changed. */
    reply_attributes(question, true);
    question_end(question);
}

static void settle_attributes(struct question *question)
{
    note_slow(question->ops);
    reply_attributes(question, true);
}

static void tell_version(struct question *question)
{
    struct session_attributes attributes =
        attributes_version(question->ops, question->node,
                           above_version_time(question->ops, &question->place));

    session_reply_attributes(question_take(question), &attributes, SESSION_FOREVER);
    question_end(question);
}

void above_tell_attributes(struct question *question)
{
    struct question *parked;
    bool fresh;

    if (question->place.kind == IDS_IS_VERSION) {
        tell_version(question);
        return;
    }
    catalog_list_unref(above_peek(question, &fresh));
    if (fresh || !may_wait(question->ops)) {
        if (!fresh)
            above_refresh(question);
        reply_attributes(question, true);
        question_end(question);
        return;
    }
    parked = question_park(question);
    if (parked == NULL)
        return;
    parked->settle = settle_attributes;
    parked->patience_ms = parked->asked_ms + PATIENCE_MS;
    above_ask_list(parked, attributes_came);
}

static bool add_dots(struct session_listing *listing, const struct question *question, uint64_t *at)
{
    struct session_entry own = { attributes_above(question->ops, question->node, 0), 0, 0 };
    struct session_entry above = {
        attributes_above(question->ops, question_parent(question, NULL), 0), 0, 0
    };

    if (*at == 0 && !session_listing_add(listing, ".", 1, &own))
        return false;
    if (*at <= 1 && !session_listing_add(listing, "..", FIRST_ITEM, &above))
        return false;
    if (*at < FIRST_ITEM)
        *at = FIRST_ITEM;
    return true;
}

/* The position behind an item is its node: it stays right when the list changes between two
 * calls. */
static void reply_list(struct question *question, const struct catalog_list *list)
{
    struct session_request *request = question_take(question);
    struct session_listing *listing;
    const struct catalog_item *item;
    uint64_t at = question->offset;

    if (session_listing_begin(request, question->size, &listing) < 0) {
        session_reply_error(request, ENOMEM);
        return;
    }
    if (add_dots(listing, question, &at)) {
        while ((item = catalog_list_after(list, at - FIRST_ITEM)) != NULL) {
            struct session_entry entry = above_entry(question, item);
            if (!session_listing_add(listing, item->name, item->node + FIRST_ITEM, &entry))
                break;
            at = item->node + FIRST_ITEM;
        }
    }
    session_listing_reply(listing);
}

/* The last list, or what is known; false: neither, or nothing may be shown. A server that was
 * silent until the deadline is not waited for again soon. */
static bool reply_old_list(struct question *question, bool was_silent)
{
    struct catalog_list *list = NULL;
    bool fresh;

    if (above_is_denied(question->ops))
        return false;
    list = above_peek(question, &fresh);
    if (list == NULL)
        list = above_known(question);
    if (list == NULL)
        return false;
    if (was_silent)
        note(question->ops, &question->ops->silent_until_ms);
    reply_list(question, list);
    catalog_list_unref(list);
    return true;
}

static void ask_listing(struct question *question);

static void listing_came(void *context, struct catalog_list *list, const struct error *err)
{
    struct question *question = context;

    if (question_is_over(question))
        return;
    if (list != NULL && !above_is_denied(question->ops)) {
        reply_list(question, list);
    } else if (!reply_old_list(question, err->code == -ETIMEDOUT)) {
        if (!question_retry(question, err, ask_listing))
            question_fail(question, err);
        return;
    }
    question_end(question);
}

static void ask_listing(struct question *question)
{
    above_ask_list(question, listing_came);
}

static void settle_late(struct question *question)
{
    question->settle = NULL;
    reply_old_list(question, true);
}

static void settle_listing(struct question *question)
{
    bool fresh;
    struct catalog_list *list = above_peek(question, &fresh);

    question->settle = settle_late;
    question->patience_ms = question->deadline_ms;
    if (list != NULL) {
        question->settle = NULL;
        note_slow(question->ops);
        reply_list(question, list);
    }
    catalog_list_unref(list);
}

/* What may be shown without waiting: the last list, or, of a server that is silent, what is known
 * without one. */
static struct catalog_list *list_at_hand(const struct question *question, bool *out_fresh)
{
    struct catalog_list *list = above_peek(question, out_fresh);

    if (list == NULL && !is_over(question->ops, &question->ops->silent_until_ms))
        return above_known(question);
    if (list != NULL && !*out_fresh && question->offset == 0 && may_wait(question->ops))
        return catalog_list_unref(list);
    return list;
}

void above_show_list(struct question *question)
{
    bool fresh;
    struct catalog_list *list = list_at_hand(question, &fresh);
    struct question *parked;

    if (list != NULL) {
        if (!fresh)
            above_refresh(question);
        reply_list(question, list);
        question_end(question);
    } else if ((parked = question_park(question)) != NULL) {
        parked->settle = settle_listing;
        parked->patience_ms = parked->asked_ms + PATIENCE_MS;
        ask_listing(parked);
    }
    catalog_list_unref(list);
}
