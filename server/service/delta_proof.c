/* SPDX-License-Identifier: MIT */
#include "server/service/delta_proof.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/delta.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/object.h"

#define READ_PIECE (256u << 10)

CLEANUP_DEFINE(delta_reader, delta_reader_free);

struct proof {
    struct services *services;
    struct digest_stream made;
};

static int add_made(void *context, const void *bytes, size_t size, struct error *err)
{
    struct proof *proof = context;

    digest_stream_add(&proof->made, bytes, size);
    return services_go_on(proof->services, err);
}

static int read_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    return size > 0 ? object_read(context, offset, out, size, err) : 0;
}

static int feed(struct delta_reader *reader, int fd, uint64_t size, struct error *err)
{
    cleanup_memory uint8_t *piece = memory_resize(NULL, READ_PIECE, 1);
    size_t got = 0;
    int r = piece == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    for (uint64_t at = 0; r == 0 && at < size; at += got) {
        r = file_read_at(fd, at, piece, READ_PIECE, &got, err);
        if (r == 0 && got == 0)
            r = error_set(err, -EIO, "a delta's file became shorter");
        if (r == 0)
            r = delta_reader_feed(reader, piece, got, err);
    }
    return r < 0 ? r : delta_reader_end(reader, err);
}

int delta_proof(struct services *services, const struct blob *base, const struct blob *target,
                int fd, uint64_t size, struct error *err)
{
    const struct delta_header header = { .base = base->sha256,
                                         .target = target->sha256,
                                         .base_size = base->size,
                                         .target_size = target->size };
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    cleanup(object_unref_at) struct object *object = NULL;
    struct proof proof = { .services = services };
    struct digest made;
    int r = blob_object_open(services, base, &object, NULL, err);

    digest_stream_init(&proof.made);
    if (r == 0)
        r = delta_reader_new(&reader, &header,
                             (struct delta_source){ .read = read_base, .context = object },
                             (struct sink){ add_made, &proof }, DELTA_PATCH_MAX, err);
    if (r == 0)
        r = feed(reader, fd, size, err);
    if (r < 0)
        return r;
    made = digest_stream_end(&proof.made);
    return digest_equal(&made, &target->sha256)
               ? 0
               : error_set(err, -EBADMSG, "the delta makes other bytes");
}
