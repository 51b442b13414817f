/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/codec/digest.h"

struct delta_header;
struct delta_plan;
struct error;

/*
 * push_delta - an open file as a delta from a blob of the server's.
 *
 * Of that blob its chunk list or its merkle tree is known; what is not found in it goes as data,
 * or, when its bytes are here too (kept_files.h), as a patch of them. Everything here reads as
 * long as the file is large: on a thread.
 *
 * Errors: -EFBIG when the output would be larger than its buf may be; -ESTALE when the
 * file is shorter than `size`; -EBADMSG when the base's bytes are fewer than its header says;
 * -ECANCELED; what reading gives.
 */
struct push_delta_file {
    int fd;
    uint64_t size;
    struct digest sha256;
    const atomic_bool *stop; /* or NULL */
};

/* What is made of the file, appended to each that is not NULL: the objects of chunk_list.h (of a
 * file of at least 64 KiB) and merkle.h. */
int push_delta_look(const struct push_delta_file *file, struct buf *out_list,
                    struct buf *out_merkle, struct error *err);

/* Whether so much is found that the rest is worth the server's work. */
bool push_delta_pays(const struct delta_plan *plan);

/* The delta of a plan, appended to *out. base_fd: the base's bytes, or -1. Memory: 4 MiB and the
 * output; with patches 30 MiB more. */
int push_delta_write(const struct push_delta_file *file, const struct delta_header *header,
                     const struct delta_plan *plan, int base_fd, struct buf *out,
                     struct error *err);

/* The same without a plan: all of the file as patches of the base's bytes around the same place. */
int push_delta_patch(const struct push_delta_file *file, const struct delta_header *header,
                     int base_fd, struct buf *out, struct error *err);
