/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct blob_store;

/*
 * fault_store - for tests: a store around another one that fails when it is told to.
 *
 * Calls are counted (each operation, of any object). The n-th from now fails with `error`
 * before it reaches the inner store; with `for_ever` all after it do too (a process that was
 * killed, a disk that stays full).
 */
int fault_store_new(struct blob_store *inner,
                    struct blob_store **out_store); /* frees inner later */
void fault_store_fail(struct blob_store *store, int64_t after, int error, int for_ever);
void fault_store_fail_removals(struct blob_store *store, int error); /* until it is healed */
/* One object cannot be opened until it is healed. */
void fault_store_fail_object(struct blob_store *store, const char *key, int error);
void fault_store_heal(struct blob_store *store);
void fault_store_left(struct blob_store *store, uint64_t bytes); /* what free_space says */
int64_t fault_store_calls(const struct blob_store *store);       /* so far */
int fault_store_failed(const struct blob_store *store); /* did it fail a call since _fail()? */
