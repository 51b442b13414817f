/* SPDX-License-Identifier: MIT */
#include "fs/ops/question.h"

#define NS ((int64_t)1000000000)
#define DIRECTORY_MODE 0755

struct session_attributes attributes_inside(const struct ops *ops, uint32_t slot, uint64_t index,
                                            const struct tree_node *node)
{
    static const enum session_kind kinds[] = { [ENTRY_DIRECTORY] = SESSION_DIRECTORY,
                                               [ENTRY_FILE] = SESSION_FILE,
                                               [ENTRY_LINK] = SESSION_LINK };
    uint32_t umask = node->kind == ENTRY_LINK ? 0 : ops->options.umask;

    return (struct session_attributes){
        .node = ids_node(slot, index),
        .kind = kinds[node->kind],
        .mode = node->mode & ~umask,
        .link_count = node->link_count,
        .size = node->size,
        .mtime_s = node->mtime,
    };
}

/* How many names a directory has is known only to who has its list: one link, as on btrfs. */
struct session_attributes attributes_above(const struct ops *ops, uint64_t node, int64_t changed_ns)
{
    return (struct session_attributes){
        .node = node,
        .kind = SESSION_DIRECTORY,
        .mode = DIRECTORY_MODE & ~ops->options.umask,
        .link_count = 1,
        .mtime_s = changed_ns / NS,
        .mtime_ns = (uint32_t)(changed_ns % NS),
    };
}

/* The same whether its tree is open or not: what a version is called by never changes. */
struct session_attributes attributes_version(const struct ops *ops, uint64_t node,
                                             int64_t created_at_s)
{
    struct session_attributes attributes = attributes_above(ops, node, 0);

    attributes.mtime_s = created_at_s;
    return attributes;
}
