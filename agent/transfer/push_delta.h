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
 * push_delta - an open file as a delta from a blob that is not here.
 *
 * Of that blob only its chunk list or its merkle tree is known. So what is not found in
 * it goes as data, never as a patch of its bytes. Everything here reads as long as the
 * file is large: on a thread.
 *
 * Errors: -EFBIG when the output would be larger than its buf may be; -ESTALE when the
 * file is shorter than `size`; -ECANCELED; what reading gives.
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

/* The delta of a plan, appended to *out. */
int push_delta_write(const struct push_delta_file *file, const struct delta_header *header,
                     const struct delta_plan *plan, struct buf *out, struct error *err);
