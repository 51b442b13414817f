/* SPDX-License-Identifier: MIT */
#include "common/codec/zstd.h"

#include <errno.h>
#include <stdbool.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define WINDOW_LOG_MAX 27
#define STEP (128 * 1024)

struct zstd_writer {
    ZSTD_CCtx *context;
    zstd_sink *sink;
    void *sink_context;
    uint8_t out[STEP];
};

struct zstd_reader {
    ZSTD_DCtx *context;
    zstd_sink *sink;
    void *sink_context;
    uint64_t left; /* output still allowed */
    bool ended;    /* the frame is complete */
    uint8_t out[STEP];
};

static int library_error(struct error *err, size_t code, const char *what)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return error_set(err, -ENOMEM, "out of memory");
    return error_set(err, -EBADMSG, "%s: %s", what, ZSTD_getErrorName(code));
}

int zstd_writer_new(struct zstd_writer **out_writer, int level, uint64_t known_size,
                    zstd_sink *sink, void *context, struct error *err)
{
    struct zstd_writer *writer = memory_new(sizeof(*writer));

    if (writer != NULL)
        writer->context = ZSTD_createCCtx();
    if (writer == NULL || writer->context == NULL) {
        zstd_writer_free(writer);
        return error_set(err, -ENOMEM, "out of memory");
    }
    ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setPledgedSrcSize(writer->context,
                                known_size == UINT64_MAX ? ZSTD_CONTENTSIZE_UNKNOWN : known_size);
    writer->sink = sink;
    writer->sink_context = context;
    *out_writer = writer;
    return 0;
}

void zstd_writer_limit_window(struct zstd_writer *writer, int log)
{
    ZSTD_CCtx_setParameter(writer->context, ZSTD_c_windowLog, log);
}

static int write_step(struct zstd_writer *writer, ZSTD_inBuffer *in, ZSTD_EndDirective directive,
                      size_t *out_left, struct error *err)
{
    ZSTD_outBuffer out = { writer->out, sizeof(writer->out), 0 };
    size_t left = ZSTD_compressStream2(writer->context, &out, in, directive);

    if (ZSTD_isError(left)) {
        if (ZSTD_getErrorCode(left) == ZSTD_error_srcSize_wrong)
            return error_set(err, -EINVAL, "the input is not as long as was said");
        return library_error(err, left, "zstd");
    }
    *out_left = left;
    if (out.pos == 0)
        return 0;
    return writer->sink(writer->sink_context, span_of(writer->out, out.pos), err);
}

int zstd_writer_add(struct zstd_writer *writer, struct span bytes, struct error *err)
{
    ZSTD_inBuffer in = { bytes.bytes, bytes.size, 0 };

    while (in.pos < in.size) {
        size_t left;
        int r = write_step(writer, &in, ZSTD_e_continue, &left, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int zstd_writer_end(struct zstd_writer *writer, struct error *err)
{
    ZSTD_inBuffer in = { NULL, 0, 0 };
    size_t left = 1;

    while (left > 0) {
        int r = write_step(writer, &in, ZSTD_e_end, &left, err);
        if (r < 0)
            return r;
    }
    return 0;
}

struct zstd_writer *zstd_writer_free(struct zstd_writer *writer)
{
    if (writer == NULL)
        return NULL;
    ZSTD_freeCCtx(writer->context);
    return memory_free(writer);
}

int zstd_reader_new(struct zstd_reader **out_reader, uint64_t maximum, zstd_sink *sink,
                    void *context, struct error *err)
{
    struct zstd_reader *reader = memory_new(sizeof(*reader));

    if (reader != NULL)
        reader->context = ZSTD_createDCtx();
    if (reader == NULL || reader->context == NULL) {
        zstd_reader_free(reader);
        return error_set(err, -ENOMEM, "out of memory");
    }
    ZSTD_DCtx_setParameter(reader->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    reader->left = maximum;
    reader->sink = sink;
    reader->sink_context = context;
    *out_reader = reader;
    return 0;
}

void zstd_reader_limit_window(struct zstd_reader *reader, int log)
{
    ZSTD_DCtx_setParameter(reader->context, ZSTD_d_windowLogMax, log);
}

int zstd_reader_add(struct zstd_reader *reader, struct span bytes, struct error *err)
{
    ZSTD_inBuffer in = { bytes.bytes, bytes.size, 0 };
    bool full = false;

    /* A full output buffer may hide more that the library keeps: once more, even without input. */
    while (in.pos < in.size || full) {
        ZSTD_outBuffer out = { reader->out, sizeof(reader->out), 0 };
        size_t hint;
        int r;
        if (reader->ended)
            return error_set(err, -EBADMSG, "zstd: bytes behind the end of the frame");
        hint = ZSTD_decompressStream(reader->context, &out, &in);
        if (ZSTD_isError(hint))
            return library_error(err, hint, "zstd");
        if (out.pos > reader->left)
            return error_set(err, -EFBIG, "zstd: unpacks to more than is allowed");
        reader->left -= out.pos;
        if (out.pos > 0) {
            r = reader->sink(reader->sink_context, span_of(reader->out, out.pos), err);
            if (r < 0)
                return r;
        }
        reader->ended = hint == 0;
        full = !reader->ended && out.pos == out.size;
    }
    return 0;
}

int zstd_reader_end(struct zstd_reader *reader, struct error *err)
{
    if (!reader->ended)
        return error_set(err, -EBADMSG, "zstd: the frame is not whole");
    return 0;
}

struct zstd_reader *zstd_reader_free(struct zstd_reader *reader)
{
    if (reader == NULL)
        return NULL;
    ZSTD_freeDCtx(reader->context);
    return memory_free(reader);
}

static int add_to_buf(void *context, struct span bytes, struct error *err)
{
    struct buf *out = context;

    buf_add_span(out, bytes);
    return buf_check(out, err);
}

CLEANUP_DEFINE(zstd_writer, zstd_writer_free);
CLEANUP_DEFINE(zstd_reader, zstd_reader_free);

int zstd_compress(struct span bytes, int level, struct buf *out, struct error *err)
{
    cleanup(cleanup_zstd_writer) struct zstd_writer *writer = NULL;
    int r = zstd_writer_new(&writer, level, bytes.size, add_to_buf, out, err);

    if (r == 0)
        r = zstd_writer_add(writer, bytes, err);
    if (r == 0)
        r = zstd_writer_end(writer, err);
    return r;
}

int zstd_decompress(struct span frame, size_t maximum, struct buf *out, struct error *err)
{
    cleanup(cleanup_zstd_reader) struct zstd_reader *reader = NULL;
    int r = zstd_reader_new(&reader, maximum, add_to_buf, out, err);

    if (r == 0)
        r = zstd_reader_add(reader, frame, err);
    if (r == 0)
        r = zstd_reader_end(reader, err);
    return r;
}
