/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct directory;
struct error;

/*
 * piece_map - one bit a piece; in memory, and in the .m file beside a partial object.
 *
 * The file holds two slots that are written in turn, each
 *     "KKAPART1", u64 generation, u64 object size, verity digest (32),
 *     SHA-256 of the slot without this field (32), bits (least significant first)
 * and rounded up to 4096. A write that is torn leaves the other slot. Plain data; the owner locks.
 */
struct piece_map {
    uint8_t *bits;
    uint64_t count; /* of pieces */
    uint64_t set;   /* of bits that are 1 */
    uint8_t small;  /* the bits of up to eight pieces live here */
};

int piece_map_init(struct piece_map *map, uint64_t count); /* all 0. -ENOMEM */
void piece_map_release(struct piece_map *map);
bool piece_map_has(const struct piece_map *map, uint64_t piece);
/* True when it was 0. */
bool piece_map_add(struct piece_map *map, uint64_t piece);
bool piece_map_remove(struct piece_map *map, uint64_t piece); /* true when it was 1 */
void piece_map_fill(struct piece_map *map, bool value);
size_t piece_map_bytes(const struct piece_map *map);

/* Reads the newest whole slot for that object. -ENOENT: none. *out_generation is for the next
 * save. */
int piece_map_load(struct directory *at, const char *path, uint64_t object_size,
                   const struct digest *verity, struct piece_map *map, uint64_t *out_generation,
                   struct error *err);
/* Writes slot `generation`, creating the file. */
int piece_map_save(struct directory *at, const char *path, uint64_t object_size,
                   const struct digest *verity, const struct piece_map *map, uint64_t generation,
                   struct error *err);
