/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * zstd - Zstandard (RFC 8878), whole and streaming, with limits.
 *
 * A frame from a stranger may announce anything: the reader bounds the output
 * and the window (2^27 bytes), and refuses a dictionary, trailing bytes and a frame
 * that ends early, with -EBADMSG; more output than allowed is -EFBIG.
 */
#define ZSTD_LEVEL_DEFAULT 3

/* Appends one frame with its content size to *out. */
int zstd_compress(struct span bytes, int level, struct buf *out, struct error *err);

/* Appends what exactly one frame unpacks to, at most `maximum` bytes. */
int zstd_decompress(struct span frame, size_t maximum, struct buf *out, struct error *err);

/* Takes what was produced. A failure ends the stream and is returned by the call that met it. */
typedef int zstd_sink(void *context, struct span bytes, struct error *err);

struct zstd_writer; /* one frame */
/* known_size: of the input, written into the frame; UINT64_MAX when it is not known. */
int zstd_writer_new(struct zstd_writer **out_writer, int level, uint64_t known_size,
                    zstd_sink *sink, void *context, struct error *err);
/* Before the first byte: matches lie at most 2^log bytes back, and whoever reads needs no more
 * memory than that. */
void zstd_writer_limit_window(struct zstd_writer *writer, int log);
int zstd_writer_add(struct zstd_writer *writer, struct span bytes, struct error *err);
int zstd_writer_end(struct zstd_writer *writer, struct error *err);
struct zstd_writer *zstd_writer_free(struct zstd_writer *writer);

struct zstd_reader; /* exactly one frame, fed in any pieces */
int zstd_reader_new(struct zstd_reader **out_reader, uint64_t maximum, zstd_sink *sink,
                    void *context, struct error *err);
/* Before the first byte: refuses frames that need a window of more than 2^log bytes. */
void zstd_reader_limit_window(struct zstd_reader *reader, int log);
int zstd_reader_add(struct zstd_reader *reader, struct span bytes, struct error *err);
int zstd_reader_end(struct zstd_reader *reader,
                    struct error *err); /* -EBADMSG: the frame is not whole */
struct zstd_reader *zstd_reader_free(struct zstd_reader *reader);
