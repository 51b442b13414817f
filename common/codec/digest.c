/* SPDX-License-Identifier: MIT */
/*
 * The low-level SHA-256 calls, which OpenSSL 3 calls deprecated in favour of EVP:
 * an EVP context is heap memory whose state cannot be written down, and costs a
 * fetch a block of 4 KiB; this context is plain data. Both end in the same code
 * with the processor's SHA instructions.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/codec/digest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/sha.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/digest_lanes.h"
#include "common/codec/hex.h"

#define BLOCK_SIZE 64

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct digest_stream), "SHA256_CTX fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct digest_stream), "SHA256_CTX is aligned");

struct digest digest_of(const void *bytes, size_t size)
{
    struct digest digest;
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, bytes, size);
    SHA256_Final(digest.bytes, &context);
    return digest;
}

struct digest digest_of_span(struct span bytes)
{
    return digest_of(bytes.bytes, bytes.size);
}

/* What FIPS 180-4 appends to a message of whole 64-byte blocks. */
static void make_padding(uint8_t out[BLOCK_SIZE], uint64_t size)
{
    memset(out, 0, BLOCK_SIZE);
    out[0] = 0x80;
    for (int i = 0; i < 8; i++)
        out[BLOCK_SIZE - 1 - i] = (uint8_t)(8 * size >> 8 * i);
}

static void begin_state(uint32_t state[8])
{
    SHA256_CTX context;

    SHA256_Init(&context);
    for (int i = 0; i < 8; i++)
        state[i] = context.h[i];
}

static void put_state(const uint32_t state[8], struct digest *out)
{
    for (int i = 0; i < DIGEST_SIZE; i++)
        out->bytes[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

void digest_of_blocks(const void *bytes, size_t block_size, size_t count, struct digest *out)
{
    const bool by_lanes = digest_lanes_possible();
    const uint8_t *at = bytes;
    uint8_t padding[BLOCK_SIZE];
    const uint8_t *const paddings[DIGEST_LANES] = { padding, padding };

    assert(block_size % BLOCK_SIZE == 0);
    make_padding(padding, block_size);
    for (; by_lanes && count >= DIGEST_LANES; count -= DIGEST_LANES) {
        const uint8_t *const messages[DIGEST_LANES] = { at, at + block_size };
        uint32_t states[DIGEST_LANES][8];

        for (int i = 0; i < DIGEST_LANES; i++)
            begin_state(states[i]);
        digest_lanes_add(states, messages, block_size / BLOCK_SIZE);
        digest_lanes_add(states, paddings, 1);
        for (int i = 0; i < DIGEST_LANES; i++)
            put_state(states[i], out++);
        at += DIGEST_LANES * block_size;
    }
    for (; count > 0; count--, at += block_size)
        *out++ = digest_of(at, block_size);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE);
}

bool digest_is_zero(const struct digest *digest)
{
    static const struct digest zero;

    return digest_equal(digest, &zero);
}

void digest_hex(const struct digest *digest, char out[DIGEST_HEX_SIZE])
{
    hex_encode(digest->bytes, DIGEST_SIZE, out);
}

int digest_parse(struct span hex, struct digest *out, struct error *err)
{
    struct digest digest;

    if (hex.size != 2 * DIGEST_SIZE || hex_decode(hex, digest.bytes) < 0)
        return error_set(err, -EINVAL, "a digest is 64 lower-case hexadecimal digits");
    *out = digest;
    return 0;
}

void digest_stream_init(struct digest_stream *stream)
{
    SHA256_Init((SHA256_CTX *)stream->state);
}

void digest_stream_add(struct digest_stream *stream, const void *bytes, size_t size)
{
    SHA256_Update((SHA256_CTX *)stream->state, bytes, size);
}

static void count_bytes(SHA256_CTX *context, uint64_t size)
{
    const uint64_t bits = (((uint64_t)context->Nh << 32) | context->Nl) + 8 * size;

    context->Nl = (SHA_LONG)bits;
    context->Nh = (SHA_LONG)(bits >> 32);
}

void digest_stream_add_blocks(struct digest_stream *stream, const void *bytes, size_t block_size,
                              size_t count, struct digest *out)
{
    SHA256_CTX *context = (SHA256_CTX *)stream->state;
    uint32_t states[DIGEST_LANES][8]; /* the stream's, a block's */
    uint8_t padding[BLOCK_SIZE];

    assert(block_size % BLOCK_SIZE == 0);
    if (!digest_lanes_possible() || context->num != 0) {
        digest_stream_add(stream, bytes, block_size * count);
        digest_of_blocks(bytes, block_size, count, out);
        return;
    }
    make_padding(padding, block_size);
    for (int i = 0; i < 8; i++)
        states[0][i] = context->h[i];
    for (size_t block = 0; block < count; block++) {
        const uint8_t *const message = (const uint8_t *)bytes + block * block_size;
        const uint8_t *const messages[DIGEST_LANES] = { message, message };
        const uint8_t *const paddings[DIGEST_LANES] = { padding, padding };
        uint32_t ends[DIGEST_LANES][8];

        begin_state(states[1]);
        digest_lanes_add(states, messages, block_size / BLOCK_SIZE);
        memcpy(ends, states, sizeof(ends));
        digest_lanes_add(ends, paddings, 1); /* of the stream's it means nothing */
        put_state(ends[1], &out[block]);
    }
    for (int i = 0; i < 8; i++)
        context->h[i] = states[0][i];
    count_bytes(context, (uint64_t)block_size * count);
}

struct digest digest_stream_end(struct digest_stream *stream)
{
    struct digest digest;

    SHA256_Final(digest.bytes, (SHA256_CTX *)stream->state);
    return digest;
}

uint64_t digest_stream_size(const struct digest_stream *stream)
{
    const SHA256_CTX *context = (const SHA256_CTX *)stream->state;

    return ((uint64_t)context->Nh << 32 | context->Nl) / 8;
}

void digest_stream_save(const struct digest_stream *stream, uint8_t out[DIGEST_SAVED_SIZE])
{
    const SHA256_CTX *context = (const SHA256_CTX *)stream->state;

    memset(out, 0, DIGEST_SAVED_SIZE);
    bytes_set_u64(out, digest_stream_size(stream));
    for (int i = 0; i < 8; i++)
        bytes_set_u32(out + 8 + 4 * i, context->h[i]);
    memcpy(out + 40, context->data, context->num);
}

int digest_stream_load(struct digest_stream *stream, struct span saved, struct error *err)
{
    SHA256_CTX *context = (SHA256_CTX *)stream->state;
    uint64_t size;

    if (saved.size != DIGEST_SAVED_SIZE)
        return error_set(err, -EBADMSG, "a saved SHA-256 state has %d bytes, not %zu",
                         DIGEST_SAVED_SIZE, saved.size);
    size = bytes_u64(saved.bytes);
    if (size >= (uint64_t)1 << 61)
        return error_set(err, -EBADMSG, "a saved SHA-256 state counts too many bytes");
    SHA256_Init(context);
    context->Nl = (SHA_LONG)(size << 3);
    context->Nh = (SHA_LONG)(size >> 29);
    for (int i = 0; i < 8; i++)
        context->h[i] = bytes_u32(saved.bytes + 8 + 4 * i);
    context->num = (unsigned)(size % BLOCK_SIZE);
    memcpy(context->data, saved.bytes + 40, context->num);
    return 0;
}

struct digest digest_keyed(struct span key, struct span bytes)
{
    uint8_t inner[BLOCK_SIZE] = { 0 }, outer[BLOCK_SIZE];
    struct digest_stream stream;
    struct digest digest;

    if (key.size > BLOCK_SIZE) {
        digest = digest_of_span(key);
        memcpy(inner, digest.bytes, DIGEST_SIZE);
    } else if (key.size > 0) {
        memcpy(inner, key.bytes, key.size);
    }
    for (int i = 0; i < BLOCK_SIZE; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    digest_stream_init(&stream);
    digest_stream_add(&stream, inner, BLOCK_SIZE);
    digest_stream_add(&stream, bytes.bytes, bytes.size);
    digest = digest_stream_end(&stream);
    digest_stream_init(&stream);
    digest_stream_add(&stream, outer, BLOCK_SIZE);
    digest_stream_add(&stream, digest.bytes, DIGEST_SIZE);
    digest = digest_stream_end(&stream);
    memory_wipe(inner, sizeof(inner));
    memory_wipe(outer, sizeof(outer));
    return digest;
}
