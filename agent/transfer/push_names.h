/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/codec/digest.h"

struct error;

/*
 * push_names - the large files of a version that was pushed before, by path and by name:
 * which of them one of the next version may be like.
 *
 * The one at the same path; else, since whole directories are named after versions, the one that is
 * likest by its path (likeness.h), and of these the nearest in size. So many paths are compared, in
 * all; then only the one at the same path is found.
 */
#define PUSH_NAMES_COMPARISONS (1u << 21)

struct push_names {
    struct buf files;   /* struct push_name each, sorted by name and path */
    size_t comparisons; /* that are left */
};

struct push_name {
    struct span path; /* in the listing */
    struct digest sha256;
    uint64_t size;
    uint64_t name; /* likeness_name() */
};

/* Files of at least `size_min` bytes. The listing outlives *out. -EBADMSG, -ENOMEM. */
int push_names_read(struct span listing, uint64_t size_min, struct push_names *out,
                    struct error *err);
void push_names_release(struct push_names *names);

/* NULL: none is like it. */
const struct push_name *push_names_find(struct push_names *names, struct span path, uint64_t size);
