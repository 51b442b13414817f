/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * memory - the only way to the heap.
 *
 * Every call may fail: NULL means -ENOMEM, and the caller says so. Sizes are
 * multiplied with a check. Thread-safe. Blocks of libraries (cJSON, libyaml ...)
 * are theirs and are not freed here.
 *
 * Tests make the n-th call fail: memory_fail_after(n) lets n calls succeed and
 * fails every later one, until memory_fail_after(-1). memory_failed() tells
 * whether a call was failed since the last memory_fail_after(). The usual loop:
 *
 *     for (int64_t n = 0;; n++) {
 *         memory_fail_after(n);
 *         int r = thing(...);
 *         bool failed = memory_failed();
 *         memory_fail_after(-1);
 *         if (!failed) { assert_int_equal(r, 0); break; }
 *         assert_int_equal(r, -ENOMEM);
 *     }
 */

void *memory_new(size_t size);                             /* zeroed; size 0 gives a block */
void *memory_array(size_t count, size_t size);             /* zeroed */
void *memory_resize(void *old, size_t count, size_t size); /* new bytes are not zeroed */
void *memory_copy(const void *bytes, size_t size);         /* one NUL byte follows the copy */
char *memory_text(const char *text);
void *memory_free(void *pointer); /* NULL is fine; returns NULL; keeps errno */

/* From now on a large block goes back to the system when it is freed, whoever allocated it. Else
 * the heap of each thread keeps what it once needed: what a program holds grows with its threads.
 * For the start of a program; nothing where the C library does not do so. */
void memory_give_back(void);

/* Overwrites, in a way that the compiler keeps: for secrets, before they are freed. */
void memory_wipe(void *bytes, size_t size);

/* Equal, in a time that does not depend on where they differ: for secrets. */
bool memory_equal_secret(const void *a, const void *b, size_t size);

void memory_fail_after(int64_t count);
bool memory_failed(void);
