/* SPDX-License-Identifier: MIT */
/*
 * Above the versions. What is known is shown at once and asked for again behind; only a name that
 * nobody knows waits for the server.
 */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/client/known_versions.h"
#include "common/model/names.h"
#include "fs/catalog/catalog.h"
#include "fs/catalog/catalog_fetch.h"
#include "fs/ops/question.h"
#include "fs/tree_mount/tree_set.h"

#define NAME_S 1.0 /* how long the kernel believes a name above a version, or that there is none */
#define PATIENCE_MS 300 /* a directory's list may be a little old rather than wait longer */
#define SLOW_MS 10000   /* ... and after that nobody waits for a while */
#define FIRST_ITEM 2    /* positions 0 and 1 are "." and ".." */

/* The place whose list answers, and what its names are. */
static enum name_kind kind_below(const struct ids_place *place)
{
    return place->kind == IDS_IS_ROOT      ? NAME_PROJECT
           : place->kind == IDS_IS_PROJECT ? NAME_APP
                                           : NAME_VERSION;
}

static struct catalog_list *peek(const struct question *question, bool *out_fresh)
{
    return catalog_peek(question->ops->options.catalog, question->place.project,
                        question->place.app, out_fresh);
}

static void refresh(const struct question *question)
{
    const struct ops_options *options = &question->ops->options;

    catalog_refresh(options->catalog, question->place.project, question->place.app,
                    clock_monotonic_ms() + options->deadline_ms);
}

static bool is_denied(const struct ops *ops)
{
    int last = catalog_last_result(ops->options.catalog);

    return ops->options.strict_auth && (last == -EPERM || last == -EACCES);
}

static struct ops_numbers numbers_of(const struct question *question)
{
    return (struct ops_numbers){ question->ops->options.ids, question->ops->options.known };
}

struct sealing {
    const struct question *question;
    const char *project, *app;
};

static int number_below(void *context, const struct catalog_item *item, uint64_t *out_node)
{
    struct sealing *sealing = context;
    struct ops_numbers numbers = numbers_of(sealing->question);

    return ops_number(&numbers, sealing->project, sealing->app, item, out_node);
}

/* What is known there, as a list; NULL: nothing. */
static struct catalog_list *known_below(const struct question *question)
{
    struct sealing sealing = { question, question->place.project, question->place.app };
    struct catalog_list *list = NULL;

    if (catalog_known(question->ops->options.known, sealing.project, sealing.app, &list, NULL) < 0)
        return NULL;
    if (catalog_list_seal(list, number_below, &sealing, (int64_t)question->ops->started_ns) < 0)
        return catalog_list_unref(list);
    return list;
}

/* The time that a directory above shows. */
static int64_t changed_ns(const struct ops *ops, const char *project, const char *app,
                          bool *out_fresh)
{
    struct catalog_list *list = catalog_peek(ops->options.catalog, project, app, out_fresh);
    int64_t ns = list != NULL ? catalog_list_changed_ns(list) : (int64_t)ops->started_ns;

    catalog_list_unref(list);
    return ns;
}

/* The entry of an item below the question's node. */
static struct session_entry entry_of(const struct question *question,
                                     const struct catalog_item *item)
{
    const struct ops *ops = question->ops;
    struct session_entry entry = { .entry_s = NAME_S };
    const char *project = question->place.project;
    bool fresh;
    int64_t ns;

    if (item->is_version) {
        entry.attributes = attributes_version(ops, item->node, item->created_at_s);
        entry.attributes_s = SESSION_FOREVER;
        return entry;
    }
    ns = changed_ns(ops, project != NULL ? project : item->name,
                    project != NULL ? item->name : NULL, &fresh);
    entry.attributes = attributes_above(ops, item->node, ns);
    /* Its list is old: whoever goes in asks first, and so learns whether it has changed. */
    entry.attributes_s = fresh ? NAME_S : 0;
    return entry;
}

static void reply_entry(struct question *question, const struct session_entry *entry)
{
    struct session_request *request = question_take(question);

    if (request != NULL)
        session_reply_entry(request, entry);
    question_end(question);
}

static void reply_none(struct question *question)
{
    struct session_entry none = { .entry_s = NAME_S };

    reply_entry(question, &none);
}

static void reply_item(struct question *question, const struct catalog_item *item)
{
    struct session_entry entry = entry_of(question, item);

    reply_entry(question, &entry);
}

/* When a version was made, from whoever knows. */
static int64_t version_time(const struct ops *ops, const struct ids_place *place)
{
    struct tree_mount *mount = tree_set_get(ops->options.trees, place->slot);
    struct known_version fact;
    struct catalog_list *list;
    const struct catalog_item *item;
    int64_t time_s = 0;
    bool fresh;

    list = catalog_peek(ops->options.catalog, place->project, place->app, &fresh);
    item = list != NULL ? catalog_list_find(list, place->version) : NULL;
    if (item != NULL)
        time_s = item->created_at_s;
    else if (mount != NULL)
        time_s = tree_mount_view(mount)->manifest_mtime;
    else if (known_versions_get(ops->options.known, place->project, place->app, place->version,
                                &fact, NULL) == 0)
        time_s = fact.seen_at_s;
    catalog_list_unref(list);
    tree_mount_unref(mount);
    return time_s;
}

static void reply_version(struct question *question, uint32_t slot)
{
    struct ids_place place = question->place;
    struct session_entry entry = { .entry_s = NAME_S, .attributes_s = SESSION_FOREVER };

    place.version = question->name;
    place.slot = slot;
    entry.attributes =
        attributes_version(question->ops, ids_node(slot, 0), version_time(question->ops, &place));
    reply_entry(question, &entry);
}

static void ask_version(struct question *question);

static void version_came(void *context, struct tree_mount *mount, uint32_t slot,
                         const struct error *err)
{
    struct question *question = context;

    if (question_is_over(question))
        return;
    if (mount != NULL)
        reply_version(question, slot);
    else if (err->code == -ENOENT || err->code == -ESTALE)
        reply_none(question);
    else if (!question_retry(question, err, ask_version))
        question_fail(question, err);
}

static void ask_version(struct question *question)
{
    struct question *parked = question_park(question);
    struct error err = { 0 };

    if (parked != NULL &&
        tree_set_open(parked->ops->options.trees, parked->place.project, parked->place.app,
                      parked->name, parked->deadline_ms, version_came, parked, &err) < 0)
        question_fail_later(parked, &err);
}

static void ask_name(struct question *question);

static void list_came(void *context, struct catalog_list *list, const struct error *err)
{
    struct question *question = context;
    const struct catalog_item *item;

    if (question_is_over(question))
        return;
    if (list == NULL && err->code != -ENOENT && err->code != -ESTALE) {
        if (!question_retry(question, err, ask_name))
            question_fail(question, err);
        return;
    }
    item = list != NULL ? catalog_list_find(list, question->name) : NULL;
    if (item != NULL)
        reply_item(question, item);
    else
        reply_none(question);
}

static void ask_list(struct question *question, catalog_done *done)
{
    struct question *parked = question_park(question);
    struct error err = { 0 };

    if (parked != NULL &&
        catalog_ask(parked->ops->options.catalog, parked->place.project, parked->place.app,
                    parked->deadline_ms, done, parked, &err) < 0)
        question_fail_later(parked, &err);
}

static void ask_name(struct question *question)
{
    ask_list(question, list_came);
}

/* True when it is known, and answered or on its way. */
static bool look_up_known(struct question *question)
{
    const struct ops_options *options = &question->ops->options;
    const struct ids_place *place = &question->place;
    struct ops_numbers numbers = numbers_of(question);
    struct catalog_list *list;
    const struct catalog_item *item = NULL;
    struct known_version fact;
    uint32_t slot;

    if (place->kind != IDS_IS_APP) {
        list = known_below(question);
        item = list != NULL ? catalog_list_find(list, question->name) : NULL;
        if (item != NULL)
            reply_item(question, item);
        catalog_list_unref(list);
        return item != NULL;
    }
    if (known_versions_get(options->known, place->project, place->app, question->name, &fact,
                           NULL) < 0 ||
        ops_slot(&numbers, place->project, place->app, question->name, &fact.tree, &slot, NULL) < 0)
        return false;
    if (tree_set_was_open(options->trees, slot))
        reply_version(question, slot);
    else
        ask_version(question); /* from the cache, without a request, when it is there */
    return true;
}

static void look_up(struct question *question)
{
    enum name_kind kind = kind_below(&question->place);
    const struct catalog_item *item;
    struct catalog_list *list;
    bool fresh;

    if (name_check(kind, span_text(question->name), NULL) < 0) {
        reply_none(question);
        return;
    }
    list = peek(question, &fresh);
    item = list != NULL ? catalog_list_find(list, question->name) : NULL;
    if (list != NULL && !fresh)
        refresh(question);
    if (item != NULL)
        reply_item(question, item);
    else if (look_up_known(question))
        item = NULL; /* answered */
    else if (kind == NAME_VERSION)
        ask_version(question);
    else
        ask_name(question);
    catalog_list_unref(list);
}

static void reply_attributes(struct question *question, bool is_settled)
{
    struct session_request *request = question_take(question);
    bool fresh;
    int64_t ns = changed_ns(question->ops, question->place.project, question->place.app, &fresh);
    struct session_attributes attributes = attributes_above(question->ops, question->node, ns);

    if (request != NULL)
        session_reply_attributes(request, &attributes, fresh || is_settled ? NAME_S : 0);
}

static void attributes_came(void *context, struct catalog_list *list, const struct error *err)
{
    struct question *question = context;

    /* Without an answer the old time stands: nothing is known to have changed. */
    reply_attributes(question, true);
    question_end(question);
}

static bool may_wait(struct ops *ops)
{
    bool may;

    pthread_mutex_lock(&ops->lock);
    may = clock_monotonic_ms() >= ops->slow_until_ms;
    pthread_mutex_unlock(&ops->lock);
    return may;
}

static void note_slow(struct ops *ops)
{
    pthread_mutex_lock(&ops->lock);
    ops->slow_until_ms = clock_monotonic_ms() + SLOW_MS;
    pthread_mutex_unlock(&ops->lock);
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
                           version_time(question->ops, &question->place));

    session_reply_attributes(question_take(question), &attributes, SESSION_FOREVER);
    question_end(question);
}

static void tell_attributes(struct question *question)
{
    struct question *parked;
    bool fresh;

    if (question->place.kind == IDS_IS_VERSION) {
        tell_version(question);
        return;
    }
    catalog_list_unref(peek(question, &fresh));
    if (fresh || !may_wait(question->ops)) {
        if (!fresh)
            refresh(question);
        reply_attributes(question, true);
        question_end(question);
        return;
    }
    parked = question_park(question);
    if (parked == NULL)
        return;
    parked->settle = settle_attributes;
    parked->patience_ms = parked->asked_ms + PATIENCE_MS;
    ask_list(parked, attributes_came);
}

static uint64_t node_above(const struct question *question)
{
    uint64_t node = IDS_ROOT;

    if (question->place.kind == IDS_IS_APP)
        ids_above(question->ops->options.ids, question->place.project, NULL, &node, NULL);
    return node;
}

static bool add_dots(struct session_listing *listing, const struct question *question, uint64_t *at)
{
    struct session_entry own = { attributes_above(question->ops, question->node, 0), 0, 0 };
    struct session_entry above = { attributes_above(question->ops, node_above(question), 0), 0, 0 };

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
            struct session_entry entry = entry_of(question, item);
            if (!session_listing_add(listing, item->name, item->node + FIRST_ITEM, &entry))
                break;
            at = item->node + FIRST_ITEM;
        }
    }
    session_listing_reply(listing);
}

/* The last list, or what is known; false: neither. */
static bool reply_old_list(struct question *question)
{
    bool fresh;
    struct catalog_list *list = peek(question, &fresh);

    if (list == NULL)
        list = known_below(question);
    if (list == NULL)
        return false;
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
    if (list != NULL && !is_denied(question->ops)) {
        reply_list(question, list);
    } else if (is_denied(question->ops) || !reply_old_list(question)) {
        if (!question_retry(question, err, ask_listing))
            question_fail(question, err);
        return;
    }
    question_end(question);
}

static void ask_listing(struct question *question)
{
    ask_list(question, listing_came);
}

static void settle_listing(struct question *question)
{
    bool fresh;
    struct catalog_list *list = peek(question, &fresh);

    question->settle = NULL;
    if (list != NULL) {
        note_slow(question->ops);
        reply_list(question, list);
    }
    catalog_list_unref(list);
}

static void show_list(struct question *question)
{
    bool fresh;
    struct catalog_list *list = peek(question, &fresh);
    struct question *parked;

    if (list != NULL && (fresh || question->offset != 0 || !may_wait(question->ops))) {
        if (!fresh)
            refresh(question);
        reply_list(question, list);
        question_end(question);
    } else if ((parked = question_park(question)) != NULL) {
        parked->settle = settle_listing;
        parked->patience_ms = parked->asked_ms + PATIENCE_MS;
        ask_listing(parked);
    }
    catalog_list_unref(list);
}

void question_above(struct question *question)
{
    if (is_denied(question->ops) && question->kind != QUESTION_ATTRIBUTES) {
        refresh(question);
        question_fail_code(question, -EACCES);
        return;
    }
    switch (question->kind) {
    case QUESTION_LOOKUP:
        look_up(question);
        break;
    case QUESTION_ATTRIBUTES:
        tell_attributes(question);
        break;
    case QUESTION_DIRECTORY:
        show_list(question);
        break;
    case QUESTION_XATTR_GET:
        question_fail_code(question, -ENODATA);
        break;
    case QUESTION_XATTR_LIST:
        session_reply_xattr_size(question_take(question), 0);
        question_end(question);
        break;
    case QUESTION_LINK:
    case QUESTION_READ:
        question_fail_code(question, -EISDIR);
        break;
    }
}
