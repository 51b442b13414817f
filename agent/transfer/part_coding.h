/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct error;

/*
 * part_coding - parts of large files in zstd, where a sample of the file says that it pays.
 *
 * Any thread.
 */
#define PART_CODING_SIZE_MAX ((uint64_t)8 << 20) /* of a part, before */

/* Whether an eighth of an open file could be saved, by a few pieces from all over it. False also
 * when it cannot be read. */
bool part_coding_pays(int fd, uint64_t size);

/* [offset, offset + size) as one frame, appended to *out. -EFBIG: it would not become smaller;
 * -ESTALE: the file is shorter; -ECANCELED. */
int part_coding_pack(int fd, uint64_t offset, uint64_t size, const atomic_bool *stop,
                     struct buf *out, struct error *err);
