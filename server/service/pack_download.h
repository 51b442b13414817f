/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "server/service/access.h"

struct refusal;

/*
 * pack_download - small blobs of a version, many in one answer (a pack, FORMATS 8).
 *
 * In the order that they were asked for. Left out are those larger than PACK_DOWNLOAD_MEMBER_MAX
 * and those that the store cannot give (they are marked for healing, as elsewhere): whoever misses
 * one asks for it alone and is told why. Memory: one member and what is not read yet of the pack.
 *
 * The bytes are made as they are read, which blocks. A download belongs to one thread at a time.
 */
#define PACK_DOWNLOAD_MEMBER_MAX ((uint64_t)512 << 10)
#define PACK_DOWNLOAD_COUNT_MAX 16384

struct pack_download;

/* wanted: copied. compress: zstd where it helps. -ENOENT when one of them is not of the version,
 * -EINVAL with REFUSAL_VALIDATION when one is named twice, -EFBIG with REFUSAL_TOO_LARGE when there
 * are too many. `reference` as in versions.h. */
int pack_download_open(struct services *services, const struct identity *identity,
                       const char *project, const char *app, const char *reference,
                       const struct digest *wanted, size_t count, bool compress,
                       struct pack_download **out_download, struct refusal *why, struct error *err);
/* 0 bytes: the end. */
int pack_download_read(struct pack_download *download, void *out, size_t size, size_t *out_size,
                       struct error *err);
struct pack_download *pack_download_free(struct pack_download *download); /* NULL is fine */
