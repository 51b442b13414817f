/* SPDX-License-Identifier: MIT */
#include "server/security/token_secret.h"

#include <argon2.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"

/* The second of the choices that OWASP gives for argon2id. */
#define PASSES 2
#define MEMORY_KIB (19 * 1024)
#define LANES 1
#define SALT_SIZE 16
#define OUTPUT_SIZE 32

static void text_wipe(struct token_text *text)
{
    memory_wipe(text, sizeof(*text));
}

static void from_text(const struct token_text *text, struct token_secret *out)
{
    memcpy(out->id, text->id, sizeof(out->id));
    memcpy(out->secret, text->secret, sizeof(out->secret));
}

int token_secret_make(struct token_secret *out, struct error *err)
{
    cleanup(text_wipe) struct token_text text;
    int r = token_text_make(&text, err);

    if (r >= 0)
        from_text(&text, out);
    return r;
}

int token_secret_parse(struct span text, struct token_secret *out, struct error *err)
{
    cleanup(text_wipe) struct token_text split;
    int r = token_text_split(text, &split, err);

    if (r >= 0)
        from_text(&split, out);
    return r;
}

void token_secret_format(const struct token_secret *token, char out[TOKEN_SECRET_TEXT_SIZE])
{
    cleanup(text_wipe) struct token_text text;

    memcpy(text.id, token->id, sizeof(text.id));
    memcpy(text.secret, token->secret, sizeof(text.secret));
    token_text_join(&text, out);
}

void token_secret_wipe(struct token_secret *token)
{
    memory_wipe(token, sizeof(*token));
}

int token_secret_hash(const struct token_secret *token, char out[TOKEN_HASH_SIZE],
                      struct error *err)
{
    uint8_t salt[SALT_SIZE];
    char encoded[TOKEN_HASH_SIZE];
    int r = random_bytes(salt, sizeof(salt), err);

    if (r < 0)
        return r;
    r = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, token->secret, TOKEN_SECRET_SIZE, salt,
                              sizeof(salt), OUTPUT_SIZE, encoded, sizeof(encoded));
    if (r == ARGON2_MEMORY_ALLOCATION_ERROR)
        return error_set(err, -ENOMEM, "out of memory");
    if (r != ARGON2_OK)
        return error_set(err, -EIO, "argon2: %s", argon2_error_message(r));
    memcpy(out, encoded, sizeof(encoded));
    return 0;
}

int token_secret_verify(const struct token_secret *token, const char *hash, struct error *err)
{
    int r = argon2id_verify(hash, token->secret, TOKEN_SECRET_SIZE);

    if (r == ARGON2_OK)
        return 0;
    if (r == ARGON2_VERIFY_MISMATCH)
        return error_set(err, -EPERM, "another secret");
    if (r == ARGON2_MEMORY_ALLOCATION_ERROR)
        return error_set(err, -ENOMEM, "out of memory");
    return error_set(err, -EBADMSG, "the stored hash of a token: %s", argon2_error_message(r));
}
