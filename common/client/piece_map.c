/* SPDX-License-Identifier: MIT */
#include "common/client/piece_map.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define SLOT_MAGIC "KKAPART1"
#define SLOT_DIGEST_AT 56
#define SLOT_BITS_AT 88

int piece_map_init(struct piece_map *map, uint64_t count)
{
    struct piece_map new = { .count = count };

    if (count > 8) {
        if (count / 8 >= SIZE_MAX / 2)
            return -ENOMEM;
        new.bits = memory_array((size_t)((count + 7) / 8), 1);
        if (new.bits == NULL)
            return -ENOMEM;
    }
    *map = new;
    return 0;
}

void piece_map_release(struct piece_map *map)
{
    map->bits = memory_free(map->bits);
    map->count = map->set = 0;
}

static uint8_t *bits_of(struct piece_map *map)
{
    return map->bits != NULL ? map->bits : &map->small;
}

static const uint8_t *bits_seen(const struct piece_map *map)
{
    return map->bits != NULL ? map->bits : &map->small;
}

size_t piece_map_bytes(const struct piece_map *map)
{
    return (size_t)((map->count + 7) / 8);
}

bool piece_map_has(const struct piece_map *map, uint64_t piece)
{
    return piece < map->count && (bits_seen(map)[piece / 8] >> (piece % 8) & 1) != 0;
}

bool piece_map_add(struct piece_map *map, uint64_t piece)
{
    if (piece >= map->count || piece_map_has(map, piece))
        return false;
    bits_of(map)[piece / 8] |= (uint8_t)(1u << (piece % 8));
    map->set++;
    return true;
}

bool piece_map_remove(struct piece_map *map, uint64_t piece)
{
    if (!piece_map_has(map, piece))
        return false;
    bits_of(map)[piece / 8] &= (uint8_t) ~(1u << (piece % 8));
    map->set--;
    return true;
}

void piece_map_fill(struct piece_map *map, bool value)
{
    size_t size = piece_map_bytes(map);

    if (size == 0)
        return;
    memset(bits_of(map), value ? 0xff : 0, size);
    if (value && map->count % 8 != 0)
        bits_of(map)[size - 1] = (uint8_t)((1u << (map->count % 8)) - 1);
    map->set = value ? map->count : 0;
}

static size_t slot_size(const struct piece_map *map)
{
    return (SLOT_BITS_AT + piece_map_bytes(map) + 4095) / 4096 * 4096;
}

static void slot_digest(const uint8_t *slot, size_t size, uint8_t out[DIGEST_SIZE])
{
    struct digest_stream stream;
    struct digest digest;

    digest_stream_init(&stream);
    digest_stream_add(&stream, slot, SLOT_DIGEST_AT);
    digest_stream_add(&stream, slot + SLOT_BITS_AT, size - SLOT_BITS_AT);
    digest = digest_stream_end(&stream);
    memcpy(out, digest.bytes, DIGEST_SIZE);
}

static bool slot_is_whole(const uint8_t *slot, size_t size, uint64_t object_size,
                          const struct digest *verity)
{
    uint8_t digest[DIGEST_SIZE];

    if (memcmp(slot, SLOT_MAGIC, 8) != 0 || bytes_u64(slot + 16) != object_size ||
        memcmp(slot + 24, verity->bytes, DIGEST_SIZE) != 0)
        return false;
    slot_digest(slot, size, digest);
    return memcmp(slot + SLOT_DIGEST_AT, digest, DIGEST_SIZE) == 0;
}

int piece_map_load(struct directory *at, const char *path, uint64_t object_size,
                   const struct digest *verity, struct piece_map *map, uint64_t *out_generation,
                   struct error *err)
{
    cleanup_fd int fd = -1;
    size_t size = slot_size(map), got;
    cleanup_memory uint8_t *both = memory_array(2, size);
    const uint8_t *best = NULL;
    uint64_t generation = 0;
    int r;

    if (both == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_open_read(at, path, &fd, err);
    if (r < 0)
        return r;
    r = file_read_at(fd, 0, both, size * 2, &got, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *slot = both + i * size;

        if (got < (i + 1) * size || !slot_is_whole(slot, size, object_size, verity))
            continue;
        if (best == NULL || bytes_u64(slot + 8) > generation) {
            best = slot;
            generation = bytes_u64(slot + 8);
        }
    }
    if (best == NULL)
        return error_set(err, -ENOENT, "no whole piece map");
    piece_map_fill(map, false);
    for (uint64_t piece = 0; piece < map->count; piece++) {
        if ((best[SLOT_BITS_AT + piece / 8] >> (piece % 8) & 1) != 0)
            piece_map_add(map, piece);
    }
    *out_generation = generation + 1;
    return 0;
}

int piece_map_save(struct directory *at, const char *path, uint64_t object_size,
                   const struct digest *verity, const struct piece_map *map, uint64_t generation,
                   struct error *err)
{
    cleanup_fd int fd = -1;
    size_t size = slot_size(map);
    cleanup_memory uint8_t *slot = memory_array(1, size);
    int r;

    if (slot == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(slot, SLOT_MAGIC, 8);
    bytes_set_u64(slot + 8, generation);
    bytes_set_u64(slot + 16, object_size);
    memcpy(slot + 24, verity->bytes, DIGEST_SIZE);
    memcpy(slot + SLOT_BITS_AT, bits_seen(map), piece_map_bytes(map));
    slot_digest(slot, size, slot + SLOT_DIGEST_AT);
    r = directory_open_write(at, path, &fd, NULL);
    if (r == -ENOENT)
        r = directory_create(at, path, 0600, &fd, err);
    if (r < 0)
        return error_system(err, -r, "%s", path);
    return file_write_at(fd, generation % 2 * size, slot, size, err);
}
