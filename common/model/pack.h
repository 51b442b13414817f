/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/stream.h"

/*
 * pack - many small blobs in one body (application/vnd.kkartifact.pack).
 *
 *   pack   = "KKAPACK1" *member end
 *   member = sha256, u64 size, u8 coding, u64 stored size, bytes
 *   end    = 32 zero bytes, u64 count of members, and nothing behind
 *
 * Coding 0: the blob as it is, stored = size. 1: one zstd frame (zstd_frame.h), stored
 * 1..size: what zstd does not make smaller stands as it is.
 *
 * Two kinds of wrong: a pack whose structure is broken ends with -EBADMSG, "offset N:
 * rule", since nobody knows where the next member begins. A member whose frame or
 * digest is wrong is told as damaged, and the others count.
 */
#define PACK_MAGIC "KKAPACK1"
#define PACK_MEDIA_TYPE "application/vnd.kkartifact.pack"
#define PACK_MEMBER_SIZE 49 /* before a member's bytes */
#define PACK_MAX_BLOB 9007199254740991u

enum pack_coding { PACK_RAW = 0, PACK_ZSTD = 1 };

struct pack_member {
    struct digest sha256; /* its name */
    uint64_t size;
    struct span bytes;  /* `size` bytes of this digest; empty when damaged */
    const char *damage; /* NULL: whole; else what is wrong with it */
};

/* Each member once, in order; what it points to lives until it returns. What it returns (not 0)
 * ends the reading. */
typedef int pack_function(void *context, const struct pack_member *member, struct error *err);

struct pack_limits {
    uint64_t member_size; /* of a blob; -EFBIG above */
    uint64_t count;       /* of members; -EFBIG above */
};

/* A member's header is read: whether its bytes are wanted. Those of another are passed over as they
 * come, neither kept, unpacked nor held against the digest, and it is not given to the function
 * above. What it returns (not 0) ends the reading. */
typedef int pack_ask_function(void *context, const struct digest *sha256, uint64_t size,
                              bool *out_wanted, struct error *err);

/* Reader: a pack in any pieces. Memory: one member, stored and unpacked. One thread. */
struct pack_reader;

int pack_reader_new(struct pack_reader **out_reader, const struct pack_limits *limits,
                    pack_function *function, void *context, struct error *err);
/* Asks with the function's context before each member. Before the first bytes; else all are
 * wanted. */
void pack_reader_ask(struct pack_reader *reader, pack_ask_function *ask);
struct pack_reader *pack_reader_free(struct pack_reader *reader);
/* After any failure the reader is only good for free; members that were given count. */
int pack_reader_feed(struct pack_reader *reader, const void *bytes, size_t size, struct error *err);
/* The end of the bytes: refuses half a pack. */
int pack_reader_end(struct pack_reader *reader, struct error *err);

/* Writer: member by member, through the sink. After a failure only good for free. One thread. */
struct pack_writer;

int pack_writer_new(struct pack_writer **out_writer, int level, struct sink sink,
                    struct error *err);
struct pack_writer *pack_writer_free(struct pack_writer *writer);
/* zstd where it saves a sixteenth; not tried below 128 bytes, nor when a sample from the middle of
 * a larger blob says that it will not. The caller has made the digest. -EINVAL: a digest of zeros,
 * which marks the end. */
int pack_writer_add(struct pack_writer *writer, const struct digest *sha256, struct span bytes,
                    struct error *err);
/* A blob of `size` bytes that is stored so already. -EINVAL: sizes, or a frame, that a reader would
 * not take. */
int pack_writer_add_stored(struct pack_writer *writer, const struct digest *sha256, uint64_t size,
                           enum pack_coding coding, struct span stored, struct error *err);
int pack_writer_end(struct pack_writer *writer, struct error *err);
/* Bytes of the pack so far, and in all after the end. */
uint64_t pack_writer_size(const struct pack_writer *writer);
