/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * buffers - memory for the bytes of answers, used again and again.
 *
 * A fresh block is nothing but page faults; the kernel asks for the same few sizes all the time. Of
 * large blocks (up to BUFFERS_LARGE) a few are kept; others come from the heap and go back. Any
 * thread.
 */
struct buffers;

#define BUFFERS_LARGE ((size_t)1024 * 1024)
#define BUFFERS_KEPT 6 /* large ones at most, while nobody uses them */

struct buffers *buffers_new(void);                     /* NULL: out of memory */
struct buffers *buffers_free(struct buffers *buffers); /* all were given back. NULL is fine */

/* NULL: out of memory. Not zeroed. */
void *buffers_take(struct buffers *buffers, size_t size);
void buffers_give(struct buffers *buffers, void *block,
                  size_t size); /* the size it was taken for */
