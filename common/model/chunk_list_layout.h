/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/chunk_list.h"

/* The header of a chunk list, for its reader and its builder. */
#define CHUNK_LIST_MAGIC "KKACHNK1"
#define PARAMETERS_AT 56
#define CHUNK_LIST_BLOB_AT 16
#define LEVELS_AT 72

/* level_count and level_entries are set: sets the offsets and the object's size. */
void chunk_list_place_levels(struct chunk_list_shape *shape);

void chunk_list_put_header(const struct chunk_list_shape *shape,
                           uint8_t out[CHUNK_LIST_HEADER_SIZE]);
