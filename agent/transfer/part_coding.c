/* SPDX-License-Identifier: MIT */
#include "agent/transfer/part_coding.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/upload_windows.h"

#define STEP ((size_t)256 << 10)
#define SAMPLES 4
#define SAMPLE_SIZE ((size_t)64 << 10)
#define SAMPLE_LEVEL 1

CLEANUP_DEFINE(zstd_writer, zstd_writer_free);

bool part_coding_pays(int fd, uint64_t size)
{
    cleanup_memory uint8_t *piece = memory_resize(NULL, SAMPLE_SIZE, 1);
    uint64_t step = size / SAMPLES, raw = 0, packed = 0;

    for (uint64_t i = 0; piece != NULL && i < SAMPLES; i++) {
        cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
        size_t got = 0;

        if (file_read_at(fd, i * step, piece, step < SAMPLE_SIZE ? (size_t)step : SAMPLE_SIZE, &got,
                         NULL) < 0 ||
            zstd_compress(span_of(piece, got), SAMPLE_LEVEL, &frame, NULL) < 0)
            return false;
        raw += got;
        packed += frame.size;
    }
    return packed < raw - raw / 8;
}

/* What was saved is lost when there is more than this. */
struct packing {
    struct buf *out;
    uint64_t limit;
};

static int add_packed(void *context, struct span bytes, struct error *err)
{
    struct packing *packing = context;

    if (bytes.size >= packing->limit)
        return error_set(err, -EFBIG, "it does not become smaller");
    packing->limit -= bytes.size;
    buf_add_span(packing->out, bytes);
    return buf_check(packing->out, err);
}

int part_coding_pack(int fd, uint64_t offset, uint64_t size, const atomic_bool *stop,
                     struct buf *out, struct error *err)
{
    cleanup(cleanup_zstd_writer) struct zstd_writer *writer = NULL;
    cleanup_memory uint8_t *piece = memory_resize(NULL, STEP, 1);
    struct packing packing = { out, size };
    int r = piece == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    if (r == 0)
        r = zstd_writer_new(&writer, ZSTD_LEVEL_DEFAULT, size, add_packed, &packing, err);
    if (r == 0)
        zstd_writer_limit_window(writer, UPLOAD_PART_WINDOW_LOG);
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t step = size - at < STEP ? (size_t)(size - at) : STEP, got = 0;

        r = file_read_at(fd, offset + at, piece, step, &got, err);
        if (r == 0 && got < step)
            r = error_set(err, -ESTALE, "is shorter than it was");
        if (r == 0 && stop != NULL && atomic_load_explicit(stop, memory_order_relaxed))
            r = error_set(err, -ECANCELED, "interrupted");
        if (r == 0)
            r = zstd_writer_add(writer, span_of(piece, step), err);
        at += step;
    }
    return r < 0 ? r : zstd_writer_end(writer, err);
}
