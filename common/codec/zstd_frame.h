/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * zstd_frame - one zstd frame (RFC 8878) in memory, as deltas and packs carry it.
 *
 * Its content size is given and is the one that both sides know, it names no
 * dictionary, its window is at most 2^28, nothing stands behind it. With a prefix
 * (bytes that both sides have, and that the content resembles) it holds what is
 * new alone: zstd's --patch-from. A reader that was given another prefix makes
 * other bytes or fails: the result is verified by its digest, never believed.
 *
 * Writer and reader keep the library's tables for the next frame. Each belongs to
 * one thread.
 */
#define ZSTD_FRAME_WINDOW_MAX ((uint64_t)1 << 28)

struct zstd_frame_writer;
int zstd_frame_writer_new(struct zstd_frame_writer **out_writer, struct error *err);
struct zstd_frame_writer *zstd_frame_writer_free(struct zstd_frame_writer *writer);

/* Appends one frame of `bytes` to *out. prefix: of size 0 for none; prefix and bytes together at
 * most ZSTD_FRAME_WINDOW_MAX (-EINVAL). */
int zstd_frame_write(struct zstd_frame_writer *writer, struct span bytes, struct span prefix,
                     int level, struct buf *out, struct error *err);

/* The rules of the frame, without unpacking it: -EBADMSG and the rule. `size`: of the content. */
int zstd_frame_check(struct span frame, uint64_t size, struct error *err);

struct zstd_frame_reader;
int zstd_frame_reader_new(struct zstd_frame_reader **out_reader, struct error *err);
struct zstd_frame_reader *zstd_frame_reader_free(struct zstd_frame_reader *reader);

/* Checks, and unpacks exactly `size` bytes to `out`, which is undefined after a failure. */
int zstd_frame_read(struct zstd_frame_reader *reader, struct span frame, struct span prefix,
                    uint8_t *out, size_t size, struct error *err);
