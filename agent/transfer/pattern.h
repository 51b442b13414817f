/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct error;

/*
 * pattern - lists of gitignore patterns (gitignore(5)): which paths of a tree they name.
 *
 * An item is what a line of a .gitignore is: `#` begins a comment, `!` takes back
 * what an earlier item said, a slash at the end names directories only, a slash at
 * the start or in the middle ties the pattern to the top, `*` `?` `[a-z]` stay
 * within a component, `**` crosses them, a backslash takes the next character as it
 * is. The last item that matches decides.
 *
 * A path below a directory that is named is named too: the walk asks for the
 * directory first and does not go in. pattern_list_covers() does that walk over
 * the parents of one path.
 *
 * Items are copied. Reading calls may come from any thread.
 */
struct pattern; /* one item, taken apart */

struct pattern_list {
    struct pattern *items;
    size_t count;
};

struct pattern_list pattern_list_init(void);
void pattern_list_release(struct pattern_list *list);

/* -ENOMEM. A comment or an empty item adds nothing. */
int pattern_list_add(struct pattern_list *list, const char *item, struct error *err);

enum pattern_verdict {
    PATTERN_SILENT, /* no item matches */
    PATTERN_NAMES,
    PATTERN_TAKES_BACK, /* the last that matches begins with '!' */
};

/* What the list says of this very path, its parents aside. */
enum pattern_verdict pattern_list_judge(const struct pattern_list *list, struct span path,
                                        bool is_directory);

/* Whether the path or a directory above it is named. */
bool pattern_list_covers(const struct pattern_list *list, struct span path, bool is_directory);
