/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_delta.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"
#include "common/model/merkle.h"

#define BUFFER_SIZE ((size_t)256 * 1024)

CLEANUP_DEFINE(delta_writer, delta_writer_free);

static int read_exactly(const struct push_delta_file *file, uint64_t offset, uint8_t *out,
                        size_t size, struct error *err)
{
    size_t got = 0;
    int r = file_read_at(file->fd, offset, out, size, &got, err);

    if (r < 0)
        return r;
    if (got < size)
        return error_set(err, -ESTALE, "is shorter than it was");
    if (file->stop != NULL && atomic_load_explicit(file->stop, memory_order_relaxed))
        return error_set(err, -ECANCELED, "interrupted");
    return 0;
}

/* Reads a range of the file piece by piece. */
static int read_range(const struct push_delta_file *file, uint64_t offset, uint64_t length,
                      int (*each)(void *context, const void *bytes, size_t size, struct error *err),
                      void *context, uint8_t *buffer, struct error *err)
{
    uint64_t end = offset + length;
    int r = 0;

    while (r == 0 && offset < end) {
        size_t size = end - offset < BUFFER_SIZE ? (size_t)(end - offset) : BUFFER_SIZE;

        r = read_exactly(file, offset, buffer, size, err);
        if (r == 0)
            r = each(context, buffer, size, err);
        offset += size;
    }
    return r;
}

/* Looking -------------------------------------------------------------------- */

struct looking {
    struct chunk_list_builder list;
    struct chunk_list_spool spool;
    struct merkle_builder merkle;
    struct buf *out_list, *out_merkle;
    size_t merkle_at; /* where the object begins in out_merkle */
    uint8_t buffer[BUFFER_SIZE];
};

static int put_merkle(void *context, uint64_t offset, const void *bytes, size_t size,
                      struct error *err)
{
    const struct looking *looking = context;

    memcpy(looking->out_merkle->bytes + looking->merkle_at + offset, bytes, size);
    return 0;
}

static int look_at(void *context, const void *bytes, size_t size, struct error *err)
{
    struct looking *looking = context;
    int r = 0;

    if (looking->out_list != NULL)
        r = chunk_list_builder_add(&looking->list, bytes, size, err);
    if (r == 0 && looking->out_merkle != NULL)
        r = merkle_builder_add(&looking->merkle, bytes, size, err);
    return r;
}

static int begin_merkle(struct looking *looking, uint64_t size, struct error *err)
{
    struct merkle_shape shape;
    int r = merkle_shape_of(size, &shape, err);

    if (r < 0)
        return r;
    if (shape.object_size > looking->out_merkle->maximum)
        return error_set(err, -EFBIG, "the tree is too large");
    looking->merkle_at = looking->out_merkle->size;
    buf_add_zeros(looking->out_merkle, (size_t)shape.object_size);
    r = buf_check(looking->out_merkle, err);
    return r < 0 ? r : merkle_builder_init(&looking->merkle, size, put_merkle, looking, err);
}

static int end_list(struct looking *looking, const struct digest *sha256, struct error *err)
{
    uint8_t header[CHUNK_LIST_HEADER_SIZE];
    const struct sink sink = sink_to_buf(looking->out_list);
    int r = chunk_list_builder_end(&looking->list, sha256, header, err);

    return r < 0 ? r : chunk_list_spool_write(&looking->spool, header, &sink, err);
}

int push_delta_look(const struct push_delta_file *file, struct buf *out_list,
                    struct buf *out_merkle, struct error *err)
{
    cleanup_memory struct looking *looking = memory_new(sizeof(*looking));
    int r = 0;

    if (looking == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    looking->out_list = out_list;
    looking->out_merkle = out_merkle;
    if (out_list != NULL) {
        looking->spool = chunk_list_spool_init(out_list->maximum);
        chunk_list_builder_init(&looking->list, chunk_list_spool_put, &looking->spool);
    }
    if (out_merkle != NULL)
        r = begin_merkle(looking, file->size, err);
    if (r == 0)
        r = read_range(file, 0, file->size, look_at, looking, looking->buffer, err);
    if (r == 0 && out_merkle != NULL)
        r = merkle_builder_end(&looking->merkle, NULL, NULL, err);
    if (r == 0 && out_list != NULL)
        r = end_list(looking, &file->sha256, err);
    if (out_list != NULL)
        chunk_list_spool_release(&looking->spool);
    return r;
}

/* Writing -------------------------------------------------------------------- */

bool push_delta_pays(const struct delta_plan *plan)
{
    return plan->literal_bytes <= plan->target_size - plan->target_size / 4;
}

static int add_data(void *context, const void *bytes, size_t size, struct error *err)
{
    return delta_writer_data(context, bytes, size, err);
}

/* Without the base's bytes. */
static int write_plan(const struct push_delta_file *file, const struct delta_plan *plan,
                      struct delta_writer *writer, struct error *err)
{
    cleanup_memory uint8_t *buffer = memory_resize(NULL, BUFFER_SIZE, 1);
    int r = 0;

    if (buffer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < plan->count; i++) {
        const struct delta_range *range = &plan->ranges[i];

        r = range->copy
                ? delta_writer_copy(writer, range->base_offset, range->length, err)
                : read_range(file, range->offset, range->length, add_data, writer, buffer, err);
    }
    return r;
}

static int read_target(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    return read_exactly(context, offset, out, size, err);
}

static int read_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    int r = read_exactly(context, offset, out, size, err);

    return r == -ESTALE ? error_set(err, -EBADMSG, "the kept copy is cut") : r;
}

int push_delta_write(const struct push_delta_file *file, const struct delta_header *header,
                     const struct delta_plan *plan, int base_fd, struct buf *out, struct error *err)
{
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    struct push_delta_file target = *file, base = { .fd = base_fd, .stop = file->stop };
    int r = delta_writer_new(&writer, header, ZSTD_LEVEL_DEFAULT, sink_to_buf(out), err);

    if (r == 0 && base_fd < 0)
        r = write_plan(file, plan, writer, err);
    else if (r == 0)
        r = delta_plan_write(plan, (struct delta_source){ read_base, &base },
                             (struct delta_source){ read_target, &target }, writer, err);
    return r < 0 ? r : delta_writer_end(writer, err);
}

int push_delta_patch(const struct push_delta_file *file, const struct delta_header *header,
                     int base_fd, struct buf *out, struct error *err)
{
    struct delta_range all = { .length = header->target_size, .base_length = header->base_size };
    struct delta_plan plan = { .ranges = &all,
                               .count = 1,
                               .base_size = header->base_size,
                               .target_size = header->target_size,
                               .literal_bytes = header->target_size };

    return push_delta_write(file, header, &plan, base_fd, out, err);
}
