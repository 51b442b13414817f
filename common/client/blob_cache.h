/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct error;

/*
 * blob_cache - verified bytes on disk, shared by every version, mount and process of one user.
 *
 *     DIR/obj/ab/<sha256>    complete blobs, 0444
 *     DIR/idx/<verity>       complete tree images, 0444
 *     DIR/part/<name>[.m]    sparse and incomplete; which pieces are there
 *     DIR/mk/ab/<name>       upper merkle levels of what is larger than a piece
 *     DIR/bad/<name>         objects that were found wrong and set aside (blob_check.h)
 *
 * Only bytes that were verified are put in. What comes out is checked again against the merkle tree
 * at its first use in this process, and again when the times of a complete file have changed:
 * whatever the last shutdown was like, the bits of a .m file are a hint, and a damaged piece is
 * dropped, counted and reads as absent. Of objects larger than a piece the data is synced before
 * the bitmap that tells of it, and before the rename to the complete name; the sync runs behind, on
 * the cache's own thread, and no reader waits for it. Blobs are also checked against their SHA-256,
 * whole, before they get that name.
 *
 * A full, read-only or failing disk (-ENOSPC, -EDQUOT, -EROFS, -EIO, -EMFILE ...) is no error for
 * anyone: blob_cache_put says -ENOSPC, nothing is kept, and the cache tries again after a while.
 * Several processes may share DIR: a part file is written by the one that holds its lock, the
 * others stream past it. Files are opened as they are used, at most `descriptors` at a time.
 *
 * Any thread. Reads of one object run in parallel; no lock of the whole cache is held while
 * the disk works.
 */
struct blob_cache;
struct blob_entry; /* one object's place in it */

#define BLOB_PIECE_SIZE (512 * 1024)

enum blob_kind {
    BLOB_CONTENT, /* a file's bytes: its name is the SHA-256 */
    BLOB_TREE,    /* a tree image: its name is the verity digest */
};

/* What identifies an object. Two are equal when all four are. */
struct blob_key {
    enum blob_kind kind;
    struct digest name;   /* sha256, or for BLOB_TREE the verity digest */
    struct digest verity; /* checked before anything is used */
    uint64_t size;
};

/* Says what is not to be evicted, beside what is in use. Outlives the cache. */
struct blob_cache_keeper {
    void *context;
    /* Before something is evicted; may use the cache. */
    void (*look)(void *context);
    /* Whether the object of that name (of either kind) stays. Must not use the cache. */
    bool (*keeps)(void *context, const struct digest *name);
};

struct blob_cache_options {
    uint64_t quota_bytes;     /* of complete and partial objects. 0: no quota */
    uint64_t free_bytes;      /* to be left free on the file system. 0: nothing is kept free */
    size_t descriptors;       /* open at a time. 0: 64 */
    bool scan_behind;         /* opening does not wait until what is there was counted; until then
                               * the quota is not kept */
    uint64_t (*now_ms)(void); /* a monotonic clock. NULL: the system's */
    const struct blob_cache_keeper *keeper; /* NULL: nothing is kept on purpose */
};

/* Makes `path` (0700) when absent; an existing directory that others may write is refused
 * (-EACCES). path NULL: a cache that keeps nothing. */
int blob_cache_open(const char *path, const struct blob_cache_options *options,
                    struct blob_cache **out_cache, struct error *err);
/* Writes what is not synced yet. No entry may be held. NULL is fine; returns NULL. */
struct blob_cache *blob_cache_close(struct blob_cache *cache);

/* The entry of a key, held until blob_entry_unref; an entry in use is not evicted. -ENOMEM. */
int blob_cache_entry(struct blob_cache *cache, const struct blob_key *key,
                     struct blob_entry **out_entry, struct error *err);
struct blob_entry *blob_entry_ref(struct blob_entry *entry);
struct blob_entry *blob_entry_unref(struct blob_entry *entry); /* NULL is fine; returns NULL */
const struct blob_key *blob_entry_key(const struct blob_entry *entry);

/* Upper merkle levels: all but the bottom one, from the top down, of objects larger than a piece.
 * Others need none (size 0). */
uint64_t blob_levels_size(uint64_t object_size);
/* True when the entry has its levels (verified), from memory or from disk. */
bool blob_entry_has_levels(struct blob_entry *entry);
/* Checks levels against the verity digest and keeps them. -EBADMSG: they are not this object's. */
int blob_entry_set_levels(struct blob_entry *entry, const void *levels, size_t size,
                          struct error *err);

uint64_t blob_piece_count(uint64_t object_size);
uint64_t blob_piece_size(uint64_t object_size, uint64_t piece); /* the last one is shorter */

/* Whether these are the piece's bytes: the whole file's digest up to one piece, else against the
 * levels (-EAGAIN without them). -EBADMSG: no. */
int blob_entry_verify(struct blob_entry *entry, uint64_t piece, const void *bytes, size_t size,
                      struct error *err);

/* The block of the tree's bottom level that stands above a piece of an object larger than a piece
 * (4096 bytes), against the levels (-EAGAIN without them). -EBADMSG: it is not that block. */
int blob_entry_verify_bottom(struct blob_entry *entry, uint64_t piece, struct span bottom,
                             struct error *err);

/*
 * Reads [offset, offset + size), within the object. 0: all of it, verified. -EAGAIN: not (all)
 * here. A piece's first use reads and hashes it whole. Disk faults and damage read as not here.
 */
int blob_entry_read(struct blob_entry *entry, uint64_t offset, void *out, size_t size);

/* True when the piece is (said to be) here; a hint until it was read. */
bool blob_entry_has(struct blob_entry *entry, uint64_t piece);
bool blob_entry_is_complete(struct blob_entry *entry);
/* Complete, synced, and under its name, which of what is larger than a piece takes a moment after
 * the last piece came: it can be opened. */
bool blob_entry_is_sealed(struct blob_entry *entry);
uint64_t blob_entry_cached_bytes(struct blob_entry *entry);

/* Keeps a piece that blob_entry_verify said is right. The last one missing makes the object
 * complete. -ENOSPC: was not kept (any reason of the disk, or the lock is another process's). */
int blob_entry_put(struct blob_entry *entry, uint64_t piece, const void *bytes, size_t size);

/* Complete, and every byte was verified in this process, while nobody has touched the file since:
 * opening it hashes nothing. */
bool blob_entry_is_checked(struct blob_entry *entry);

/* A descriptor of the complete file for reading, the caller's to close; every byte of it was
 * verified in this process before it is given. -EAGAIN: not complete. */
int blob_entry_open_complete(struct blob_entry *entry, int *out_fd, struct error *err);

/* Hashes again what a partial object has, whatever was checked before; wrong pieces are dropped.
 * How many those were, or -ECANCELED. `how`: see blob_check.h. */
struct blob_check;
int blob_entry_check_part(struct blob_entry *entry, const struct blob_check *how);

/* Forgets the bytes on disk; in use by nobody else or not. */
void blob_entry_drop(struct blob_entry *entry);

/* Waits until what was put is on disk, synced. For tests and for programs that end. */
void blob_cache_flush(struct blob_cache *cache);

struct blob_cache_stats {
    uint64_t bytes;   /* kept */
    uint64_t objects; /* complete */
    uint64_t quota_bytes;
    uint64_t free_bytes; /* left free on the file system, by the options */
    uint64_t hit_bytes;  /* read from it */
    uint64_t damaged;    /* pieces and objects found wrong */
    uint64_t set_aside;  /* ... of those, objects that are in DIR/bad now or were */
    uint64_t refused;    /* pieces not kept */
    uint64_t evicted;    /* objects */
    bool degraded;       /* keeps nothing at the moment */
    char last_error[256];
};
void blob_cache_stats(struct blob_cache *cache, struct blob_cache_stats *out);
