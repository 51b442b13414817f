/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/*
 * kernel_backing - files that the kernel reads in the place of a connection's (Linux 6.9).
 *
 * A backing file has an id in its connection, from 1 on, which a reply to OPEN may name
 * (session_reply_open). Who registers one needs CAP_SYS_ADMIN, each time; the connection must have
 * been negotiated by a session with `opens`.
 */

/* Whether the kernel offers it, by the first request of a connection. */
bool kernel_backing_is_offered(struct span init);

/* `file` stays the caller's: the kernel holds the file from then on. -ELOOP: it lies on a stacked
 * file system (overlayfs); -EPERM: not allowed, or not negotiated. */
int kernel_backing_open(int fuse, int file, uint32_t *out_id);
/* No further open may name it. Those that live go on. -ENOENT: there is none of that id. */
int kernel_backing_close(int fuse, uint32_t id);
