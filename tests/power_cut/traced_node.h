/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power_cut/journal.h"
#include "tests/power_cut/traced_task.h"

/*
 * traced_node - the nodes of a journal that is being written: which inode is which.
 */
struct traced_node {
    uint64_t inode;
    uint32_t node;
    bool is_gone; /* has no name any more: its inode may be used again */
};

struct traced {
    struct journal *journal;
    char directory[TRACED_PATH_SIZE];
    size_t directory_size;
    struct traced_node *nodes;
    size_t node_count;
};

void traced_begin(struct traced *traced, const char *directory, struct journal *journal);
void traced_end(struct traced *traced);
/* What is there now, as the base of the journal. */
void traced_look(struct traced *traced);

/* NULL: none that was seen. A new one takes the inode over. */
struct traced_node *traced_find(struct traced *traced, uint64_t inode);
uint32_t traced_new(struct traced *traced, uint64_t inode);

/* The node of the directory that holds the path, and the name there; false, and the journal cannot
 * be replayed: it was never seen. */
bool traced_split(struct traced *traced, const char *path, uint32_t *out_parent,
                  char out_name[CHANGE_NAME_SIZE]);
/* A change that cannot be replayed. */
void traced_foreign(struct traced *traced, const char *what);
