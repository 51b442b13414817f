/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/file.h"
#include "common/codec/digest.h"
#include "common/model/entry.h"
#include "common/model/listing.h"
#include "common/model/stream.h"

struct directory;
struct error;
struct pattern_list;
struct stat_cache;
struct transfer;
struct tree;

/*
 * scan - the entries of a tree on disk, in the order of listings.
 *
 * Nothing is followed; what is neither directory, file nor link is refused by name
 * (-EINVAL); what patterns name is left out. Entries that lose a setuid, setgid or sticky
 * bit are warned of at the end, all at once, with what they become. Entries stand in blocks
 * that do not move, 72 bytes and the path each, so that other threads fill in digests
 * while the scan goes on.
 */
struct scan_entry {
    const char *path; /* terminated; the scan's */
    uint64_t size;    /* of a file; of a link its target's */
    int64_t mtime;    /* of a link 0 */
    uint64_t stamp;   /* stat_stamp() of what was hashed, or of the directory; of a link 0 */
    union {
        struct digest sha256; /* of a file, once known */
        const char *target;   /* of a link; the scan's */
    };
    uint16_t path_size;
    uint16_t mode;   /* as pushed */
    uint8_t kind;    /* enum entry_kind */
    bool executable; /* a pattern made it so */
};

enum scan_links { SCAN_LINKS_KEEP, SCAN_LINKS_REFUSE, SCAN_LINKS_SKIP };

struct scan_options {
    struct transfer *transfer; /* for warnings and stopping */
    struct directory *root;
    const struct pattern_list *ignore;     /* `.git/` among them, if wanted */
    const struct pattern_list *executable; /* files that are pushed as 0755 */
    enum scan_links links;
    struct stat_cache *cache; /* what need not be hashed; may be NULL */
    /* A file whose sha256 is not known: size, mtime, mode and stamp are set; sha256 is what the
     * cache says that it held once, or zeros. Its entry does not move. */
    void (*on_unknown)(void *context, struct scan_entry *entry);
    void *context;
};

struct scan;

int scan_new(struct scan **out_scan, struct error *err);
struct scan *scan_free(struct scan *scan); /* NULL is fine; returns NULL */

/* Fills an empty scan. -ECANCELED; the system's errors, naming the path; -EINVAL: an entry
 * that cannot be pushed. After a failure the entries so far stay until scan_free(), for threads
 * that work on them. */
int scan_run(struct scan *scan, const struct scan_options *options, struct error *err);

size_t scan_count(const struct scan *scan);
struct scan_entry *scan_entry_at(const struct scan *scan, size_t index);

/* Sets what is pushed of a file's state, and its stamp. */
void scan_entry_set(struct scan_entry *entry, const struct file_info *info);

/* The same as the model sees it; spans point into the scan. */
struct entry scan_entry_model(const struct scan_entry *entry);

/* Every digest is known: the listing and the times as streams. */
int scan_write_listing(const struct scan *scan, struct sink sink, struct listing_totals *out,
                       struct error *err);
int scan_write_times(const struct scan *scan, struct sink sink, struct digest *out_sha256,
                     struct error *err);

/* Every digest is known: the bytes of its files, equal ones counted once, without those that a
 * whole image has (NULL: none). */
int scan_distinct_bytes(const struct scan *scan, const struct tree *had, uint64_t *out_bytes,
                        struct error *err);

/* Whether the directories are as they were: 0, or 1 with the path of one that is not (the
 * scan's; "." for the top). */
int scan_check_directories(const struct scan *scan, struct directory *root, const char **out_path,
                           struct error *err);
