/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct error;

/*
 * spool - bytes of unknown number that arrive now and are looked at as a whole later: in memory
 * while they are few, then in a file without a name.
 */
struct spool {
    const char *directory; /* borrowed; NULL: always memory */
    struct buf head;       /* all bytes, while there is no file */
    int fd;                /* -1: none */
    uint64_t size;
    void *mapping;
};

void spool_init(struct spool *spool, const char *directory);
void spool_release(struct spool *spool);

int spool_add(struct spool *spool, struct span bytes, struct error *err);

/* All of them, in one piece, until the release. Nothing may be added afterwards. */
int spool_bytes(struct spool *spool, struct span *out, struct error *err);
