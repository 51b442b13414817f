/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_mend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/range_fetch.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/model/delta.h"
#include "common/model/merkle.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define UPPER_MAX ((uint64_t)16 << 20) /* of a merkle tree; a blob of 256 GiB has it */
#define ASKING_COSTS (32u << 10)       /* bytes that could come in the time of a request */

/* One blob. */
struct mending {
    const struct pull_fetch_options *options;
    const struct pull_blob *blob;
    int fd;
    uint8_t *piece; /* MERKLE_PIECE_SIZE */
    struct merkle_shape shape;
    struct buf upper;
    struct buf ranges; /* struct range_fetch_range each: of the tree */
    struct buf wrong;  /* the same: of the data, what is wrong */
    uint64_t cost;     /* of fetching that */
    uint64_t received;
    bool is_over; /* the ranges came, or failed to: */
    int result;
    struct error error;
};

static void mending_release(struct mending *mending)
{
    cleanup_fd_at(&mending->fd);
    memory_free(mending->piece);
    buf_release(&mending->upper);
    buf_release(&mending->ranges);
    buf_release(&mending->wrong);
}

static bool is_fatal(int r)
{
    return r == -ECANCELED || r == -ENOMEM;
}

/* Or broken, to the end of the tries. Who has waited so long for one file need not for each of the
 * others. */
static bool is_away(int r)
{
    return r == -EAGAIN || r == -ETIMEDOUT || r == -EIO;
}

static void name_blob(const struct pull_fetch_options *options, const struct pull_blob *blob,
                      struct buf *out)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&blob->sha256, hex);
    api_path_blob(out, options->project, options->app, options->version, hex);
}

static void name_made(const struct pull_blob *blob, char out[PULL_FETCH_NAME_SIZE])
{
    digest_hex(&blob->sha256, out);
    memcpy(out + DIGEST_HEX_SIZE - 1, PULL_FETCH_MADE, sizeof(PULL_FETCH_MADE));
}

/* Before: what is there ----------------------------------------------------------- */

/* The first bytes of an answer. */
struct opening {
    uint8_t bytes[sizeof(DELTA_MAGIC) - 1];
    size_t size;
};

static int take_opening(void *context, struct span bytes, struct error *err)
{
    struct opening *opening = context;
    struct span more = span_slice(bytes, 0, sizeof(opening->bytes) - opening->size);

    if (more.size > 0)
        memcpy(opening->bytes + opening->size, more.bytes, more.size);
    opening->size += more.size;
    return opening->size < sizeof(opening->bytes) ? 0 : error_set(err, -EBADMSG, "that is enough");
}

/* Whether the server makes a delta from it: 1, 0, or an error when it is away too. Of a blob that
 * comes instead hardly anything does. */
static int server_knows(const struct pull_fetch_options *options, const struct pull_blob *blob,
                        struct error *err)
{
    const struct http_header range = { "Range", "bytes=0-7" };
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct opening opening = { .size = 0 };
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .headers = &range,
                                  .header_count = 1,
                                  .on_body = take_opening,
                                  .context = &opening };
    char hex[DIGEST_HEX_SIZE];
    int r;

    name_blob(options, blob, &path);
    digest_hex(&blob->base->sha256, hex);
    buf_format(&path, "?from=%s", hex);
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = api_call_run(options->transfer->client, &spec, &result, err);
    if (is_fatal(r) || is_away(r))
        return r;
    return opening.size == sizeof(opening.bytes) &&
           memcmp(opening.bytes, DELTA_MAGIC, opening.size) == 0;
}

static int copy_base(const struct pull_fetch_options *options, const struct pull_blob *blob,
                     const char *made, struct error *err)
{
    cleanup_fd int from = -1, to = -1;
    struct file_info info;
    int r = directory_open_read(options->dest, blob->base->path, &from, err);

    if (r == 0)
        r = file_info(from, &info, err);
    directory_remove_file(options->stage, made, NULL);
    if (r == 0)
        r = directory_create(options->stage, made, 0600, &to, err);
    if (r == 0)
        r = file_copy(from, to, info.size < blob->size ? info.size : blob->size, err);
    return r < 0 || info.size >= blob->size ? r : file_truncate(to, blob->size, err);
}

static int prepare(const struct pull_fetch_options *options, struct pull_blob *blob, bool *away,
                   struct error *err)
{
    struct pull_base *base = blob->base;
    char made[PULL_FETCH_NAME_SIZE];
    int r = transfer_stopped(options->transfer, err);

    if (r == 0 && !digest_equal(&base->sha256, &blob->sha256))
        r = *away ? 1 : server_knows(options, blob, err);
    if (r != 0) {
        base->is_changed = false;
        *away |= is_away(r);
        return r > 0 || is_away(r) ? 0 : r;
    }
    base->sha256 = base->noted;
    if (!digest_equal(&base->noted, &blob->sha256))
        return 0;
    name_made(blob, made);
    base->is_known = false;
    base->is_made = copy_base(options, blob, made, NULL) == 0;
    if (!base->is_made)
        directory_remove_file(options->stage, made, NULL);
    return 0;
}

int pull_mend_prepare(const struct pull_fetch_options *options, struct error *err)
{
    bool away = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < options->count; i++) {
        struct pull_blob *blob = &options->blobs[i];

        if (!blob->is_here && blob->base != NULL && blob->base->is_known && blob->base->is_changed)
            r = prepare(options, blob, &away, err);
    }
    return r;
}

/* After: what is wrong ------------------------------------------------------------ */

static void ranges_came(void *context, int r, const struct error *err)
{
    struct mending *mending = context;

    mending->is_over = true;
    mending->result = r;
    mending->error = *err;
}

static bool are_over(void *context)
{
    return ((const struct mending *)context)->is_over;
}

/* Of the blob, or with "/merkle" of its tree. */
static int fetch_ranges(struct mending *mending, const char *what, const struct buf *ranges,
                        range_fetch_give *give, struct error *err)
{
    struct transfer *transfer = mending->options->transfer;
    struct http_loop *loop = api_client_loop(transfer->client);
    cleanup(buf_release) struct buf path = buf_init(4096);
    struct range_fetch_options options = {
        .client = transfer->client,
        .ranges = (const struct range_fetch_range *)(const void *)ranges->bytes,
        .count = ranges->size / sizeof(struct range_fetch_range),
        .give = give,
        .done = ranges_came,
        .context = mending,
    };
    struct range_fetch *fetch;
    int r;

    name_blob(mending->options, mending->blob, &path);
    buf_add_text(&path, what);
    options.path = buf_text(&path);
    r = buf_check(&path, err);
    mending->is_over = false;
    if (r == 0)
        r = range_fetch_start(&options, &fetch, err);
    if (r < 0)
        return r;
    while (r == 0 && !mending->is_over) {
        r = http_loop_run_until(loop, are_over, mending, clock_monotonic_ms() + TURN_MS, err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(transfer, err);
    }
    if (!mending->is_over)
        range_fetch_cancel(fetch);
    else if (r == 0 && mending->result < 0)
        r = error_set(err, mending->result, "%s", mending->error.text);
    return r;
}

static int add_range(struct buf *ranges, uint64_t offset, uint64_t size, struct error *err)
{
    struct range_fetch_range range = { offset, size };

    buf_add(ranges, &range, sizeof(range));
    return buf_check(ranges, err);
}

static int give_upper(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct mending *mending = context;

    mending->received += bytes.size;
    buf_add_span(&mending->upper, bytes);
    return buf_check(&mending->upper, err);
}

static int fetch_upper(struct mending *mending, struct error *err)
{
    int r = merkle_shape_of(mending->blob->size, &mending->shape, err);

    if (r == 0 && mending->shape.bottom_offset > UPPER_MAX)
        r = error_set(err, -EFBIG, "it is too large to be mended");
    if (r == 0 && mending->shape.bottom_offset > 0) {
        r = add_range(&mending->ranges, 0, mending->shape.bottom_offset, err);
        if (r == 0)
            r = fetch_ranges(mending, "/merkle", &mending->ranges, give_upper, err);
        buf_clear(&mending->ranges);
    }
    return r < 0 ? r
                 : merkle_check_upper(&mending->shape, &mending->blob->base->verity,
                                      buf_span(&mending->upper), err);
}

static int read_piece(const struct mending *mending, uint64_t piece, struct span *out,
                      struct error *err)
{
    const uint64_t offset = piece * MERKLE_PIECE_SIZE, left = mending->blob->size - offset;
    const size_t size = left < MERKLE_PIECE_SIZE ? (size_t)left : MERKLE_PIECE_SIZE;
    size_t got = 0;
    int r = file_read_at(mending->fd, offset, mending->piece, size, &got, err);

    if (r == 0 && got < size)
        r = error_set(err, -EIO, "what was made is too short");
    if (r == 0)
        *out = span_of(mending->piece, size);
    return r;
}

static int find_pieces(struct mending *mending, struct error *err)
{
    const struct merkle_shape *shape = &mending->shape;
    struct span data;
    int r = 0;

    for (uint64_t piece = 0; r == 0 && piece < shape->piece_count; piece++) {
        r = transfer_stopped(mending->options->transfer, err);
        if (r == 0)
            r = read_piece(mending, piece, &data, err);
        if (r == 0 && merkle_check_piece(shape, &mending->blob->base->verity,
                                         buf_span(&mending->upper), piece, data, NULL, NULL) < 0)
            r = add_range(&mending->ranges, shape->bottom_offset + piece * MERKLE_BLOCK_SIZE,
                          MERKLE_BLOCK_SIZE, err);
    }
    return r;
}

/* It is not worth while when it costs about as much as the blob. */
static int add_wrong(struct mending *mending, uint64_t offset, uint64_t size, struct error *err)
{
    mending->cost += size + ASKING_COSTS;
    if (mending->cost > mending->blob->size / 2)
        return error_set(err, -EBADMSG, "too much of the file was changed");
    return add_range(&mending->wrong, offset, size, err);
}

/* The bottom block of a piece in which something is wrong: which blocks of data are. */
static int give_bottom(void *context, uint64_t offset, struct span bottom, struct error *err)
{
    struct mending *mending = context;
    const struct merkle_shape *shape = &mending->shape;
    const uint64_t piece = (offset - shape->bottom_offset) / MERKLE_BLOCK_SIZE;
    const uint64_t begin = piece * MERKLE_PIECE_SIZE;
    struct span data;
    size_t run = 0; /* bytes before `at` that are wrong */
    int r = merkle_check_bottom(shape, &mending->blob->base->verity, buf_span(&mending->upper),
                                piece, bottom, err);

    mending->received += bottom.size;
    if (r == 0)
        r = read_piece(mending, piece, &data, err);
    for (size_t at = 0; r == 0 && at < data.size; at += MERKLE_BLOCK_SIZE) {
        const struct span block = span_slice(data, at, MERKLE_BLOCK_SIZE);

        if (merkle_check_blocks(shape, bottom, begin + at, block, NULL) < 0) {
            run += block.size;
        } else if (run > 0) {
            r = add_wrong(mending, begin + at - run, run, err);
            run = 0;
        }
    }
    return r < 0 || run == 0 ? r : add_wrong(mending, begin + data.size - run, run, err);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range_fetch_range *left = a, *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

static int give_block(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct mending *mending = context;

    mending->received += bytes.size;
    return file_write_at(mending->fd, offset, bytes.bytes, bytes.size, err);
}

static int find_wrong(struct mending *mending, struct error *err)
{
    int r = fetch_upper(mending, err);

    if (r == 0)
        r = find_pieces(mending, err);
    if (r == 0 && mending->ranges.size > 0)
        r = fetch_ranges(mending, "/merkle", &mending->ranges, give_bottom, err);
    if (r == 0 && mending->wrong.size > 0) /* pieces come in no order */
        qsort(mending->wrong.bytes, mending->wrong.size / sizeof(struct range_fetch_range),
              sizeof(struct range_fetch_range), compare_ranges);
    return r;
}

static int check_digest(const struct mending *mending, struct error *err)
{
    struct digest sha256;
    int r = hasher_read(mending->fd, mending->blob->size, mending->piece, MERKLE_PIECE_SIZE,
                        mending->options->transfer->stop, &sha256, err);

    return r == 0 && !digest_equal(&sha256, &mending->blob->sha256)
               ? error_set(err, -EBADMSG, "what was mended does not match its digest")
               : r;
}

static int mend_made(struct mending *mending, const char *made, struct error *err)
{
    struct directory *stage = mending->options->stage;
    char hex[DIGEST_HEX_SIZE];
    int r;

    mending->piece = memory_resize(NULL, MERKLE_PIECE_SIZE, 1);
    if (mending->piece == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_open_write(stage, made, &mending->fd, err);
    if (r == 0)
        r = find_wrong(mending, err);
    if (r == 0 && mending->wrong.size > 0)
        r = fetch_ranges(mending, "", &mending->wrong, give_block, err);
    if (r == 0)
        r = check_digest(mending, err);
    cleanup_fd_at(&mending->fd);
    digest_hex(&mending->blob->sha256, hex);
    return r < 0 ? r : directory_rename(stage, made, stage, hex, err);
}

static int mend(const struct pull_fetch_options *options, struct pull_blob *blob, bool *away,
                struct error *err)
{
    cleanup(mending_release) struct mending mending = { .options = options,
                                                        .blob = blob,
                                                        .fd = -1,
                                                        .upper = buf_init(UPPER_MAX),
                                                        .ranges = buf_init(BUF_UNLIMITED),
                                                        .wrong = buf_init(BUF_UNLIMITED) };
    struct transfer *transfer = options->transfer;
    char made[PULL_FETCH_NAME_SIZE];
    struct error told;
    int r;

    name_made(blob, made);
    r = *away ? error_set(&told, -EAGAIN, "the server is away") : mend_made(&mending, made, &told);
    *away |= is_away(r);
    blob->base->is_made = false;
    blob->is_here = r == 0;
    if (r == 0) {
        transfer_detail(transfer, "%s: mended, %llu bytes of %llu", blob->base->path,
                        (unsigned long long)mending.received, (unsigned long long)blob->size);
        transfer_done(transfer, 1, blob->size);
        return 0;
    }
    directory_remove_file(options->stage, made, NULL);
    transfer_detail(transfer, "%s: not mended: %s", blob->base->path, told.text);
    return is_fatal(r) ? error_set(err, r, "%s", told.text) : 0;
}

int pull_mend(const struct pull_fetch_options *options, size_t *out_left, struct error *err)
{
    bool away = false;
    size_t left = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < options->count; i++) {
        struct pull_blob *blob = &options->blobs[i];

        if (blob->is_here || blob->base == NULL || !blob->base->is_made)
            continue;
        r = mend(options, blob, &away, err);
        left += !blob->is_here;
    }
    if (r == 0)
        *out_left = left;
    return r;
}

void pull_mend_drop(const struct pull_fetch_options *options)
{
    char made[PULL_FETCH_NAME_SIZE];

    for (size_t i = 0; i < options->count; i++) {
        struct pull_blob *blob = &options->blobs[i];

        if (blob->base == NULL || !blob->base->is_made)
            continue;
        name_made(blob, made);
        directory_remove_file(options->stage, made, NULL);
        blob->base->is_made = false;
    }
}
