/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/client/blob_fetch.h"
#include "common/codec/digest.h"

struct error;
struct http_loop;
struct tree_fetch;

/*
 * reader - the bytes of a file in an open tree: at once from the cache, or later from the engine.
 *
 * A file's digests come first (they may not be here yet), then its object, then its bytes. The
 * objects used last are kept, with their place in the read-ahead and their open files.
 */
struct reader;

/* loop and engine outlive it. */
int reader_new(struct reader **out_reader, struct http_loop *loop, struct blob_fetch *engine,
               struct error *err);
/* No reading may be in progress. NULL is fine; returns NULL. */
struct reader *reader_free(struct reader *reader);

struct reader_file {
    struct tree_fetch *fetch; /* the caller's reference, until done */
    uint32_t digest_index;
    uint64_t size;
};

/* The whole range, which is within the file, or -EAGAIN: then reader_start. Any thread. */
int reader_try(struct reader *reader, const struct reader_file *file, uint64_t offset, void *out,
               size_t size);
/* Errors as blob_fetch_read. Any thread; done comes on the loop's thread. */
int reader_start(struct reader *reader, const struct reader_file *file, uint64_t offset, void *out,
                 size_t size, uint64_t deadline_ms, blob_read_done *done, void *context,
                 struct error *err);

/* The digests, brought when they are not here: the same ways. */
int reader_digests_try(const struct reader_file *file, struct digest *out_sha256,
                       struct digest *out_verity);
/* out is the caller's and stays until done. */
struct reader_digests {
    struct digest sha256, verity;
};
int reader_digests_start(struct reader *reader, const struct reader_file *file,
                         struct reader_digests *out, uint64_t deadline_ms, blob_read_done *done,
                         void *context, struct error *err);

/* The file's entry of the cache when it is there, whole; a reference. Any thread. -EAGAIN: it is
 * not, or that is not known. */
struct blob_entry;
int reader_complete_entry(const struct reader_file *file, struct blob_entry **out_entry);

/* How much of the file is in the cache; -EAGAIN when its digests are not here. Any thread. */
int reader_cached_bytes(struct reader *reader, const struct reader_file *file, uint64_t *out_bytes);
