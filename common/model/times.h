/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/entry.h"
#include "common/model/stream.h"

/*
 * times - the modification times of a listing's entries, in its order.
 *
 *   times = "kkartifact-times-1" NUL *i64        little-endian seconds, |t| <= 2^53 - 1, links 0
 *
 * As many as the listing has entries, nothing behind. Carried beside the listing,
 * no part of the identity. A broken rule: -EBADMSG, "offset N: rule". That a
 * link's time is 0 is checked where the listing is at hand (tree_builder.h).
 */
#define TIMES_MAGIC "kkartifact-times-1" /* with its NUL */
#define TIMES_MAGIC_SIZE 19

/* The size of a times blob of `count` entries. */
uint64_t times_size(uint64_t count);

/* In memory or a mapping: checked whole by times_open(), then read by index < count. */
struct times {
    struct span bytes;
    uint64_t count;
};

int times_open(struct span bytes, uint64_t count, struct times *out, struct error *err);
int64_t times_get(const struct times *times, uint64_t index);
/* Checks and hashes. */
int times_check(struct span bytes, uint64_t count, struct digest *out_sha256, struct error *err);

/* The streaming check: bytes in any pieces. The caller's memory, nothing to release. */
struct times_reader {
    uint64_t count; /* expected */
    uint64_t offset;
    struct digest_stream digest;
    size_t used;
    uint8_t piece[TIMES_MAGIC_SIZE + 1];
};

void times_reader_init(struct times_reader *reader, uint64_t count);
int times_reader_feed(struct times_reader *reader, const void *bytes, size_t size,
                      struct error *err);
int times_reader_end(struct times_reader *reader, struct digest *out_sha256, struct error *err);

#define TIMES_WRITER_BUFFER 4096
struct times_writer {
    struct sink sink;
    struct digest_stream digest;
    size_t used;
    uint8_t buffer[TIMES_WRITER_BUFFER];
};

int times_writer_init(struct times_writer *writer, struct sink sink, struct error *err);
int times_writer_add(struct times_writer *writer, int64_t mtime,
                     struct error *err); /* -EINVAL: range */
int times_writer_end(struct times_writer *writer, struct digest *out_sha256, struct error *err);
