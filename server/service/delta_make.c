/* SPDX-License-Identifier: MIT */
#include "server/service/delta_make.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"
#include "common/model/merkle.h"
#include "server/service/blob_chunks.h"
#include "server/service/blob_fact.h"
#include "server/service/content_state.h"
#include "server/service/context.h"
#include "server/service/delta_proof.h"
#include "server/service/object.h"
#include "server/service/scratch.h"

#define READ_PIECE (256u << 10)
/* Literals of a plan by merkle trees that chunk lists would hardly beat: about three chunks; and of
 * a large target a part so small that cutting both blobs takes longer than sending it. */
#define FEW_LITERALS (64u << 10)
#define FEW_PART 64
/* A delta so small is not worth a look at a patch. */
#define SMALL_DELTA 2048
/* What has to be saved by sending a blob compressed. */
#define WORTH_PART 16
/* Of a target that is not compressed for comparison as a whole. */
#define SAMPLE_COUNT 16

CLEANUP_DEFINE(content, content_close);
CLEANUP_DEFINE(delta_writer, delta_writer_free);
CLEANUP_DEFINE(zstd_writer, zstd_writer_free);

struct making {
    struct services *services;
    const struct blob *base, *target;
    struct object *base_object, *target_object;
    bool by_lists; /* the plan that was taken */
};

static void making_release(struct making *making)
{
    object_unref(making->base_object);
    object_unref(making->target_object);
}

static int read_object(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    return size > 0 ? object_read(context, offset, out, size, err) : 0;
}

static struct delta_source source_of(struct object *object)
{
    return (struct delta_source){ .read = read_object, .context = object };
}

/* ------------------------------------------------------------------ what there is to beat */

static int count_packed(void *context, struct span bytes, struct error *err)
{
    *(uint64_t *)context += bytes.size;
    return 0;
}

/* Bytes of [offset, offset + size) of the target as one zstd frame. */
static int packed_size(const struct making *making, uint64_t offset, uint64_t size,
                       uint64_t *out_size, struct error *err)
{
    cleanup(cleanup_zstd_writer) struct zstd_writer *writer = NULL;
    cleanup_memory uint8_t *piece = memory_resize(NULL, READ_PIECE, 1);
    int r = piece == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    *out_size = 0;
    if (r == 0)
        r = zstd_writer_new(&writer, ZSTD_LEVEL_DEFAULT, size, count_packed, out_size, err);
    for (uint64_t at = 0; r == 0 && at < size; at += READ_PIECE) {
        size_t part = size - at < READ_PIECE ? (size_t)(size - at) : READ_PIECE;

        r = object_read(making->target_object, offset + at, piece, part, err);
        if (r == 0)
            r = zstd_writer_add(writer, span_of(piece, part), err);
    }
    return r < 0 ? r : zstd_writer_end(writer, err);
}

/* Of a large one by pieces from all over it: each has a frame of its own, so what does not compress
 * would seem to grow. */
static int whole_size(const struct making *making, uint64_t *out_size, struct error *err)
{
    const uint64_t size = making->target->size, step = size / SAMPLE_COUNT;
    uint64_t packed, total = 0;
    int r = 0;

    if (size <= DELTA_MAKE_PATCH_MAX)
        return packed_size(making, 0, size, out_size, err);
    for (unsigned i = 0; r == 0 && i < SAMPLE_COUNT; i++) {
        r = packed_size(making, i * step, READ_PIECE, &packed, err);
        total += packed;
    }
    *out_size = (uint64_t)((double)size * ((double)total / (SAMPLE_COUNT * (double)READ_PIECE)));
    if (*out_size > size)
        *out_size = size;
    return r;
}

/* ------------------------------------------------------------------ plans */

/* The merkle object of a blob, held against its digest. */
static int load_merkle(struct services *services, const struct blob *blob,
                       struct merkle_shape *out_shape, struct scratch *out, struct error *err)
{
    cleanup(cleanup_content) struct content *content = NULL;
    int r = merkle_shape_of(blob->size, out_shape, err);

    if (r == 0)
        r = content_of_merkle(services, blob, &content, NULL, err);
    if (r == 0)
        r = scratch_map(services->scratch_path, out_shape->object_size, out, err);
    if (r == 0)
        r = content_read(content, 0, out->bytes, out->size, err);
    if (r == 0)
        r = merkle_check_object(blob->size, &blob->verity, span_of(out->bytes, out->size), err);
    return r;
}

static int plan_by_trees(struct making *making, struct delta_plan *out, struct error *err)
{
    cleanup(scratch_release) struct scratch base = { NULL, 0 }, target = { NULL, 0 };
    struct merkle_shape base_shape, target_shape;
    int r = load_merkle(making->services, making->base, &base_shape, &base, err);

    if (r == 0)
        r = load_merkle(making->services, making->target, &target_shape, &target, err);
    if (r == 0)
        r = delta_plan_of_trees(&base_shape, span_of(base.bytes, base.size), &target_shape,
                                span_of(target.bytes, target.size), out, err);
    return r;
}

static int plan_by_lists(struct making *making, struct delta_plan *out, struct error *err)
{
    cleanup(blob_chunks_release) struct blob_chunks base = { .object = NULL };
    cleanup(blob_chunks_release) struct blob_chunks target = { .object = NULL };
    int r = blob_chunks_open(making->services, making->base, &base, NULL, err);

    if (r == 0)
        r = blob_chunks_open(making->services, making->target, &target, NULL, err);
    if (r == 0)
        r = delta_plan_of_lists(&base.list, &target.list, out, err);
    return r;
}

static bool has_few_literals(const struct delta_plan *plan)
{
    return plan->literal_bytes <= FEW_LITERALS ||
           plan->literal_bytes <= plan->target_size / FEW_PART;
}

/* The better one, or an empty plan: then there is none. What damage costs is the plan alone. */
static void choose_plan(struct making *making, struct delta_plan *out)
{
    struct delta_plan other = { .ranges = NULL };

    if (making->base->size > MERKLE_BLOCK_SIZE && making->target->size > MERKLE_BLOCK_SIZE &&
        plan_by_trees(making, out, NULL) == 0 && has_few_literals(out))
        return;
    if (!blob_chunks_possible(making->base) || !blob_chunks_possible(making->target) ||
        plan_by_lists(making, &other, NULL) < 0)
        return;
    if (out->count > 0 && out->literal_bytes <= other.literal_bytes) {
        delta_plan_release(&other);
        return;
    }
    delta_plan_release(out);
    *out = other;
    making->by_lists = true;
}

/* ------------------------------------------------------------------ the delta */

/* A delta on its way into a scratch file, given up when it becomes no smaller than it has to. */
struct attempt {
    struct services *services;
    int fd;
    uint64_t size, limit;
};

static void attempt_release(struct attempt *attempt)
{
    cleanup_fd_at(&attempt->fd);
}

static int attempt_write(void *context, const void *bytes, size_t size, struct error *err)
{
    struct attempt *attempt = context;
    int r = services_go_on(attempt->services, err);

    if (r < 0)
        return r;
    attempt->size += size;
    if (attempt->size >= attempt->limit)
        return error_set(err, -EFBIG, "no smaller than what it replaces");
    return file_write(attempt->fd, bytes, size, err);
}

static int begin(struct making *making, struct attempt *attempt, struct delta_writer **out_writer,
                 struct error *err)
{
    const struct delta_header header = { .base = making->base->sha256,
                                         .target = making->target->sha256,
                                         .base_size = making->base->size,
                                         .target_size = making->target->size };
    int r = scratch_file(making->services->scratch_path, &attempt->fd, err);

    attempt->services = making->services;
    return r < 0 ? r
                 : delta_writer_new(out_writer, &header, ZSTD_LEVEL_DEFAULT,
                                    (struct sink){ attempt_write, attempt }, err);
}

static int write_plan(struct making *making, const struct delta_plan *plan, struct attempt *attempt,
                      struct error *err)
{
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    int r = begin(making, attempt, &writer, err);

    if (r == 0)
        r = delta_plan_write(plan, source_of(making->base_object), source_of(making->target_object),
                             writer, err);
    return r < 0 ? r : delta_writer_end(writer, err);
}

static int write_patch(struct making *making, struct attempt *attempt, struct error *err)
{
    const size_t base_size = (size_t)making->base->size, target_size = (size_t)making->target->size;
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    cleanup(scratch_release) struct scratch both = { NULL, 0 };
    int r = scratch_map(making->services->scratch_path, base_size + target_size, &both, err);

    if (r == 0)
        r = object_read(making->base_object, 0, both.bytes, base_size, err);
    if (r == 0)
        r = object_read(making->target_object, 0, both.bytes + base_size, target_size, err);
    if (r == 0)
        r = begin(making, attempt, &writer, err);
    if (r == 0)
        r = delta_writer_patch(writer, span_of(both.bytes + base_size, target_size), 0,
                               span_of(both.bytes, base_size), err);
    return r < 0 ? r : delta_writer_end(writer, err);
}

/* All of the target as data: what is sent whole is not compressed on its way, this is. */
static int write_whole(struct making *making, struct attempt *attempt, struct error *err)
{
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    cleanup_memory uint8_t *piece = memory_resize(NULL, READ_PIECE, 1);
    const uint64_t size = making->target->size;
    int r = piece == NULL ? error_set(err, -ENOMEM, "out of memory")
                          : begin(making, attempt, &writer, err);

    for (uint64_t at = 0; r == 0 && at < size; at += READ_PIECE) {
        const size_t part = size - at < READ_PIECE ? (size_t)(size - at) : READ_PIECE;

        r = object_read(making->target_object, at, piece, part, err);
        if (r == 0)
            r = delta_writer_data(writer, piece, part, err);
    }
    return r < 0 ? r : delta_writer_end(writer, err);
}

static bool patch_possible(const struct making *making, uint64_t size_max)
{
    return making->base->size > 0 && making->base->size <= size_max && making->target->size > 0 &&
           making->target->size <= size_max;
}

/* 1 and the smallest delta of fewer than `limit` bytes, or 0. */
static int make_smallest(struct making *making, uint64_t limit, struct attempt *out,
                         struct error *err)
{
    cleanup(delta_plan_release) struct delta_plan plan = { .ranges = NULL };
    cleanup(attempt_release) struct attempt planned = { .fd = -1, .limit = limit };
    cleanup(attempt_release) struct attempt patched = { .fd = -1 };
    int r = -EFBIG;

    choose_plan(making, &plan);
    if (plan.count > 0 && plan.literal_bytes < plan.target_size)
        r = write_plan(making, &plan, &planned, err);
    if (r < 0 && r != -EFBIG)
        return r;
    patched.limit = r == 0 ? planned.size : limit;
    if (patched.limit > SMALL_DELTA && patch_possible(making, DELTA_MAKE_PATCH_MAX)) {
        int p = write_patch(making, &patched, err);

        if (p < 0 && p != -EFBIG)
            return p;
        if (p == 0) {
            making->by_lists = false;
            *out = patched;
            patched.fd = -1;
            return 1;
        }
    }
    if (r < 0)
        return 0;
    *out = planned;
    planned.fd = -1;
    return 1;
}

/* The same of a target that has nothing of its base, or of which all that is left is smaller than
 * what a delta says of it, when it compresses. */
static int make_whole(struct making *making, uint64_t packed, struct attempt *out,
                      struct error *err)
{
    const uint64_t size = making->target->size;
    cleanup(attempt_release) struct attempt attempt = { .fd = -1, .limit = size };
    int r = -EFBIG;

    if (size <= DELTA_PATCH_MAX && packed < size - size / WORTH_PART)
        r = write_whole(making, &attempt, err);
    if (r < 0)
        return r == -EFBIG ? 0 : r;
    making->by_lists = false;
    *out = attempt;
    attempt.fd = -1;
    return 1;
}

bool delta_make_proves(const struct blob *base, const struct blob *target)
{
    return base->size <= DELTA_MAKE_PATCH_MAX && target->size <= DELTA_MAKE_PATCH_MAX;
}

/* Lists that led to something wrong are made again. */
static int prove(struct making *making, const struct attempt *attempt, struct error *err)
{
    int r = delta_proof(making->services, making->base, making->target, attempt->fd, attempt->size,
                        err);

    if (r == -EBADMSG && making->by_lists) {
        blob_chunks_forget(making->services, making->base);
        blob_chunks_forget(making->services, making->target);
    }
    return r;
}

static int making_open(struct making *making, struct error *err)
{
    int r = services_go_on(making->services, err);

    if (r == 0)
        r = blob_object_open(making->services, making->base, &making->base_object, NULL, err);
    if (r == 0)
        r = blob_object_open(making->services, making->target, &making->target_object, NULL, err);
    return r;
}

int delta_make(struct services *services, const struct blob *base, const struct blob *target,
               int *out_fd, uint64_t *out_size, struct error *err)
{
    cleanup(making_release) struct making making = { .services = services,
                                                     .base = base,
                                                     .target = target };
    cleanup(attempt_release) struct attempt attempt = { .fd = -1 };
    uint64_t limit = 0;
    int r;

    if (base->size > DELTA_MAKE_MAX || target->size > DELTA_MAKE_MAX)
        return 0;
    r = making_open(&making, err);
    if (r == 0)
        r = whole_size(&making, &limit, err);
    if (r == 0)
        r = make_smallest(&making, limit, &attempt, err);
    if (r == 0)
        r = make_whole(&making, limit, &attempt, err);
    if (r <= 0)
        return r;
    if (delta_make_proves(base, target))
        r = prove(&making, &attempt, err);
    if (r < 0)
        return r;
    *out_size = attempt.size;
    *out_fd = take_fd(&attempt.fd);
    return 1;
}

int delta_make_patch(struct services *services, const struct blob *base, const struct blob *target,
                     uint64_t limit, int *out_fd, uint64_t *out_size, struct error *err)
{
    cleanup(making_release) struct making making = { .services = services,
                                                     .base = base,
                                                     .target = target };
    cleanup(attempt_release) struct attempt attempt = { .fd = -1 };
    int r;

    if (!patch_possible(&making, DELTA_PATCH_MAX))
        return 0;
    r = making_open(&making, err);
    if (r == 0)
        r = whole_size(&making, &attempt.limit, err);
    if (r == 0 && limit < attempt.limit)
        attempt.limit = limit;
    if (r == 0)
        r = write_patch(&making, &attempt, err);
    if (r == 0)
        r = prove(&making, &attempt, err);
    if (r < 0)
        return r == -EFBIG ? 0 : r;
    *out_size = attempt.size;
    *out_fd = take_fd(&attempt.fd);
    return 1;
}
