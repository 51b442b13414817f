/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_body.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hash_behind.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/delta.h"

#define READ_STEP (256 * 1024)
#define MAGIC_SIZE (sizeof(DELTA_MAGIC) - 1)

/* On a thread where that pays; without one it goes as well. */
static void begin_blob(struct pull_body *body)
{
    body->kind = PULL_BODY_BLOB;
    if (hash_behind_pays(body->size - body->offset))
        hash_behind_new(body->fd, &body->hash, NULL);
}

/* Whether it is the spool of a delta. A blob that begins so is only not gone on with. */
static bool is_spool(int fd)
{
    uint8_t head[MAGIC_SIZE];
    size_t got;

    return file_read_at(fd, 0, head, sizeof(head), &got, NULL) < 0 || got < sizeof(head) ||
           memcmp(head, DELTA_MAGIC, sizeof(head)) == 0;
}

/* The first `end` bytes of the file; fewer when it cannot be read. */
static int hash_part(struct pull_body *body, uint64_t end, const atomic_bool *stop)
{
    cleanup_memory uint8_t *buffer = memory_new(READ_STEP);
    size_t got = 1;

    if (buffer == NULL)
        return -ENOMEM;
    while (body->offset < end && got > 0) {
        size_t wanted = end - body->offset < READ_STEP ? (size_t)(end - body->offset) : READ_STEP;

        if ((stop != NULL && atomic_load_explicit(stop, memory_order_relaxed)) ||
            file_read_at(body->fd, body->offset, buffer, wanted, &got, NULL) < 0)
            break;
        digest_stream_add(&body->digest, buffer, got);
        body->offset += got;
    }
    return 0;
}

/* What an earlier pull left of the blob counts as received. */
static int take_part(struct pull_body *body, const atomic_bool *stop)
{
    struct file_info info;
    uint64_t end;

    if (directory_open_write(body->stage, body->name, &body->fd, NULL) < 0 ||
        file_info(body->fd, &info, NULL) < 0 || info.size > body->size || is_spool(body->fd))
        return -ENOENT;
    end = info.size < body->size ? info.size : body->size - 1;
    begin_blob(body);
    if (body->hash == NULL)
        return hash_part(body, end, stop);
    body->offset = end;
    hash_behind_moved(body->hash, end);
    return 0;
}

int pull_body_open(struct pull_body *body, struct directory *stage, const char *name, uint64_t size,
                   bool go_on, const atomic_bool *stop, struct error *err)
{
    *body = (struct pull_body){ .stage = stage, .name = name, .size = size, .fd = -1 };
    digest_stream_init(&body->digest);
    if (go_on && take_part(body, stop) == 0)
        return 0;
    pull_body_close(body);
    body->kind = PULL_BODY_NEW;
    directory_remove_file(stage, name, NULL);
    return directory_create(stage, name, 0600, &body->fd, err);
}

void pull_body_rewind(struct pull_body *body)
{
    body->hash = hash_behind_free(body->hash);
    body->offset = 0;
    body->kind = PULL_BODY_NEW;
    digest_stream_init(&body->digest);
    if (body->fd >= 0) /* nothing of the old stays behind the new; if it does, the digest tells */
        file_truncate(body->fd, 0, NULL);
}

void pull_body_close(struct pull_body *body)
{
    body->hash = hash_behind_free(body->hash);
    cleanup_fd_at(&body->fd);
}

static void choose_kind(struct pull_body *body, struct span bytes)
{
    if (bytes.size >= MAGIC_SIZE && memcmp(bytes.bytes, DELTA_MAGIC, MAGIC_SIZE) == 0)
        body->kind = PULL_BODY_DELTA;
    else
        begin_blob(body);
}

int pull_body_add(struct pull_body *body, struct span bytes, bool *out_disk_failed,
                  struct error *err)
{
    int r;

    *out_disk_failed = false;
    if (bytes.size > body->size - body->offset)
        return error_set(err, -EBADMSG, "the server sends more than the blob has");
    if (body->kind == PULL_BODY_NEW && bytes.size > 0)
        choose_kind(body, bytes);
    r = file_write_at(body->fd, body->offset, bytes.bytes, bytes.size, err);
    if (r < 0) {
        *out_disk_failed = true;
        return r;
    }
    body->offset += bytes.size;
    if (body->hash != NULL)
        hash_behind_moved(body->hash, body->offset);
    else
        digest_stream_add(&body->digest, bytes.bytes, bytes.size);
    return 0;
}

int pull_body_check(struct pull_body *body, const struct digest *sha256, struct error *err)
{
    struct digest digest;
    int r = 0;

    if (body->offset != body->size)
        return error_set(err, -EBADMSG, "the server sent %llu bytes of %llu",
                         (unsigned long long)body->offset, (unsigned long long)body->size);
    if (body->hash != NULL)
        r = hash_behind_end(body->hash, &digest, err);
    else
        digest = digest_stream_end(&body->digest);
    if (r == 0 && !digest_equal(&digest, sha256))
        r = error_set(err, -EBADMSG, "the bytes do not match their digest");
    return r;
}
