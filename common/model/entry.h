/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/file.h"
#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct error;

/*
 * entry - one thing in a tree: a directory, a regular file, a symbolic link.
 *
 * The root is no entry. mtime is whole seconds since 1970 UTC, rounded down.
 */
enum entry_kind { ENTRY_DIRECTORY = 1, ENTRY_FILE = 2, ENTRY_LINK = 3 };

struct entry {
    enum entry_kind kind;
    uint32_t mode;        /* 0..0777; of a link 0 */
    uint64_t size;        /* of a file, else 0 */
    struct digest sha256; /* of a file, else zeros; of no bytes exactly when size is 0 */
    struct span path;
    struct span target; /* of a link, else empty */
    int64_t mtime;      /* of a link 0 */
};

#define ENTRY_MAX_COUNT 16777216u
#define ENTRY_MAX_SIZE 9007199254740991u /* 2^53 - 1: a file, and all files together */
#define ENTRY_MAX_TARGETS 4294967295u    /* bytes of all targets together */
#define ENTRY_MAX_TIME 9007199254740991  /* |mtime| */
#define ENTRY_ROOT_MODE 0755u

/* SHA-256 of no bytes. */
extern const struct digest entry_empty_sha256;

/* What stands on a disk for an entry of this kind. */
enum file_kind entry_file_kind(enum entry_kind kind);

/* Component by component, bytes unsigned: the pre-order walk of sorted directories. <0, 0, >0. */
int entry_compare_paths(struct span a, struct span b);

/* Every rule that one entry alone can break; -EINVAL. */
int entry_check(const struct entry *entry, struct error *err);

/*
 * The rules between entries: order, no duplicates, parents there and directories,
 * the limits of a whole tree. Feed the entries in order; what is refused (-EINVAL)
 * is not counted. Plain data of a fixed size, whatever the count.
 */
struct entry_order {
    uint64_t count, file_count;
    uint64_t bytes;        /* of the files */
    uint64_t target_bytes; /* of the links' targets */
    enum entry_kind last_kind;
    uint16_t last_size;
    uint8_t last_path[PATH_MAX_SIZE];
};

void entry_order_init(struct entry_order *order);
/* Checks the entry (entry_check) and its place, then counts it. */
int entry_order_next(struct entry_order *order, const struct entry *entry, struct error *err);
