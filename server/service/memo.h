/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct error;

/*
 * memo - a bounded memory of facts: from a key of bytes to a value of fixed size.
 *
 * What does not fit pushes out what was not asked for lately (CLOCK). Any thread;
 * a call holds one lock for a copy of the value, so event loops may call it. A value
 * that holds references names functions that take and drop them: `take` runs
 * on the copy handed out, under the lock; `drop` on a value that leaves, outside it.
 */
struct memo;

#define MEMO_VALUE_MAX 1024 /* bytes of a value */

int memo_new(struct memo **out_memo, size_t value_size, size_t limit, void (*take)(void *value),
             void (*drop)(void *value), struct error *err);
struct memo *memo_free(struct memo *memo); /* NULL is fine; returns NULL */

/* Copies the value out (with a reference of the caller's own). False: not known. */
bool memo_get(struct memo *memo, struct span key, void *out_value);

/* Remembers a copy of *value, whose reference passes to the memo (also when there is no memory for
 * it: then it is dropped and forgotten: a memo is never needed). Replaces what was there. */
void memo_put(struct memo *memo, struct span key, const void *value);

void memo_forget(struct memo *memo, struct span key);
void memo_clear(struct memo *memo);
size_t memo_count(struct memo *memo);
