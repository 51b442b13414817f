/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"
#include "common/model/token_text.h"

struct error;

/*
 * token_secret - making tokens, and checking them slowly.
 *
 * A token is `kka_<id>_<secret>`: 12 characters of base62 that name its row, and
 * 43 of base64url (32 random bytes) that prove it. What is kept is the PHC string
 * of argon2id over the secret part (19 MiB, 2 passes, 1 lane). Checking costs
 * some 20 ms and the memory: go through token_verifier.h. Any thread.
 */
#define TOKEN_SECRET_TEXT_SIZE (TOKEN_TEXT_SIZE + 1) /* with the NUL */
#define TOKEN_HASH_SIZE 128

/* memory_wipe() it when it is shown. */
struct token_secret {
    char id[TOKEN_ID_SIZE + 1];
    char secret[TOKEN_SECRET_SIZE + 1];
};

int token_secret_make(struct token_secret *out, struct error *err);

/* -EINVAL for anything that is not exactly of that form; the text is not in the message. */
int token_secret_parse(struct span text, struct token_secret *out, struct error *err);
void token_secret_format(const struct token_secret *token, char out[TOKEN_SECRET_TEXT_SIZE]);
void token_secret_wipe(struct token_secret *token); /* for cleanup() */

/* The PHC string, with a new salt. */
int token_secret_hash(const struct token_secret *token, char out[TOKEN_HASH_SIZE],
                      struct error *err);
/* 0, or -EPERM when it is another secret; -EBADMSG: not a hash. */
int token_secret_verify(const struct token_secret *token, const char *hash, struct error *err);
