/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/client/api_pushes.h"

struct directory;
struct error;
struct hasher;
struct record;
struct scan_entry;
struct transfer;

/*
 * push_early - the large files of an app's first push, sent while they are hashed.
 *
 *     new -> add ... -> run -> take -> forget -> free
 *
 * Hashing and sending a large file take about as long as each other, and need not wait: its parts
 * go as new-N (common/client/api_pushes.h), the last one when the digest is known. Only where no
 * version is: else the server has the file, most likely, or something that a delta can be made
 * from, and its digest tells. Files that are hashed before their turn comes go by their digest, as
 * all smaller ones do.
 *
 * It is a head start and no more. A server that refuses it, or a file that changes meanwhile, ends
 * it, and the push goes on in the ordinary way, in the same push. One that breaks off is gone on
 * with by the next run for the same directory (push_opening.h): N is a file's place among the
 * large ones, and when that is another file's by then, the server refuses the bytes in the end.
 */
#define PUSH_EARLY_FILE_MIN ((uint64_t)32 << 20)
#define PUSH_EARLY_FILES_MAX 256

struct push_early_options {
    struct transfer *transfer;
    struct directory *root;
    struct directory *cache;          /* or NULL */
    uint64_t place;                   /* tells root from other directories */
    const struct api_push_spec *spec; /* without content and times */
    const struct record *metadata;
};

struct push_early;

/* The options' parts outlive it. */
int push_early_new(const struct push_early_options *options, struct push_early **out_early,
                   struct error *err);
struct push_early *push_early_free(struct push_early *early); /* NULL is fine; returns NULL */

/* A file before it is hashed. The entry does not move, and its path stays. One thread. */
void push_early_add(struct push_early *early, const struct scan_entry *entry);
/* hasher_done: it is hashed, or was given up. Any thread. */
void push_early_hashed(void *early, const struct scan_entry *entry, int r);

/* Once all are added, on the loop's thread: sends what is worth it, until that is sent. `hasher`
 * is at work on them. 0 also when nothing could be sent this way; else the failure of the push. */
int push_early_run(struct push_early *early, struct hasher *hasher, struct error *err);

/* The push that it opened, the caller's from here on; false: it opened none. */
bool push_early_take(struct push_early *early, struct api_push *out);
/* The next run is not to go on here: the push is kept elsewhere, or worth nothing. NULL is fine. */
void push_early_forget(struct push_early *early);
/* The tree is another one than was sent: the push that was not taken goes. NULL is fine. */
void push_early_give_up(struct push_early *early);
