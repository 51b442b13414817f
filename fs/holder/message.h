/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * message - what holder and worker say to each other: JSON objects, with descriptors, over a pair
 * of sockets that keep the borders of messages.
 *
 * Holder to worker: the configuration (at its start), then {"serve": ...}, {"log": true},
 * {"in_use": [slots]}, {"end": true}. Worker to holder: {"opened": ...} or {"failed": ...}, then
 * {"serving": true}. What is said of backing files: holder_backing.h.
 *
 * Of an attach: the worker says with "serving" what it shows ("store", "version", "tree"), and
 * asks for another by {"switch": VERSION, "tree": DIGEST}; the holder answers {"refused": TEXT},
 * or, when that is shown, {"follow": false}, and says {"follow": true} to the worker that is to ask
 * next.
 */
#define MESSAGE_DESCRIPTORS_MAX 8
#define MESSAGE_MAX ((size_t)128 * 1024)

/* The two ends, close-on-exec. */
int message_pair(int out_ends[2], struct error *err);

/* The descriptors stay the caller's. -EPIPE: nobody is there. */
int message_send(int socket, struct span text, const int *descriptors, size_t count,
                 struct error *err);

/* The same, without waiting for room: -EAGAIN. */
int message_try(int socket, struct span text, const int *descriptors, size_t count,
                struct error *err);

/* Waits for one. Descriptors that came are the caller's, close-on-exec, the rest of `descriptors`
 * is -1. 0, or -EPIPE: the other side is gone. */
int message_receive(int socket, struct buf *text, int descriptors[MESSAGE_DESCRIPTORS_MAX],
                    struct error *err);
