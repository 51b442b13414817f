/* SPDX-License-Identifier: MIT */
#include "common/model/token_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/codec/base64.h"

#define PREFIX "kka_"
#define PREFIX_SIZE 4
#define SECRET_BYTES 32

static const char id_alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_id_character(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_secret_character(uint8_t c)
{
    return is_id_character(c) || c == '_' || c == '-';
}

bool token_text_is_id(struct span id)
{
    if (id.size != TOKEN_ID_SIZE)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (!is_id_character(id.bytes[i]))
            return false;
    }
    return true;
}

int token_text_split(struct span text, struct token_text *out, struct error *err)
{
    struct span id = span_slice(text, PREFIX_SIZE, TOKEN_ID_SIZE);
    struct span secret = span_slice(text, PREFIX_SIZE + TOKEN_ID_SIZE + 1, SIZE_MAX);
    bool good = text.size == TOKEN_TEXT_SIZE && memcmp(text.bytes, PREFIX, PREFIX_SIZE) == 0 &&
                token_text_is_id(id) && text.bytes[PREFIX_SIZE + TOKEN_ID_SIZE] == '_';

    for (size_t i = 0; good && i < secret.size; i++)
        good = is_secret_character(secret.bytes[i]);
    if (!good)
        return error_set(err, -EINVAL, "a token looks like kka_<%d characters>_<%d characters>",
                         TOKEN_ID_SIZE, TOKEN_SECRET_SIZE);
    memcpy(out->id, id.bytes, id.size);
    out->id[id.size] = '\0';
    memcpy(out->secret, secret.bytes, secret.size);
    out->secret[secret.size] = '\0';
    return 0;
}

/* Bytes that would favour some characters are thrown away. */
static int make_id(char id[TOKEN_ID_SIZE + 1], struct error *err)
{
    size_t size = 0;

    while (size < TOKEN_ID_SIZE) {
        uint8_t bytes[32];
        int r = random_bytes(bytes, sizeof(bytes), err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < sizeof(bytes) && size < TOKEN_ID_SIZE; i++) {
            if (bytes[i] < 62 * 4)
                id[size++] = id_alphabet[bytes[i] % 62];
        }
    }
    id[size] = '\0';
    return 0;
}

int token_text_make(struct token_text *out, struct error *err)
{
    cleanup(buf_release) struct buf secret = buf_init(TOKEN_SECRET_SIZE + 1);
    struct token_text token;
    uint8_t bytes[SECRET_BYTES];
    int r = make_id(token.id, err);

    if (r == 0)
        r = random_bytes(bytes, sizeof(bytes), err);
    if (r < 0)
        return r;
    base64_url_encode(span_of(bytes, sizeof(bytes)), &secret);
    memory_wipe(bytes, sizeof(bytes));
    r = buf_check(&secret, err);
    if (r < 0)
        return r;
    memcpy(token.secret, buf_text(&secret), sizeof(token.secret));
    memory_wipe(secret.bytes, secret.size);
    *out = token;
    memory_wipe(&token, sizeof(token));
    return 0;
}

void token_text_join(const struct token_text *token, char out[TOKEN_TEXT_SIZE + 1])
{
    memcpy(out, PREFIX, PREFIX_SIZE);
    memcpy(out + PREFIX_SIZE, token->id, TOKEN_ID_SIZE);
    out[PREFIX_SIZE + TOKEN_ID_SIZE] = '_';
    memcpy(out + PREFIX_SIZE + TOKEN_ID_SIZE + 1, token->secret, TOKEN_SECRET_SIZE + 1);
}
