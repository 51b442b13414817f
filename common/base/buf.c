/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define FIRST_CAPACITY 64

struct buf buf_init(size_t maximum)
{
    return (struct buf){ .maximum = maximum };
}

void buf_release(struct buf *buf)
{
    memory_free(buf->bytes);
    *buf = buf_init(buf->maximum);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failure = 0;
}

int buf_check(const struct buf *buf, struct error *err)
{
    if (buf->failure == -EFBIG)
        return error_set(err, -EFBIG, "more than %zu bytes", buf->maximum);
    if (buf->failure != 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* Capacity for `size` more bytes and one NUL. */
static bool grow(struct buf *buf, size_t size)
{
    size_t wanted, capacity;
    uint8_t *bytes;

    if (buf->failure != 0)
        return false;
    if (size > buf->maximum - buf->size || __builtin_add_overflow(buf->size, size, &wanted) ||
        wanted == SIZE_MAX) {
        buf->failure = -EFBIG;
        return false;
    }
    wanted += 1;
    if (wanted <= buf->capacity)
        return true;
    capacity = buf->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buf->capacity;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    bytes = memory_resize(buf->bytes, capacity, 1);
    if (bytes == NULL) {
        buf->failure = -ENOMEM;
        return false;
    }
    buf->bytes = bytes;
    buf->capacity = capacity;
    return true;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    return grow(buf, size) ? buf->bytes + buf->size : NULL;
}

void buf_added(struct buf *buf, size_t size)
{
    buf->size += size;
}

void buf_add(struct buf *buf, const void *bytes, size_t size)
{
    uint8_t *at = buf_reserve(buf, size);

    if (at != NULL && size > 0) {
        memcpy(at, bytes, size);
        buf->size += size;
    }
}

void buf_add_span(struct buf *buf, struct span span)
{
    buf_add(buf, span.bytes, span.size);
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_byte(struct buf *buf, uint8_t byte)
{
    buf_add(buf, &byte, 1);
}

void buf_add_zeros(struct buf *buf, size_t size)
{
    uint8_t *at = buf_reserve(buf, size);

    if (at != NULL) {
        memset(at, 0, size);
        buf->size += size;
    }
}

void buf_add_u16(struct buf *buf, uint16_t value)
{
    uint8_t bytes[2];

    bytes_set_u16(bytes, value);
    buf_add(buf, bytes, sizeof(bytes));
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
    uint8_t bytes[4];

    bytes_set_u32(bytes, value);
    buf_add(buf, bytes, sizeof(bytes));
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    uint8_t bytes[8];

    bytes_set_u64(bytes, value);
    buf_add(buf, bytes, sizeof(bytes));
}

/* Mostly the room that is there suffices: only else it is formatted once more. */
void buf_format(struct buf *buf, const char *format, ...)
{
    size_t room = buf->failure == 0 ? buf->capacity - buf->size : 0;
    va_list args, again;
    int size;

    va_start(args, format);
    va_copy(again, args);
    size = vsnprintf(room > 0 ? (char *)buf->bytes + buf->size : NULL, room, format, args);
    if (size >= 0) {
        uint8_t *at = buf_reserve(buf, (size_t)size);
        if (at != NULL && (size_t)size >= room)
            vsnprintf((char *)at, (size_t)size + 1, format, again);
        if (at != NULL)
            buf->size += (size_t)size;
    } else if (buf->failure == 0) {
        buf->failure = -ENOMEM;
    }
    va_end(again);
    va_end(args);
}

void buf_drop_front(struct buf *buf, size_t size)
{
    if (size >= buf->size) {
        buf->size = 0;
        return;
    }
    memmove(buf->bytes, buf->bytes + size, buf->size - size);
    buf->size -= size;
}

struct span buf_span(const struct buf *buf)
{
    return (struct span){ buf->bytes, buf->size };
}

const char *buf_text(struct buf *buf)
{
    if (buf->failure != 0 || (buf->bytes == NULL && !grow(buf, 0)))
        return "";
    buf->bytes[buf->size] = 0;
    return (const char *)buf->bytes;
}

void *buf_take(struct buf *buf)
{
    uint8_t *bytes;

    if (buf->failure != 0 || (buf->bytes == NULL && !grow(buf, 0)))
        return NULL;
    buf->bytes[buf->size] = 0;
    bytes = buf->bytes;
    *buf = buf_init(buf->maximum);
    return bytes;
}
