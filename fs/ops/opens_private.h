/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/map.h"
#include "fs/ops/opens.h"
#include "fs/ops/question.h"

struct blob_entry;
struct workers;

/*
 * opens_private - what opens.c (which way a file is open; answers) and opens_ask.c (from an open to
 * a backing file) share.
 */
#define ASKED_MAX 256 /* files that wait for a backing file */
#define CLOSING_MAX 256

/* A file that is about to get a backing file. */
struct asked {
    uint64_t node, number;
    uint64_t since_ms;
    bool sent;                /* the holder has it */
    struct blob_entry *entry; /* a reference */
    struct question *waiting;
    struct asked *next;
};

struct opens {
    struct ops *ops;
    struct ops_opens options;
    struct workers *checkers; /* one thread: what takes long to hash */
    atomic_bool ended;
    pthread_mutex_t lock; /* of what follows, and of the table */
    struct asked *asked;
    size_t asked_count;
    uint64_t last_number, slow_until_ms;
    struct map held; /* node -> struct blob_entry, of backing files; a reference each */
    uint32_t closing[CLOSING_MAX]; /* that the holder is still to be told of */
    size_t closing_count;
    char why[ERROR_TEXT_SIZE]; /* no file begins to have a backing file; "": they do */
};

/* Locked. The way that the file has already, or that this open was given by a process before. */
bool opens_grant_known(struct opens *opens, struct question *question);
void opens_grant_cached(struct opens *opens, struct question *question);
struct asked *opens_asked_of(struct opens *opens, uint64_t node);
struct asked *opens_asked_numbered(struct opens *opens, uint64_t number);
void opens_unlink_asked(struct opens *opens, struct asked *asked);

/* Answers as it was granted, and ends the question. */
void opens_reply(struct question *question);
