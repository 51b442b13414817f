/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/entry.h"
#include "common/model/stream.h"

/*
 * listing - the canonical text of a tree, and `content`, its identity.
 *
 *   listing = "kkartifact-listing-1" NUL *entry
 *   entry   = "d" SP mode SP path NUL
 *           / "f" SP mode SP size SP sha256 SP path NUL
 *           / "l" SP path NUL target NUL
 *   mode    = four octal digits 0000..0777
 *   size    = decimal without leading zeros, <= 2^53 - 1
 *   sha256  = 64 lower-case hex digits; that of no bytes exactly when size is 0
 *   order   component by component, bytes unsigned; parents stand before, as "d"
 *   content = SHA-256 of all of it
 *
 * At most 16,777,216 entries and 4 GiB. The times are apart (times.h): mtime is 0.
 * Readers check every rule before an entry is handed on; a broken one gives
 * -EBADMSG and the text "offset N: rule" (N: byte offset of what is wrong). Memory
 * does not grow with the count. An object belongs to one thread.
 */
#define LISTING_MAGIC "kkartifact-listing-1" /* with its NUL */
#define LISTING_MAGIC_SIZE 21
#define LISTING_MAX_SIZE 4294967296u
#define LISTING_FILE_MIN_SIZE 76 /* an entry of a file: `f 0644 0 ` 64 digits ` a` NUL */
#define LISTING_ENTRY_MAX_SIZE (2 + 5 + 17 + 65 + PATH_MAX_SIZE + 1 + TARGET_MAX_SIZE + 1)

struct listing_totals {
    struct digest content;
    uint64_t size; /* of the listing, in bytes */
    uint64_t count, file_count;
    uint64_t bytes; /* of all files */
};

/* A cursor over a listing that lies in memory or in a mapping: struct listing_cursor is the
 * caller's, needs no release, allocates nothing. Spans of an entry point into the listing. */
struct listing_cursor {
    struct span listing;
    uint64_t offset; /* of the next entry */
    struct entry_order order;
};

int listing_cursor_init(struct listing_cursor *cursor, struct span listing, struct error *err);
/* 1 and an entry, 0 at the end, -EBADMSG. */
int listing_cursor_next(struct listing_cursor *cursor, struct entry *out, struct error *err);

/* All of it at once: checks everything, hashes. */
int listing_check(struct span listing, struct listing_totals *out, struct error *err);

/* The streaming reader: bytes in any pieces, as they arrive. The function gets each entry once; its
 * spans live until it returns; what it returns (not 0) ends the reading. It may be NULL. */
struct listing_reader;
typedef int listing_function(void *context, const struct entry *entry, struct error *err);

int listing_reader_new(struct listing_reader **out_reader, listing_function *function,
                       void *context, struct error *err);
struct listing_reader *listing_reader_free(struct listing_reader *reader); /* NULL is fine */
int listing_reader_feed(struct listing_reader *reader, const void *bytes, size_t size,
                        struct error *err);
/* The end of the bytes: refuses half an entry. After any failure the reader is only good for
 * free. */
int listing_reader_end(struct listing_reader *reader, struct listing_totals *out,
                       struct error *err);

/* The writer checks the same rules (-EINVAL, naming the entry's path) and passes pieces of text on.
 * The caller's memory, no release; about 20 KiB, so rather not in a small stack. */
#define LISTING_WRITER_BUFFER 16384
struct listing_writer {
    struct sink sink;
    struct digest_stream digest;
    struct entry_order order;
    uint64_t size;
    size_t used;
    uint8_t buffer[LISTING_WRITER_BUFFER];
};

int listing_writer_init(struct listing_writer *writer, struct sink sink, struct error *err);
int listing_writer_add(struct listing_writer *writer, const struct entry *entry, struct error *err);
int listing_writer_end(struct listing_writer *writer, struct listing_totals *out,
                       struct error *err);
