/* SPDX-License-Identifier: MIT */
#include "common/model/stream.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"

int sink_write(const struct sink *sink, const void *bytes, size_t size, struct error *err)
{
    if (size == 0)
        return 0;
    return sink->write(sink->context, bytes, size, err);
}

static int write_buf(void *context, const void *bytes, size_t size, struct error *err)
{
    struct buf *buf = context;

    buf_add(buf, bytes, size);
    return buf_check(buf, err);
}

struct sink sink_to_buf(struct buf *buf)
{
    return (struct sink){ .write = write_buf, .context = buf };
}

static int write_counter(void *context, const void *bytes, size_t size, struct error *err)
{
    uint64_t *total = context;

    *total += size;
    return 0;
}

struct sink sink_to_counter(uint64_t *out_size)
{
    return (struct sink){ .write = write_counter, .context = out_size };
}

/* The context is only read, though a sink's context is not const in general. */
static int write_file(void *context, const void *bytes, size_t size, struct error *err)
{
    return file_write(*(const int *)context, bytes, size, err);
}

struct sink sink_to_file(const int *fd)
{
    return (struct sink){ .write = write_file, .context = (void *)(uintptr_t)fd };
}

static int read_span(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct span *rest = context;

    if (size > rest->size)
        size = rest->size;
    if (size > 0)
        memcpy(out, rest->bytes, size);
    *rest = span_slice(*rest, size, rest->size);
    *out_size = size;
    return 0;
}

struct source source_of_span(struct span *rest)
{
    return (struct source){ .read = read_span, .context = rest };
}

static int read_file(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    return file_read(*(const int *)context, out, size, out_size, err);
}

struct source source_of_file(const int *fd)
{
    return (struct source){ .read = read_file, .context = (void *)(uintptr_t)fd };
}
