/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"
#include "fs/main/mount_options.h"

struct error;
struct secret;

/*
 * worker_config - what a worker is told by its holder (fs/holder/worker_process.h), read.
 *
 * The paths of the options are those that the worker can reach: it stands in the directory of the
 * cache (its path is "."), and has the certificates as a descriptor.
 */
struct worker_config {
    struct mount_options options;
    char *cache_path;     /* of the cache, as everybody else knows it */
    struct secret *token; /* or NULL */
    char *store;          /* NULL: to be found out */
    struct buf init;      /* of the connection; empty: it is not mounted yet */
    uint64_t device;
    int64_t holder; /* its process */
    uint64_t restarts;
    char reason[128]; /* why the worker before ended */
    uint32_t uid;
    bool uid_has_name;
    char *version; /* that an attach shows here; NULL: to be found out, or all are shown */
    struct digest tree;
    bool has_tree;                               /* it is known */
    bool is_new;                                 /* nobody has been answered on this connection */
    bool follows;                                /* it looks after the channel */
    uint64_t refuse_ms;                          /* not 0: it only stands in, for so long */
    int fuse, ring, control, cache, ca, metrics; /* -1: not given */
    int opens;                                   /* fs/opens; -1: the kernel opens by itself */
};

/* Waits for it. To be released, also after a failure. */
int worker_config_receive(struct worker_config *config, int socket, struct error *err);
void worker_config_release(struct worker_config *config);
/* Waits for {"serve": ...}: the connection is mounted now. -EPIPE: the holder has gone. */
int worker_config_await_mount(struct worker_config *config, int socket, struct error *err);
