/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * buf - bytes that grow, up to a limit.
 *
 * The first failure (out of memory, or more than `maximum`) sticks: later
 * additions do nothing, and buf_check() tells at the end. So a long series of
 * additions needs one check.
 *
 *     cleanup(buf_release) struct buf out = buf_init(64 * 1024);
 *     buf_format(&out, "%s=%d", name, n);
 *     r = buf_check(&out, err);
 *
 * A buf belongs to one thread. Its bytes move when it grows.
 */
struct buf {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    size_t maximum;
    int failure; /* 0, -ENOMEM or -EFBIG */
};

#define BUF_UNLIMITED SIZE_MAX

struct buf buf_init(size_t maximum); /* allocates nothing */
void buf_release(struct buf *buf);   /* and makes it an empty one with the same maximum */
void buf_clear(struct buf *buf);     /* size 0, failure forgotten, memory kept */

/* 0, or the failure that sticks: -ENOMEM, -EFBIG. */
int buf_check(const struct buf *buf, struct error *err);

void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_span(struct buf *buf, struct span span);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_add_zeros(struct buf *buf, size_t size);
void buf_add_u16(struct buf *buf, uint16_t value); /* little-endian, all three */
void buf_add_u32(struct buf *buf, uint32_t value);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for `size` more bytes to be written at the returned place, then buf_added(); NULL on
 * failure. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_added(struct buf *buf, size_t size);

/* Drops `size` bytes at the front; the rest moves down. */
void buf_drop_front(struct buf *buf, size_t size);

struct span buf_span(const struct buf *buf);

/* The bytes with a NUL behind them (not counted). After a failure "" . Valid until the next
 * change. */
const char *buf_text(struct buf *buf);

/* Hands the bytes over (memory_free() them; a NUL follows) and leaves the buf empty. NULL after a
 * failure. */
void *buf_take(struct buf *buf);
