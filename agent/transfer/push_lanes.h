/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct api_push_spec;
struct directory;
struct error;
struct transfer;

/*
 * push_lanes - files of an open push, several at a time, each in parts.
 *
 * After a broken connection the server is asked what it has, and the file goes on there, by the
 * retry policy; as long as it gets on, every break is the first one. Files
 * are examined before and after: one that is not what it was said to be ends the sending with
 * PUSH_SEND_CHANGED. Parts go in zstd where a sample of the file says that it pays.
 */
#define PUSH_SEND_CHANGED 1

struct push_file {
    const char *path; /* lives until the end of the sending */
    uint64_t size;
    uint64_t stamp;              /* stat_stamp() */
    const struct digest *sha256; /* NULL: not known yet, and then it goes */
    bool is_new;                 /* as new-`number` */
    uint32_t number;
};

/* Where the files come from. On the thread that runs the loop. */
struct push_source {
    bool (*next)(void *context, struct push_file *out); /* false: there is none */
    /* The digest of one that had none: 0 and *out; -EAGAIN: not yet, and whoever learns of it wakes
     * the loop; PUSH_SEND_CHANGED. NULL where all of them have one. */
    int (*digest)(void *context, const struct push_file *file, struct digest *out);
    void *context;
};

struct push_lanes_options {
    struct transfer *transfer;
    struct directory *root;
    const struct api_push_spec *spec;
    const char *id;
    uint64_t part_size;
    bool is_resumed; /* an earlier run has sent a part: where each file stands is asked first */
    struct push_source source;
};

/* 0, PUSH_SEND_CHANGED with *out_path (the file's), or an error. Runs the loop. */
int push_lanes_run(const struct push_lanes_options *options, const char **out_path,
                   struct error *err);
