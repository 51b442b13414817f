/* SPDX-License-Identifier: MIT */
/* A name above the versions: known, asked for, or none. */
#include <errno.h>

#include "common/client/known_versions.h"
#include "common/model/names.h"
#include "fs/catalog/catalog.h"
#include "fs/ops/above.h"
#include "fs/ops/question.h"
#include "fs/tree_mount/tree_set.h"

/* The place whose list answers, and what its names are. */
static enum name_kind kind_below(const struct ids_place *place)
{
    return place->kind == IDS_IS_ROOT      ? NAME_PROJECT
           : place->kind == IDS_IS_PROJECT ? NAME_APP
                                           : NAME_VERSION;
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
    struct session_entry none = { .entry_s = ABOVE_NAME_S };

    reply_entry(question, &none);
}

static void reply_item(struct question *question, const struct catalog_item *item)
{
    struct session_entry entry = above_entry(question, item);

    reply_entry(question, &entry);
}

static void reply_version(struct question *question, uint32_t slot)
{
    struct ids_place place = question->place;
    struct session_entry entry = { .entry_s = ABOVE_NAME_S, .attributes_s = SESSION_FOREVER };

    place.version = question->name;
    place.slot = slot;
    entry.attributes = attributes_version(question->ops, ids_node(slot, 0),
                                          above_version_time(question->ops, &place));
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

static void ask_name(struct question *question)
{
    above_ask_list(question, list_came);
}

/* True when it is known, and answered or on its way. */
static bool look_up_known(struct question *question)
{
    const struct ops_options *options = &question->ops->options;
    const struct ids_place *place = &question->place;
    struct ops_numbers numbers = above_numbers(question);
    struct catalog_list *list;
    const struct catalog_item *item = NULL;
    struct known_version fact;
    uint32_t slot;

    if (place->kind != IDS_IS_APP) {
        list = above_known(question);
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

void above_look_up(struct question *question)
{
    enum name_kind kind = kind_below(&question->place);
    const struct catalog_item *item;
    struct catalog_list *list;
    bool fresh;

    if (name_check(kind, span_text(question->name), NULL) < 0) {
        reply_none(question);
        return;
    }
    list = above_peek(question, &fresh);
    item = list != NULL ? catalog_list_find(list, question->name) : NULL;
    if (list != NULL && !fresh)
        above_refresh(question);
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
