/* SPDX-License-Identifier: MIT */
#pragma once

struct change_list;
struct error;
struct scan;
struct tree;

/*
 * tree_diff - what one tree has and another has not, entry by entry.
 *
 * Compared are kinds, bytes (by digest), targets and permissions; times are not part
 * of a version's identity. With a directory all that is in it is added or removed.
 * Both images are whole ones. The list is to be ended by the caller.
 */
int tree_diff(const struct tree *from, const struct tree *to, struct change_list *list,
              struct error *err);

/* The same from an image (NULL: an empty tree) to a scan whose digests are known. */
int tree_diff_scan(const struct tree *from, const struct scan *to, struct change_list *list,
                   struct error *err);
