/* SPDX-License-Identifier: MIT */
/*
 * The names "." and "..". The kernel walks them by itself; it asks only when somebody opens by a
 * handle (open_by_handle_at, a server of NFS) what it has forgotten.
 */
#include <string.h>

#include "fs/ops/above.h"
#include "fs/ops/question.h"

bool question_is_dots(const struct question *question)
{
    return strcmp(question->name, ".") == 0 || strcmp(question->name, "..") == 0;
}

uint64_t question_parent(const struct question *question, const struct tree_node *inside)
{
    const struct ids_place *place = &question->place;
    uint64_t node = IDS_ROOT;

    if (inside != NULL)
        return ids_node(place->slot, inside->parent);
    if (question->node == SESSION_ROOT) /* also of a mount of one version */
        return question->node;
    if (place->kind == IDS_IS_APP || place->kind == IDS_IS_VERSION)
        ids_above(question->ops->options.ids, place->project,
                  place->kind == IDS_IS_VERSION ? place->app : NULL, &node, NULL);
    return node;
}

/* What is open of the question's version; below its root only. */
static bool find_inside(const struct question *question, uint64_t index, struct tree_node *out)
{
    return question->mount != NULL && index != TREE_ROOT &&
           tree_view_node(tree_mount_view(question->mount), index, out) == 0;
}

static struct session_entry entry_of(const struct question *question, uint64_t node,
                                     const struct ids_place *place)
{
    struct session_entry entry = { .attributes_s = SESSION_FOREVER };
    struct tree_node inside;
    bool fresh;

    if (place->kind != IDS_IS_VERSION) {
        entry.attributes =
            attributes_above(question->ops, node,
                             above_changed_ns(question->ops, place->project, place->app, &fresh));
        entry.attributes_s = fresh ? ABOVE_NAME_S : 0;
    } else if (find_inside(question, place->index, &inside)) {
        entry.attributes = attributes_inside(question->ops, place->slot, place->index, &inside);
    } else {
        entry.attributes =
            attributes_version(question->ops, node, above_version_time(question->ops, place));
    }
    return entry;
}

void question_dots(struct question *question)
{
    uint64_t node = question->node;
    struct session_request *request;
    struct session_entry entry;
    struct ids_place place;
    struct tree_node inside;
    int r;

    if (strcmp(question->name, "..") == 0)
        node =
            question_parent(question,
                            find_inside(question, question->place.index, &inside) ? &inside : NULL);
    r = ids_find(question->ops->options.ids, node, &place, NULL);
    if (r < 0) {
        question_fail_code(question, r);
        return;
    }
    entry = entry_of(question, node, &place);
    request = question_take(question);
    if (request != NULL)
        session_reply_entry(request, &entry);
    question_end(question);
}
