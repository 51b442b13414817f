/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * backing_client - what a worker asks its holder for, of backing files
 * (fs/holder/holder_backing.h), as struct ops_opens has it. The context is the worker's end of the
 * socket, an int. Any thread; neither waits.
 */
int backing_client_open(void *context, uint64_t number, int file);
int backing_client_close(void *context, const uint32_t *ids, size_t count);

/* Whether it can be done with files of that cache: asks, and waits for a second at most, before
 * anybody else reads the socket. What came of it is for ops_backing_came. -EAGAIN: it is not known;
 * -ECANCELED: the holder says to end. */
struct worker_backing;
int backing_client_probe(int socket, const char *cache, struct worker_backing *out);
