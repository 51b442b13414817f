/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * journal - every change that a program made below one directory, in the order in which the calls
 * came to their end.
 *
 * What is changed is a *node*: number 0 is the directory itself; files and directories get the next
 * numbers as they are made. A name that is used again is another node. Plain data, for tests: out
 * of memory ends the program.
 */
enum change_kind {
    CHANGE_MAKE_FILE,
    CHANGE_MAKE_NAMELESS, /* O_TMPFILE */
    CHANGE_MAKE_DIRECTORY,
    CHANGE_WRITE,    /* bytes at offset */
    CHANGE_TRUNCATE, /* to size */
    CHANGE_MODE,
    CHANGE_RENAME, /* from_parent, from -> parent, name; what stood there is gone */
    CHANGE_REMOVE, /* of a name */
    CHANGE_SYNC,   /* fsync: of a directory its names, of a file all */
    CHANGE_SYNC_DATA,
    CHANGE_MARK,    /* no change: what the program tells; see recorder_mark() */
    CHANGE_UNKNOWN, /* a call that may have changed something in a way that is not written down */
};

#define CHANGE_NAME_SIZE 160

struct change {
    uint8_t kind; /* enum change_kind */
    uint32_t node;
    uint32_t parent, from_parent; /* of name, from */
    uint32_t mode;
    uint64_t offset;
    uint64_t size;
    uint64_t covers; /* of a sync: so many changes had ended when it began */
    char name[CHANGE_NAME_SIZE], from[CHANGE_NAME_SIZE];
    uint8_t *bytes; /* size of them, of a write */
};

struct journal {
    struct change *changes;
    size_t count, capacity;
    uint32_t node_count;
    size_t base; /* so many changes tell what was there at the start, and is durable */
};

/* A copy of it at the end; its bytes are the journal's now. */
void journal_add(struct journal *journal, const struct change *change);
void journal_release(struct journal *journal);

/* As a file, for the programs of one machine. */
void journal_save(const struct journal *journal, const char *path);
void journal_load(struct journal *journal, const char *path);

/* The first change of a kind; count: none. */
size_t journal_find(const struct journal *journal, enum change_kind kind);
