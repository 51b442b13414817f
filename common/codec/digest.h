/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * digest - SHA-256 (FIPS 180-4): of bytes at once, of a stream, with a key.
 *
 * A stream's state is plain data: it may be copied to fork a computation, needs no
 * release, never allocates and never fails. digest_stream_save() makes it bytes
 * that another process or machine goes on with, so that an upload in parts can
 * be hashed by whoever receives the next part. A state belongs to one thread.
 */
#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65 /* with the NUL */

struct digest {
    uint8_t bytes[DIGEST_SIZE];
};

struct digest digest_of(const void *bytes, size_t size);
struct digest digest_of_span(struct span bytes);
bool digest_equal(const struct digest *a, const struct digest *b);  /* not for secrets */
int digest_compare(const struct digest *a, const struct digest *b); /* bytes unsigned: <0, 0, >0 */
bool digest_is_zero(const struct digest *digest);

/* Of each of `count` blocks of block_size bytes (a multiple of 64) that follow each other: where
 * the processor has SHA instructions, in about half the time of as many digest_of(). */
void digest_of_blocks(const void *bytes, size_t block_size, size_t count, struct digest *out);

/* Lower case, terminated. */
void digest_hex(const struct digest *digest, char out[DIGEST_HEX_SIZE]);
/* Exactly 64 lower-case hex digits, else -EINVAL. */
int digest_parse(struct span hex, struct digest *out, struct error *err);

struct digest_stream {
    _Alignas(16) uint8_t state[128]; /* the library's context, checked at build time to fit */
};

void digest_stream_init(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *bytes, size_t size);
/* The blocks to the stream and, as digest_of_blocks() does, to their own digests, both in about the
 * time of one; so it is while the stream has a multiple of 64 bytes. */
void digest_stream_add_blocks(struct digest_stream *stream, const void *bytes, size_t block_size,
                              size_t count, struct digest *out);
struct digest digest_stream_end(struct digest_stream *stream); /* init before the next use */

/* `u64 bytes so far, 8 x u32 state, 64 bytes of the unfinished block (zeros behind)`,
 * little-endian. */
#define DIGEST_SAVED_SIZE 104
void digest_stream_save(const struct digest_stream *stream, uint8_t out[DIGEST_SAVED_SIZE]);
int digest_stream_load(struct digest_stream *stream, struct span saved,
                       struct error *err);                       /* -EBADMSG */
uint64_t digest_stream_size(const struct digest_stream *stream); /* bytes added so far */

/* HMAC-SHA-256 (RFC 2104). */
struct digest digest_keyed(struct span key, struct span bytes);
