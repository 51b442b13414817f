/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;
struct tree;

/*
 * local_names - which names of a version a system cannot hold; pure rules.
 *
 * Linux takes every name that a version may have. macOS takes UTF-8. Windows
 * takes UTF-8 up to 255 UTF-16 units without control characters, \ : * ? " < > |, a
 * space or a dot at the end, and the names of devices (CON, NUL.txt, COM1 ...).
 *
 * Two entries of one directory that the file system takes for one (name_fold.h) cannot
 * both be held, nor one at the top that it takes for `.kkartifact` or
 * `.kkartifact.yml`. Both is known for sure only by the disk: whether it folds case is
 * asked of it (DEST/.kkartifact is looked up by another name), that it normalises is
 * taken for granted on macOS, and on Windows too, where NTFS does not, but a
 * tree that needs it cannot go on to others.
 */
enum local_system { LOCAL_LINUX, LOCAL_MACOS, LOCAL_WINDOWS };

enum local_system local_system_here(void);

/* Why the system cannot hold one component; NULL: it can. */
const char *local_name_fault(enum local_system system, struct span name);

/* other: the entry it would be one with, or empty. Valid inside the call. */
typedef void local_names_report(void *context, struct span path, const char *why,
                                struct span other);

struct local_names_options {
    enum local_system system;
    bool folds_case; /* the disk takes `A` for `a` */
    local_names_report *report;
    void *context;
};

/* Whether the disk takes the path for one of the tree's, which need not be written alike: what is
 * removed or found under such a name is that entry. */
bool local_names_has(const struct tree *tree, enum local_system system, bool folds_case,
                     struct span path);

/* Reports each entry that cannot be held, in no order; their count in *out_count. -ENOMEM. */
int local_names_check(const struct tree *tree, const struct local_names_options *options,
                      uint64_t *out_count, struct error *err);
