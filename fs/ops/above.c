/* SPDX-License-Identifier: MIT */
/*
 * Above the versions. What is known is shown at once and asked for again behind; only a name that
 * nobody knows waits for the server.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/client/known_versions.h"
#include "fs/catalog/catalog.h"
#include "fs/catalog/catalog_fetch.h"
#include "fs/ops/above.h"
#include "fs/ops/question.h"
#include "fs/tree_mount/tree_set.h"

struct catalog_list *above_peek(const struct question *question, bool *out_fresh)
{
    return catalog_peek(question->ops->options.catalog, question->place.project,
                        question->place.app, out_fresh);
}

void above_refresh(const struct question *question)
{
    const struct ops_options *options = &question->ops->options;

    catalog_refresh(options->catalog, question->place.project, question->place.app,
                    clock_monotonic_ms() + options->deadline_ms);
}

bool above_is_denied(const struct ops *ops)
{
    int last = catalog_last_result(ops->options.catalog);

    return ops->options.strict_auth && (last == -EPERM || last == -EACCES);
}

struct ops_numbers above_numbers(const struct question *question)
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
    struct ops_numbers numbers = above_numbers(sealing->question);

    return ops_number(&numbers, sealing->project, sealing->app, item, out_node);
}

struct catalog_list *above_known(const struct question *question)
{
    struct sealing sealing = { question, question->place.project, question->place.app };
    struct catalog_list *list = NULL;

    if (catalog_known(question->ops->options.known, sealing.project, sealing.app, &list, NULL) < 0)
        return NULL;
    if (catalog_list_seal(list, number_below, &sealing, (int64_t)question->ops->started_ns) < 0)
        return catalog_list_unref(list);
    return list;
}

int64_t above_changed_ns(const struct ops *ops, const char *project, const char *app,
                         bool *out_fresh)
{
    struct catalog_list *list = catalog_peek(ops->options.catalog, project, app, out_fresh);
    int64_t ns = list != NULL ? catalog_list_changed_ns(list) : (int64_t)ops->started_ns;

    catalog_list_unref(list);
    return ns;
}

struct session_entry above_entry(const struct question *question, const struct catalog_item *item)
{
    const struct ops *ops = question->ops;
    struct session_entry entry = { .entry_s = ABOVE_NAME_S };
    const char *project = question->place.project;
    bool fresh;
    int64_t ns;

    if (item->is_version) {
        entry.attributes = attributes_version(ops, item->node, item->created_at_s);
        entry.attributes_s = SESSION_FOREVER;
        return entry;
    }
    ns = above_changed_ns(ops, project != NULL ? project : item->name,
                          project != NULL ? item->name : NULL, &fresh);
    entry.attributes = attributes_above(ops, item->node, ns);
    /* Its list is old: whoever goes in asks first, and so learns whether it has changed. */
    entry.attributes_s = fresh ? ABOVE_NAME_S : 0;
    return entry;
}

int64_t above_version_time(const struct ops *ops, const struct ids_place *place)
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

void above_ask_list(struct question *question, catalog_done *done)
{
    struct question *parked = question_park(question);
    struct error err = { 0 };

    if (parked != NULL &&
        catalog_ask(parked->ops->options.catalog, parked->place.project, parked->place.app,
                    parked->deadline_ms, done, parked, &err) < 0)
        question_fail_later(parked, &err);
}

void question_above(struct question *question)
{
    if (above_is_denied(question->ops) && question->kind != QUESTION_ATTRIBUTES) {
        above_refresh(question);
        question_fail_code(question, -EACCES);
        return;
    }
    switch (question->kind) {
    case QUESTION_LOOKUP:
        if (question_is_dots(question))
            question_dots(question);
        else
            above_look_up(question);
        break;
    case QUESTION_ATTRIBUTES:
        above_tell_attributes(question);
        break;
    case QUESTION_DIRECTORY:
        above_show_list(question);
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
    case QUESTION_OPEN:
    case QUESTION_STATFS:
        question_fail_code(question, -EISDIR);
        break;
    }
}
