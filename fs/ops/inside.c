/* SPDX-License-Identifier: MIT */
/* Inside a version: everything out of the tree in memory; it never changes. */
#include <errno.h>
#include <string.h>

#include "common/model/names.h"
#include "fs/ops/question.h"

#define FIRST_CHILD 2 /* positions 0 and 1 are "." and ".." */

static void look_up(struct question *question)
{
    const struct tree_view *view = tree_mount_view(question->mount);
    struct session_entry entry = { .entry_s = SESSION_FOREVER, .attributes_s = SESSION_FOREVER };
    struct tree_node node;
    uint64_t index;
    int r = tree_view_find(view, question->place.index, span_text(question->name), &index);

    if (r == 0)
        r = tree_view_node(view, index, &node);
    if (r < 0 && r != -ENOENT) {
        question_fail_code(question, r);
        return;
    }
    if (r == 0)
        entry.attributes = attributes_inside(question->ops, question->place.slot, index, &node);
    session_reply_entry(question_take(question), &entry);
    question_end(question);
}

static void tell_attributes(struct question *question, const struct tree_node *node)
{
    struct session_attributes attributes =
        attributes_inside(question->ops, question->place.slot, question->place.index, node);

    /* The root of a connection is this version's directory, which no list has told of. */
    if (question->place.index == TREE_ROOT)
        attributes = attributes_version(question->ops, question->node,
                                        tree_mount_view(question->mount)->manifest_mtime);
    session_reply_attributes(question_take(question), &attributes, SESSION_FOREVER);
    question_end(question);
}

static void tell_link(struct question *question, const struct tree_node *node)
{
    char target[TARGET_MAX_SIZE + 1];

    if (node->kind != ENTRY_LINK || node->target.size > TARGET_MAX_SIZE) {
        question_fail_code(question, -EINVAL);
        return;
    }
    memcpy(target, node->target.bytes, node->target.size);
    target[node->target.size] = '\0';
    session_reply_link(question_take(question), target);
    question_end(question);
}

static struct session_entry directory_entry(const struct question *question, uint64_t node)
{
    return (struct session_entry){ attributes_above(question->ops, node, 0), 0, 0 };
}

static bool add_dots(struct session_listing *listing, const struct question *question,
                     const struct tree_node *node)
{
    struct session_entry own = directory_entry(question, question->node);
    struct session_entry above = directory_entry(
        question, question_parent(question, question->place.index != TREE_ROOT ? node : NULL));

    if (question->offset == 0 && !session_listing_add(listing, ".", 1, &own))
        return false;
    return question->offset > 1 || session_listing_add(listing, "..", FIRST_CHILD, &above);
}

static bool add_child(struct session_listing *listing, const struct question *question,
                      uint64_t position)
{
    const struct tree_view *view = tree_mount_view(question->mount);
    struct session_entry entry = { .entry_s = SESSION_FOREVER, .attributes_s = SESSION_FOREVER };
    char name[COMPONENT_MAX_SIZE + 1];
    struct tree_node node;
    struct span text;
    uint64_t index;

    if (!tree_view_child(view, question->place.index, position, &index, &text) ||
        text.size > COMPONENT_MAX_SIZE || tree_view_node(view, index, &node) < 0)
        return false;
    memcpy(name, text.bytes, text.size);
    name[text.size] = '\0';
    entry.attributes = attributes_inside(question->ops, question->place.slot, index, &node);
    return session_listing_add(listing, name, position + FIRST_CHILD + 1, &entry);
}

static void show_directory(struct question *question, const struct tree_node *node)
{
    struct session_request *request;
    struct session_listing *listing;
    uint64_t position = question->offset > FIRST_CHILD ? question->offset - FIRST_CHILD : 0;

    if (node->kind != ENTRY_DIRECTORY) {
        question_fail_code(question, -ENOTDIR);
        return;
    }
    request = question_take(question);
    if (session_listing_begin(request, question->size, &listing) < 0) {
        session_reply_error(request, ENOMEM);
    } else {
        if (add_dots(listing, question, node))
            while (add_child(listing, question, position))
                position++;
        session_listing_reply(listing);
    }
    question_end(question);
}

void question_inside(struct question *question)
{
    struct tree_node node;

    if (question->kind == QUESTION_LOOKUP) {
        if (question_is_dots(question))
            question_dots(question);
        else
            look_up(question);
        return;
    }
    if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) < 0) {
        question_fail_code(question, -ESTALE);
        return;
    }
    if (question->kind == QUESTION_ATTRIBUTES)
        tell_attributes(question, &node);
    else if (question->kind == QUESTION_LINK)
        tell_link(question, &node);
    else
        show_directory(question, &node);
}
