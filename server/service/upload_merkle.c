/* SPDX-License-Identifier: MIT */
#include "server/service/upload_merkle.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "server/service/context.h"
#include "server/service/scratch.h"

struct upload_merkle {
    struct services *services;
    struct merkle_builder builder;
    int fd;                /* blocks of the object, where they belong */
    struct scratch object; /* all of it, at the end */
    uint64_t kept_ms;
    uint8_t hash[DIGEST_SAVED_SIZE]; /* while it is kept: of what was added */
};

static int put(void *context, uint64_t object_offset, const void *bytes, size_t size,
               struct error *err)
{
    struct upload_merkle *merkle = context;

    return file_write_at(merkle->fd, object_offset, bytes, size, err);
}

int upload_merkle_new(struct services *services, uint64_t size, struct upload_merkle **out,
                      struct error *err)
{
    struct upload_merkle *merkle;
    int r;

    if (size > UPLOAD_MERKLE_MAX)
        return error_set(err, -EFBIG, "no merkle tree is made while so large a blob comes");
    merkle = memory_new(sizeof(*merkle));
    if (merkle == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    merkle->services = services;
    merkle->fd = -1;
    r = scratch_file(services->scratch_path, &merkle->fd, err);
    if (r == 0)
        r = merkle_builder_init(&merkle->builder, size, put, merkle, err);
    if (r < 0) {
        upload_merkle_free(merkle);
        return r;
    }
    *out = merkle;
    return 0;
}

int upload_merkle_add(struct upload_merkle *merkle, struct span bytes, struct error *err)
{
    return merkle_builder_add(&merkle->builder, bytes.bytes, bytes.size, err);
}

int upload_merkle_end(struct upload_merkle *merkle, struct span *out_object,
                      struct digest *out_verity, struct error *err)
{
    const uint64_t size = merkle->builder.shape.object_size;
    size_t got = 0;
    int r = merkle_builder_end(&merkle->builder, NULL, out_verity, err);

    if (r == 0)
        r = scratch_map(merkle->services->scratch_path, size, &merkle->object, err);
    if (r == 0 && size > 0)
        r = file_read_at(merkle->fd, 0, merkle->object.bytes, (size_t)size, &got, err);
    if (r == 0 && got != size)
        r = error_set(err, -EIO, "a scratch file became shorter");
    if (r == 0)
        *out_object = span_of(merkle->object.bytes, merkle->object.size);
    return r;
}

struct upload_merkle *upload_merkle_free(struct upload_merkle *merkle)
{
    if (merkle == NULL)
        return NULL;
    cleanup_fd_at(&merkle->fd);
    scratch_release(&merkle->object);
    return memory_free(merkle);
}

/* Removes the one of that name from the map (locked). */
static struct upload_merkle *remove_kept(struct services *services, struct span name)
{
    struct upload_merkle *merkle = map_get(&services->merkles, name);

    if (merkle != NULL)
        map_remove(&services->merkles, name);
    return merkle;
}

/* The one that was kept first, or NULL (locked). */
static struct upload_merkle *find_oldest(struct services *services, struct span *out_key)
{
    struct upload_merkle *oldest = NULL;
    struct span key;
    void *value;
    size_t at = 0;

    while (map_next(&services->merkles, &at, &key, &value)) {
        struct upload_merkle *merkle = value;

        if (oldest == NULL || merkle->kept_ms < oldest->kept_ms) {
            oldest = merkle;
            *out_key = key;
        }
    }
    return oldest;
}

static struct upload_merkle *remove_oldest(struct services *services)
{
    struct span key = span_of(NULL, 0);
    struct upload_merkle *oldest = find_oldest(services, &key);

    if (oldest != NULL)
        map_remove(&services->merkles, key);
    return oldest;
}

static bool oldest_is_stale(struct services *services)
{
    struct span key;
    const struct upload_merkle *oldest = find_oldest(services, &key);

    return oldest != NULL && clock_monotonic_ms() - oldest->kept_ms > UPLOAD_MERKLES_KEPT_MS;
}

void upload_merkle_keep(struct services *services, const char *key, struct upload_merkle *merkle,
                        const uint8_t hash[DIGEST_SAVED_SIZE])
{
    struct upload_merkle *former, *surplus = NULL;
    struct span name = span_text(key);

    if (merkle == NULL)
        return;
    merkle->kept_ms = clock_monotonic_ms();
    memcpy(merkle->hash, hash, sizeof(merkle->hash));
    pthread_mutex_lock(&services->lock);
    former = remove_kept(services, name);
    if (services->merkles.count >= UPLOAD_MERKLES_KEPT || oldest_is_stale(services))
        surplus = remove_oldest(services);
    if (map_set(&services->merkles, name, merkle, NULL) == 0)
        merkle = NULL;
    pthread_mutex_unlock(&services->lock);
    upload_merkle_free(former);
    upload_merkle_free(surplus);
    upload_merkle_free(merkle); /* no memory for it: read back at the end */
}

struct upload_merkle *upload_merkle_take(struct services *services, const char *key,
                                         const uint8_t hash[DIGEST_SAVED_SIZE])
{
    struct upload_merkle *merkle;

    pthread_mutex_lock(&services->lock);
    merkle = remove_kept(services, span_text(key));
    pthread_mutex_unlock(&services->lock);
    if (merkle != NULL && memcmp(merkle->hash, hash, sizeof(merkle->hash)) != 0)
        merkle = upload_merkle_free(merkle);
    return merkle;
}

void upload_merkles_release(struct services *services)
{
    struct upload_merkle *merkle;

    while ((merkle = remove_oldest(services)) != NULL)
        upload_merkle_free(merkle);
    map_release(&services->merkles);
}
