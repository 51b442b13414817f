/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/reads.h"

struct error;
struct tree;

/*
 * read_log - what is read of one open version, in the order of its first reads, for a while.
 *
 * The first note of all begins it, and read_log_stop() ends it: before and after, it holds no
 * memory, and a note costs one load. In between, 64 KiB, and a note is a few atomic operations: no
 * lock, since readers wait for whoever notes. Of a file its units are noted: READ_LOG_UNITS of them
 * at most, each of as many pieces of 512 KiB as that takes, so that one large file leaves room for
 * others. READ_LOG_MAX units are noted in all; what comes behind them is not.
 */
#define READ_LOG_UNITS 32
#define READ_LOG_MAX 4096

struct read_log;

struct read_log *read_log_new(void); /* or NULL */
/* Nobody notes any more. NULL is fine; returns NULL. */
struct read_log *read_log_free(struct read_log *log);

/* [offset, offset + size), size >= 1, of the file that is record `index` and has file_size bytes.
 * True for the first note of all: whoever gets that has it stopped some time. Any thread. */
bool read_log_note(struct read_log *log, uint32_t index, uint64_t file_size, uint64_t offset,
                   uint64_t size);
/* Nothing is noted from now on. Any thread. */
void read_log_stop(struct read_log *log);

/* The notes of a log that was stopped, and its memory: once. *out is a list, an empty one before.
 * -EAGAIN: somebody is still noting, for an instant; -ENOMEM: they are lost. One thread. */
int read_log_take(struct read_log *log, const struct tree *tree, struct reads *out,
                  struct error *err);

/* The same without wanting them. Where somebody is still noting, the memory lives as long as the
 * log. */
void read_log_drop(struct read_log *log);

/* What it comes to: of files, and of bytes of them. */
struct read_log_sums {
    size_t files;
    uint64_t bytes;
};
struct read_log_sums read_log_sums(const struct reads *reads, const struct tree *tree);
