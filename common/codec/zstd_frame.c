/* SPDX-License-Identifier: MIT */
#include "common/codec/zstd_frame.h"

#include <errno.h>
#include <stdbool.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define MAGIC 0xFD2FB528u
#define WINDOW_LOG_MIN 10
#define LONG_DISTANCE_LOG 24 /* from here matches lie farther than the level's tables reach */

struct zstd_frame_writer {
    ZSTD_CCtx *context;
};

struct zstd_frame_reader {
    ZSTD_DCtx *context;
};

static int library_error(struct error *err, size_t code)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return error_set(err, -ENOMEM, "out of memory");
    return error_set(err, -EBADMSG, "zstd: %s", ZSTD_getErrorName(code));
}

int zstd_frame_writer_new(struct zstd_frame_writer **out_writer, struct error *err)
{
    struct zstd_frame_writer *writer = memory_new(sizeof(*writer));

    if (writer != NULL)
        writer->context = ZSTD_createCCtx();
    if (writer == NULL || writer->context == NULL) {
        zstd_frame_writer_free(writer);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out_writer = writer;
    return 0;
}

struct zstd_frame_writer *zstd_frame_writer_free(struct zstd_frame_writer *writer)
{
    if (writer == NULL)
        return NULL;
    ZSTD_freeCCtx(writer->context);
    return memory_free(writer);
}

/* The window reaches from the last byte to the first of the prefix: a match may lie anywhere. */
static int set_prefix(ZSTD_CCtx *context, struct span bytes, struct span prefix)
{
    int log = WINDOW_LOG_MIN;

    while ((uint64_t)1 << log < (uint64_t)bytes.size + prefix.size)
        log++;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, log)))
        return -EINVAL;
    if (log >= LONG_DISTANCE_LOG)
        ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    return ZSTD_isError(ZSTD_CCtx_refPrefix(context, prefix.bytes, prefix.size)) ? -EINVAL : 0;
}

int zstd_frame_write(struct zstd_frame_writer *writer, struct span bytes, struct span prefix,
                     int level, struct buf *out, struct error *err)
{
    size_t bound = ZSTD_compressBound(bytes.size);
    uint8_t *at;
    size_t size;

    if (prefix.size > ZSTD_FRAME_WINDOW_MAX || bytes.size > ZSTD_FRAME_WINDOW_MAX - prefix.size)
        return error_set(err, -EINVAL, "a frame and its prefix have at most 2^28 bytes together");
    ZSTD_CCtx_reset(writer->context, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(writer->context, ZSTD_c_dictIDFlag, 0);
    if (prefix.size > 0 && set_prefix(writer->context, bytes, prefix) < 0)
        return error_set(err, -EINVAL, "zstd takes no such prefix");
    at = buf_reserve(out, bound);
    if (at == NULL)
        return buf_check(out, err);
    size = ZSTD_compress2(writer->context, at, bound, bytes.bytes, bytes.size);
    if (ZSTD_isError(size))
        return library_error(err, size);
    buf_added(out, size);
    return 0;
}

struct frame_header {
    uint64_t window;
    uint64_t content;
    bool has_content, has_dictionary;
};

/* By hand, since the library tells the window only through calls that it does not promise to
 * keep. False: no frame's beginning. */
static bool parse_header(struct span frame, struct frame_header *out)
{
    static const uint8_t dictionary_sizes[] = { 0, 1, 2, 4 };
    static const uint8_t content_sizes[] = { 0, 2, 4, 8 };
    const uint8_t *at = frame.bytes;
    uint8_t content_size, dictionary_size;
    bool single;

    if (frame.size < 5 || bytes_u32(at) != MAGIC)
        return false;
    single = (at[4] & 0x20) != 0;
    dictionary_size = dictionary_sizes[at[4] & 3];
    content_size = content_sizes[at[4] >> 6];
    if (single && content_size == 0)
        content_size = 1;
    if (frame.size < (size_t)5 + (single ? 0 : 1) + dictionary_size + content_size)
        return false;
    *out = (struct frame_header){ .has_content = content_size > 0,
                                  .has_dictionary = dictionary_size > 0 };
    if (!single)
        out->window = (((uint64_t)1 << (10 + (at[5] >> 3))) / 8) * (8 + (at[5] & 7));
    at += 5 + (single ? 0 : 1) + dictionary_size;
    for (uint8_t i = 0; i < content_size; i++)
        out->content |= (uint64_t)at[i] << (8 * i);
    if (content_size == 2)
        out->content += 256;
    if (single)
        out->window = out->content;
    return true;
}

int zstd_frame_check(struct span frame, uint64_t size, struct error *err)
{
    struct frame_header header;
    size_t whole;

    if (!parse_header(frame, &header))
        return error_set(err, -EBADMSG, "no zstd frame");
    if (header.has_dictionary)
        return error_set(err, -EBADMSG, "a zstd frame names no dictionary");
    if (!header.has_content || header.content != size)
        return error_set(err, -EBADMSG, "a zstd frame names its content's size");
    if (header.window > ZSTD_FRAME_WINDOW_MAX)
        return error_set(err, -EBADMSG, "a zstd frame's window is at most 2^28");
    whole = ZSTD_findFrameCompressedSize(frame.bytes, frame.size);
    if (ZSTD_isError(whole))
        return library_error(err, whole);
    if (whole != frame.size)
        return error_set(err, -EBADMSG, "nothing stands behind a zstd frame");
    return 0;
}

int zstd_frame_reader_new(struct zstd_frame_reader **out_reader, struct error *err)
{
    struct zstd_frame_reader *reader = memory_new(sizeof(*reader));

    if (reader != NULL)
        reader->context = ZSTD_createDCtx();
    if (reader == NULL || reader->context == NULL) {
        zstd_frame_reader_free(reader);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out_reader = reader;
    return 0;
}

struct zstd_frame_reader *zstd_frame_reader_free(struct zstd_frame_reader *reader)
{
    if (reader == NULL)
        return NULL;
    ZSTD_freeDCtx(reader->context);
    return memory_free(reader);
}

int zstd_frame_read(struct zstd_frame_reader *reader, struct span frame, struct span prefix,
                    uint8_t *out, size_t size, struct error *err)
{
    int r = zstd_frame_check(frame, size, err);
    size_t made;

    if (r < 0)
        return r;
    ZSTD_DCtx_reset(reader->context, ZSTD_reset_session_and_parameters);
    if (prefix.size > 0) {
        size_t code = ZSTD_DCtx_refPrefix(reader->context, prefix.bytes, prefix.size);
        if (ZSTD_isError(code))
            return library_error(err, code);
    }
    made = ZSTD_decompressDCtx(reader->context, out, size, frame.bytes, frame.size);
    if (ZSTD_isError(made))
        return library_error(err, made);
    if (made != size)
        return error_set(err, -EBADMSG, "a zstd frame does not hold what it names");
    return 0;
}
