/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct error;

/*
 * token_text - how a token is written: `kka_<id>_<secret>`.
 *
 *   id      12 characters [A-Za-z0-9]: public, it may be logged
 *   secret  43 characters [A-Za-z0-9_-]: 256 bits, never shown again, never logged
 *
 * Error texts never hold any part of what was given.
 */
#define TOKEN_ID_SIZE 12
#define TOKEN_SECRET_SIZE 43
#define TOKEN_TEXT_SIZE (4 + TOKEN_ID_SIZE + 1 + TOKEN_SECRET_SIZE) /* 60, without the NUL */

struct token_text {
    char id[TOKEN_ID_SIZE + 1];
    char secret[TOKEN_SECRET_SIZE + 1];
};

/* -EINVAL. Wipe *out (memory_wipe) when done. */
int token_text_split(struct span text, struct token_text *out, struct error *err);
/* True for an id alone. */
bool token_text_is_id(struct span id);
/* A new one, from the system's generator. -EIO. */
int token_text_make(struct token_text *out, struct error *err);
void token_text_join(const struct token_text *token, char out[TOKEN_TEXT_SIZE + 1]);
