/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct error;

/*
 * change - lists of what differs between two trees, path by path.
 *
 * A letter stands for each, as in `git diff --name-status`: A added, D removed, T
 * another kind of thing, M other bytes or another target of a link, P the same but
 * for permissions or times. Paths are copied.
 */
enum change_kind { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_CHANGED };

/* What is changed: bits. */
enum {
    CHANGE_TYPE = 1,
    CHANGE_CONTENT = 2,
    CHANGE_TARGET = 4,
    CHANGE_MODE = 8,
    CHANGE_TIME = 16,
};

struct change {
    enum change_kind kind;
    unsigned what; /* of CHANGE_CHANGED */
    bool is_directory;
    struct span path;
};

struct change_list {
    struct buf items; /* struct change, its path an offset into paths */
    struct buf paths;
};

struct change_list change_list_init(void);
void change_list_release(struct change_list *list);

/* Failure sticks. */
void change_list_add(struct change_list *list, enum change_kind kind, unsigned what,
                     bool is_directory, struct span path);
/* Tells what stuck, and puts the list into the order of listings. */
int change_list_end(struct change_list *list, struct error *err);

size_t change_list_count(const struct change_list *list);
/* After change_list_end(); the path is the list's. */
struct change change_list_at(const struct change_list *list, size_t index);

char change_letter(const struct change *change);
/* "added", "removed", "changed" */
const char *change_name(enum change_kind kind);
/* "type", "content", ...: the name of the lowest bit, which is taken out of *what; NULL for 0. */
const char *change_next_name(unsigned *what);
