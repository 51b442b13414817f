/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct api_push;
struct api_push_spec;
struct buf;
struct digest;
struct directory;
struct error;
struct scan;
struct transfer;

/*
 * push_documents - the listing and the times of an open push.
 *
 * Each goes as a delta from that of the app's last push from here, which the hint cache
 * keeps, or in zstd: the first time, when the server has that one no more, and when a
 * delta would not be small. Memory: three times the document for a delta; documents
 * above PUSH_DOCUMENTS_MAX go in zstd, piece by piece.
 */
#define PUSH_DOCUMENTS_MAX ((size_t)32 << 20)

struct push_documents_options {
    struct transfer *transfer;
    const struct scan *scan;
    const struct api_push_spec *spec;
    const struct api_push *push; /* says what is wanted, and how large a delta may be */
    struct directory *cache;     /* or NULL */
};

/* Runs the loop. */
int push_documents_send(const struct push_documents_options *options, struct error *err);

/* What both would be in zstd: the most that they can cost. Of the options only the scan is used. */
int push_documents_size(const struct push_documents_options *options, uint64_t *out_size,
                        struct error *err);

/* Appends the listing of that last push to *out, when its digest is `content`. */
bool push_documents_listing(const struct push_documents_options *options,
                            const struct digest *content, struct buf *out);

/* The push was committed: the next one's deltas are from these. */
void push_documents_keep(const struct push_documents_options *options);
