/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

struct json_writer;
struct usage;
struct worker_config;

/*
 * worker - the process that answers the kernel for a holder: the unprivileged one, which takes what
 * strangers send.
 *
 * It is told everything over `socket` (fs/holder/message.h). It ends when the mount does, when the
 * holder says so, or by SIGTERM: then it leaves what it could not answer to the next one. When the
 * holder is gone it goes on alone.
 */
int worker_main(int socket);

/* The members "holder" and "worker" of status. */
void worker_status(const struct worker_config *config, bool has_holder, bool serves,
                   struct json_writer *writer);

/* Takes what the holder says: {"log": true}, standard error goes there from now on; {"in_use":
 * [slots]}, for `usage` (or NULL); {"end": true}, fail what waits, and go; {"backing": ...}, what
 * came of a file that was to be registered; of an attach: {"follow": BOOL}, look after the channel,
 * or not any more; {"refused": TEXT}, it is not switched. */
enum worker_heard_what {
    WORKER_HEARD_NOTHING,
    WORKER_HEARD_BACKING,
    WORKER_HEARD_END,
    WORKER_HEARD_GONE,
    WORKER_HEARD_FOLLOW,
    WORKER_HEARD_REST,
    WORKER_HEARD_REFUSED,
};
struct worker_backing {
    uint64_t number;
    int result; /* 0, or a negative errno */
    uint32_t id;
};
struct worker_heard {
    enum worker_heard_what what;
    struct worker_backing backing; /* BACKING */
    struct error why;              /* REFUSED */
};
/* Returns what it is, which is also in *out. */
enum worker_heard_what worker_hear(int socket, struct usage *usage, struct worker_heard *out);

/* For tests of the kernels before 6.9: the variable of the environment that keeps a worker from
 * asking the kernel to send requests again. */
#define WORKER_WITHOUT_RESEND "KKARTIFACT_FS_WITHOUT_RESEND"
