/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct token_secret;

/*
 * token_verifier - each token is checked slowly once per process, then by a keyed hash.
 *
 * What was verified is remembered as HMAC-SHA-256, under a key made at start, of
 * the token together with the stored hash it was verified against: when the hash
 * in the database changes (rotation) the memory does not match any more. It says
 * nothing about revocation or expiry: that is the row's matter, looked at on every
 * request. At most `capacity` are remembered; at most `parallel` slow checks run
 * at once, others wait. Any thread, but never an event loop's: it may take long.
 */
struct token_verifier;

int token_verifier_new(size_t capacity, unsigned parallel, struct token_verifier **out,
                       struct error *err);
struct token_verifier *token_verifier_free(struct token_verifier *verifier); /* NULL is fine */

/* 0, or -EPERM. */
int token_verifier_check(struct token_verifier *verifier, const struct token_secret *token,
                         const char *hash, struct error *err);

/* 1: remembered as right; 0: not known, ask token_verifier_check() on a thread that may wait. */
int token_verifier_knows(struct token_verifier *verifier, const struct token_secret *token,
                         const char *hash);

/* Slow checks done so far, for metrics and tests. */
uint64_t token_verifier_slow_count(struct token_verifier *verifier);
