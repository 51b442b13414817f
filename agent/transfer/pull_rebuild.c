/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_rebuild.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/pull_tree.h"
#include "agent/transfer/pulled.h"
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
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/record.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define DOCUMENT_MAX ((size_t)256 << 20)

CLEANUP_DEFINE(delta_reader, delta_reader_free);

/* A file whose verity digest the old image has not. */
struct new_file {
    struct digest sha256, verity;
    uint64_t offset; /* of its digests in the image */
};

struct rebuilding {
    struct transfer *transfer;
    const struct record *version;
    const struct tree *old;
    struct buf listing, times;
    struct tree_plan plan;
    struct buf new_files; /* struct new_file each, once a digest, sorted by it */
    uint32_t next;        /* index in the old digests: where the next file probably is */
    uint8_t *image;
    uint64_t received;
    bool fetched; /* the digests came, or failed to: */
    int fetch_result;
    struct error fetch_error;
};

static void rebuilding_release(struct rebuilding *rebuilding)
{
    buf_release(&rebuilding->listing);
    buf_release(&rebuilding->times);
    buf_release(&rebuilding->new_files);
    memory_free(rebuilding->image);
}

/* Listing and times -------------------------------------------------------------- */

static int apply(struct span delta, const struct digest *target, const struct digest *base_name,
                 struct span base, struct buf *out, struct error *err)
{
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    struct delta_header header;
    int r = delta_header_parse(delta, &header, err);

    if (r < 0)
        return r;
    header.target = *target;
    header.base = *base_name;
    header.base_size = base.size;
    r = delta_reader_new(&reader, &header, delta_source_of_span(&base), sink_to_buf(out),
                         DOCUMENT_MAX < DELTA_PATCH_MAX ? DOCUMENT_MAX : DELTA_PATCH_MAX, err);
    if (r == 0)
        r = delta_reader_feed(reader, delta.bytes, delta.size, err);
    return r < 0 ? r : delta_reader_end(reader, err);
}

/* One of the two, from its predecessor. Its digest is checked by whoever reads it. */
static int fetch_document(struct rebuilding *rebuilding, const struct digest *target,
                          const struct digest *base_name, struct span base, struct buf *out,
                          struct error *err)
{
    const struct record *version = rebuilding->version;
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .body_maximum = DOCUMENT_MAX };
    const char *type;
    char hex[DIGEST_HEX_SIZE];
    int r;

    if (digest_equal(target, base_name)) {
        buf_add_span(out, base);
        return buf_check(out, err);
    }
    digest_hex(target, hex);
    api_path_blob(&path, version->project, version->app, version->version, hex);
    digest_hex(base_name, hex);
    buf_format(&path, "?from=%s", hex);
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = api_call_run(rebuilding->transfer->client, &spec, &result, err);
    if (r < 0)
        return r;
    rebuilding->received += result.received;
    type = http_headers_get(&result.headers, "Content-Type");
    if (type != NULL && strcmp(type, DELTA_MEDIA_TYPE) == 0)
        return apply(buf_span(&result.body), target, base_name, base, out, err);
    buf_add_span(out, buf_span(&result.body));
    return buf_check(out, err);
}

static int fetch_listing(struct rebuilding *rebuilding, struct error *err)
{
    const struct tree *old = rebuilding->old;
    cleanup(buf_release) struct buf base = buf_init(DOCUMENT_MAX);
    struct digest name;
    int r = tree_write_listing(old, sink_to_buf(&base), &name, err);

    return r < 0 ? r
                 : fetch_document(rebuilding, &rebuilding->version->content, &name, buf_span(&base),
                                  &rebuilding->listing, err);
}

static int fetch_times(struct rebuilding *rebuilding, struct error *err)
{
    const struct tree *old = rebuilding->old;
    cleanup(buf_release) struct buf base = buf_init(DOCUMENT_MAX);
    struct digest name;
    int r = tree_write_times(old, sink_to_buf(&base), &name, err);

    return r < 0 ? r
                 : fetch_document(rebuilding, &rebuilding->version->times, &name, buf_span(&base),
                                  &rebuilding->times, err);
}

static int make_plan(struct rebuilding *rebuilding, struct error *err)
{
    const struct record *version = rebuilding->version;
    int r = tree_plan_make(buf_span(&rebuilding->listing), buf_span(&rebuilding->times),
                           &rebuilding->plan, err);

    if (r < 0)
        return r;
    if (!digest_equal(&rebuilding->plan.content, &version->content) ||
        !digest_equal(&rebuilding->plan.times_sha256, &version->times) ||
        rebuilding->plan.image_size != version->tree_size)
        return error_set(err, -EBADMSG, "listing and times are not those of the version");
    return 0;
}

/* Verity digests ------------------------------------------------------------------ */

static int compare_files(const void *a, const void *b)
{
    const struct new_file *left = a, *right = b;

    return digest_compare(&left->sha256, &right->sha256);
}

static struct new_file *new_files(struct rebuilding *rebuilding, size_t *out_count)
{
    *out_count = rebuilding->new_files.size / sizeof(struct new_file);
    return (struct new_file *)(void *)rebuilding->new_files.bytes;
}

/* Files that stood beside each other mostly still do: only where they do not is one looked for. */
static bool old_verity(struct rebuilding *rebuilding, const struct entry *entry, struct digest *out)
{
    const struct tree *old = rebuilding->old;
    uint32_t index = rebuilding->next++;
    struct digest guess;

    if (entry->size == 0) {
        *out = merkle_empty_verity;
        return true;
    }
    if (index < old->header.file_count) {
        guess = tree_sha256(old, index);
        if (digest_equal(&guess, &entry->sha256)) {
            *out = tree_verity(old, index);
            return true;
        }
    }
    if (tree_find_sha256(old, &entry->sha256, &index) < 0)
        return false;
    rebuilding->next = index + 1;
    *out = tree_verity(old, index);
    return true;
}

/* Sorts what is new, and lets go of repetitions. */
static void unite_new_files(struct rebuilding *rebuilding)
{
    struct new_file *files;
    size_t count, kept = 0;

    files = new_files(rebuilding, &count);
    if (count > 1)
        qsort(files, count, sizeof(*files), compare_files);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_files(&files[kept - 1], &files[i]) != 0)
            files[kept++] = files[i];
    rebuilding->new_files.size = kept * sizeof(*files);
}

static int check_count(struct rebuilding *rebuilding, struct error *err)
{
    size_t count;

    unite_new_files(rebuilding);
    new_files(rebuilding, &count);
    return count > PULL_REBUILD_NEW_MAX
               ? error_set(err, -EFBIG, "more than %d files are new", PULL_REBUILD_NEW_MAX)
               : 0;
}

/* The verity digest of a new file is zeros until it was asked for. */
static int verity_of(void *context, uint64_t file_index, const struct entry *entry,
                     struct digest *out_verity, struct error *err)
{
    struct rebuilding *rebuilding = context;
    struct new_file file = { .sha256 = entry->sha256 };
    int r;

    if (old_verity(rebuilding, entry, out_verity))
        return 0;
    *out_verity = file.verity;
    buf_add(&rebuilding->new_files, &file, sizeof(file));
    r = buf_check(&rebuilding->new_files, err);
    if (r == 0 && rebuilding->new_files.size >= 2 * PULL_REBUILD_NEW_MAX * sizeof(file))
        r = check_count(rebuilding, err);
    return r;
}

/* The image, but for the verity digests of new files; -EFBIG: too many to be asked for. */
static int write_image(struct rebuilding *rebuilding, struct error *err)
{
    int r;

    rebuilding->image = memory_array((size_t)rebuilding->plan.image_size, 1);
    if (rebuilding->image == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = tree_plan_write(&rebuilding->plan, buf_span(&rebuilding->listing),
                        buf_span(&rebuilding->times), verity_of, rebuilding, rebuilding->image,
                        err);
    return r < 0 ? r : check_count(rebuilding, err);
}

static struct span image_of(const struct rebuilding *rebuilding)
{
    return span_of(rebuilding->image, (size_t)rebuilding->plan.image_size);
}

/* Where the server's image has what is not known: it differs from the one that is here in no other
 * byte. */
static int place_new_files(struct rebuilding *rebuilding, const struct tree *tree,
                           struct range_fetch_range *out, struct error *err)
{
    struct new_file *files;
    size_t count;
    uint32_t index;

    files = new_files(rebuilding, &count);
    for (size_t i = 0; i < count; i++) {
        int r = tree_find_sha256(tree, &files[i].sha256, &index);
        if (r < 0)
            return error_set(err, r, "a new file is not in the new image");
        files[i].offset = tree_digests_offset(tree, index);
        out[i] = (struct range_fetch_range){ files[i].offset, TREE_DIGESTS_SIZE };
    }
    return 0;
}

static int give_digests(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct rebuilding *rebuilding = context;
    struct new_file *files;
    size_t count;

    files = new_files(rebuilding, &count);
    for (size_t i = 0; i < count; i++)
        if (files[i].offset == offset)
            memcpy(files[i].verity.bytes, bytes.bytes + DIGEST_SIZE, DIGEST_SIZE);
    rebuilding->received += bytes.size;
    return 0;
}

static void digests_came(void *context, int r, const struct error *err)
{
    struct rebuilding *rebuilding = context;

    rebuilding->fetched = true;
    rebuilding->fetch_result = r;
    rebuilding->fetch_error = *err;
}

static bool are_fetched(void *context)
{
    return ((const struct rebuilding *)context)->fetched;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range_fetch_range *left = a, *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

static int fetch_digests(struct rebuilding *rebuilding, const struct tree *tree, struct error *err)
{
    const struct record *version = rebuilding->version;
    struct api_client *client = rebuilding->transfer->client;
    struct range_fetch_range ranges[PULL_REBUILD_NEW_MAX];
    cleanup(buf_release) struct buf path = buf_init(4096);
    struct range_fetch_options options = { .client = client,
                                           .ranges = ranges,
                                           .give = give_digests,
                                           .done = digests_came,
                                           .context = rebuilding };
    struct range_fetch *fetch;
    int r;

    new_files(rebuilding, &options.count);
    r = place_new_files(rebuilding, tree, ranges, err);
    if (r < 0)
        return r;
    qsort(ranges, options.count, sizeof(*ranges), compare_ranges);
    api_path_version(&path, version->project, version->app, version->version);
    buf_add_text(&path, "/tree");
    options.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = range_fetch_start(&options, &fetch, err);
    if (r < 0)
        return r;
    while (r == 0 && !rebuilding->fetched) {
        r = http_loop_run_until(api_client_loop(client), are_fetched, rebuilding,
                                clock_monotonic_ms() + TURN_MS, err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(rebuilding->transfer, err);
    }
    if (!rebuilding->fetched)
        range_fetch_cancel(fetch);
    else if (r == 0 && rebuilding->fetch_result < 0)
        r = error_set(err, rebuilding->fetch_result, "%s", rebuilding->fetch_error.text);
    return r;
}

/* Where the image has zeros for a verity digest. */
static int fill_digests(struct rebuilding *rebuilding, const struct tree *tree, struct error *err)
{
    struct digest zeros = { { 0 } }, verity;
    struct new_file key;
    const struct new_file *files, *file;
    size_t count;

    files = new_files(rebuilding, &count);
    for (uint32_t i = 0; i < tree->header.file_count; i++) {
        verity = tree_verity(tree, i);
        if (!digest_equal(&verity, &zeros))
            continue;
        key.sha256 = tree_sha256(tree, i);
        file = bsearch(&key, files, count, sizeof(*file), compare_files);
        if (file == NULL)
            return error_set(err, -EBADMSG, "the old tree has a file without a verity digest");
        memcpy(rebuilding->image + tree_digests_offset(tree, i) + DIGEST_SIZE, file->verity.bytes,
               DIGEST_SIZE);
    }
    return 0;
}

static int complete_image(struct rebuilding *rebuilding, struct error *err)
{
    struct tree tree;
    int r;

    if (rebuilding->new_files.size == 0)
        return 0;
    r = tree_open_unhashed(image_of(rebuilding), &tree, err);
    if (r == 0)
        r = fetch_digests(rebuilding, &tree, err);
    return r < 0 ? r : fill_digests(rebuilding, &tree, err);
}

/* All of it ------------------------------------------------------------------------ */

static int build(struct rebuilding *rebuilding, struct error *err)
{
    struct digest verity;
    int r = fetch_listing(rebuilding, err);

    if (r == 0)
        r = fetch_times(rebuilding, err);
    if (r == 0)
        r = make_plan(rebuilding, err);
    if (r == 0)
        r = write_image(rebuilding, err);
    if (r == 0)
        r = complete_image(rebuilding, err);
    if (r == 0)
        r = merkle_verity_of(image_of(rebuilding), &verity, err);
    if (r == 0 && !digest_equal(&verity, &rebuilding->version->tree))
        r = error_set(err, -EBADMSG, "the tree does not match the version's digest");
    return r;
}

static int save(const struct rebuilding *rebuilding, struct directory *home,
                struct pulled_tree *out, struct error *err)
{
    struct span image = image_of(rebuilding);
    cleanup_fd int fd = -1;
    int r;

    directory_remove_file(home, PULL_TREE_NAME, NULL);
    r = directory_create(home, PULL_TREE_NAME, 0600, &fd, err);
    if (r == 0)
        r = file_write(fd, image.bytes, image.size, err);
    if (r == 0)
        r = file_sync_data(fd, err);
    if (r == 0)
        r = pulled_open_tree(home, PULL_TREE_NAME, &rebuilding->version->tree, out, err);
    return transfer_local(rebuilding->transfer, r);
}

int pull_rebuild(struct transfer *transfer, const struct record *version, const struct tree *old,
                 struct directory *home, struct pulled_tree *out, struct error *err)
{
    cleanup(rebuilding_release) struct rebuilding rebuilding = {
        .transfer = transfer,
        .version = version,
        .old = old,
        .listing = buf_init(DOCUMENT_MAX),
        .times = buf_init(DOCUMENT_MAX),
        .new_files = buf_init(BUF_UNLIMITED),
    };
    struct error told = { 0 };
    int r;

    if (version->tree_size < PULL_REBUILD_IMAGE_MIN || version->tree_size > PULL_REBUILD_IMAGE_MAX)
        return PULL_REBUILD_NOT;
    transfer_meter(transfer, METER_ASKING, 0, 0);
    r = build(&rebuilding, &told);
    if (r == -ECANCELED || r == -ENOMEM)
        return error_set(err, r, "%s", told.text);
    if (r < 0) {
        transfer_detail(transfer, "the tree: whole, %llu bytes: %s",
                        (unsigned long long)version->tree_size, told.text);
        return PULL_REBUILD_NOT;
    }
    transfer_detail(transfer, "the tree: delta, %llu bytes of %llu",
                    (unsigned long long)rebuilding.received,
                    (unsigned long long)version->tree_size);
    return save(&rebuilding, home, out, err);
}
