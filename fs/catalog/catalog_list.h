/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"

/*
 * catalog_list - the names below one place, as they were at one time.
 *
 * Filled by one thread, then sealed; from then on it never changes and any thread may read it. Each
 * item has the node id that the kernel knows it by; a walk goes in the order of nodes, which
 * never changes under a reader that comes back for more: new names stand behind, and what is
 * gone leaves no shift.
 */
struct catalog_list;

struct catalog_item {
    char *name;
    uint64_t node;
    int64_t created_at_s;
    bool is_version; /* then tree is set */
    struct digest tree;
};

struct catalog_list *catalog_list_new(void); /* NULL: out of memory */
/* -ENOMEM. tree NULL: a project or an app. A name that is there already is passed over. */
int catalog_list_add(struct catalog_list *list, const char *name, int64_t created_at_s,
                     const struct digest *tree);

/* Gives every item its node, sorts; a name without a node (number failed) ends it with that
 * failure. changed_ns is the time that the directory shows. */
typedef int catalog_list_number(void *context, const struct catalog_item *item, uint64_t *out_node);
int catalog_list_seal(struct catalog_list *list, catalog_list_number *number, void *context,
                      int64_t changed_ns);

struct catalog_list *catalog_list_ref(struct catalog_list *list);
struct catalog_list *catalog_list_unref(struct catalog_list *list); /* NULL is fine; returns NULL */

size_t catalog_list_count(const struct catalog_list *list);
int64_t catalog_list_changed_ns(const struct catalog_list *list);
/* NULL: no such name. */
const struct catalog_item *catalog_list_find(const struct catalog_list *list, const char *name);
/* The first item whose node is above `node`; NULL behind the last. */
const struct catalog_item *catalog_list_after(const struct catalog_list *list, uint64_t node);
/* The same names and nodes. */
bool catalog_list_equal(const struct catalog_list *a, const struct catalog_list *b);
