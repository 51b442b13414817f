/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/net/http_loop.h"

struct workers;

/*
 * part_ahead - the parts of one file in zstd, one after the other: while one is on its way, a
 * thread makes the next.
 *
 *     begin -> (ask -> on_ready) ... -> end
 *
 * Loop thread. Plain memory, zeroed before the first begin; it does not move. Memory: two parts,
 * packed.
 */
struct part_ahead {
    struct http_loop *loop;
    struct workers *workers;
    const atomic_bool *stop;
    /* The answer to ask(): `part` is there; or it has to go as it is (packed false); or r < 0. */
    void (*on_ready)(void *context, int r, const struct error *err);
    /* end() was called while a thread was at the file, and it is through now. */
    void (*on_idle)(void *context);
    void *context;

    struct part_made {
        uint64_t offset, size; /* in the file */
        bool packed;
        struct buf bytes; /* the frame */
    } part, next;

    /* Its own. */
    int fd;
    uint64_t file_size, part_size, wanted;
    bool is_asked, at_thread, is_made, ended;
    int result;
    struct error error;
    struct http_post post;
};

/*
 * All up to `context` is set, at least from the first begin on. part_size: at most
 * PART_CODING_SIZE_MAX. Not while busy.
 */
void part_ahead_begin(struct part_ahead *ahead, int fd, uint64_t file_size, uint64_t part_size);
/* For the part at offset < file_size. on_ready is called from here or from a later turn. */
void part_ahead_ask(struct part_ahead *ahead, uint64_t offset);
/* Forgets the file; its descriptor stays the caller's, who keeps it open while this is busy. */
void part_ahead_end(struct part_ahead *ahead);
bool part_ahead_busy(const struct part_ahead *ahead);
