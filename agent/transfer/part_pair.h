/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_pushes.h"

/*
 * part_pair - the requests that carry a file's parts to the server, one after the other, and the
 * next one on its way while the server makes the current one durable.
 *
 *     begin -> (start -> on_taken or on_refused) ... -> end
 *
 * The current part is the one that the owner started, or that was sent ahead behind one that was
 * taken. Once a part of the file was taken, so that the server is known to want it and to have
 * room, the part behind the current one is sent ahead when that one has left; the server lets it
 * wait (server/service/busy.h). Where it does not, `in_order` is set and nothing is sent ahead
 * any more. Small parts go one by one: they would be there before the server has begun with the one
 * in front of them, and be sent twice. Of what is sent ahead the owner hears only once it is the
 * current part. Loop thread; the struct does not move, and is zeroed but for the first group before
 * begin.
 */
#define PART_PAIR_MIN ((uint64_t)4 << 20) /* of a part that another one is sent behind */

struct part_pair {
    struct api_client *client;
    const struct api_push_spec *spec;
    const char *id; /* of the push */
    uint64_t part_size;
    bool *in_order;                        /* of all pairs of one server */
    bool (*may_send_ahead)(void *context); /* whether one more request is all right now */
    /* The server holds `offset` bytes. goes_on: the next part is on its way already. */
    void (*on_taken)(void *context, uint64_t offset, bool goes_on);
    /* Nothing is on its way any more. too_early: it only came before the one in front of it was
     * through, which it is by now, so the same may be sent again at once. */
    void (*on_refused)(void *context, const struct api_answer *answer, bool too_early);
    void *context;

    /* Its own. */
    struct part_call {
        struct part_pair *pair;
        struct api_call *call; /* NULL: it is not on its way */
        uint64_t offset, size; /* in the file */
        uint64_t body_size;    /* on the line */
        bool has_left;         /* its last byte */
        bool was_ahead;
        bool is_done;         /* before the one in front of it was */
        uint64_t done_offset; /* what the server said then */
    } parts[2];
    size_t current;            /* index; the other one is ahead */
    bool is_welcome;           /* a part was taken, and none was refused or broke off since */
    struct api_push_part sent; /* the current one, for the next */
    int fd;
};

/* fd: of the file, the owner's until the end; -1: nothing is sent ahead. */
void part_pair_begin(struct part_pair *pair, int fd);
/* The part [sent->offset, + size). Nothing is on its way. */
int part_pair_start(struct part_pair *pair, const struct api_push_part *sent, uint64_t size,
                    struct http_body body, struct error *err);
/* Cancels what is on its way; nothing is told of it. */
void part_pair_end(struct part_pair *pair);
/* Where in the file what has left of the current part ends; 0: nothing is on its way. */
uint64_t part_pair_reached(const struct part_pair *pair);
/* 0 to 2 */
size_t part_pair_calls(const struct part_pair *pair);

/* A part of a file as it is. */
struct http_body part_pair_body(int fd, uint64_t offset, uint64_t size);
bool part_pair_is_busy(const struct api_answer *answer); /* another request is at the blob */
