/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/service/access.h"
#include "server/service/projects.h"

/*
 * listings - a version's files for people and programs: pages of entries, and
 * meta.yaml as a stream. Both are made from the tree image; neither holds
 * the whole in memory.
 */
enum listed_kind { LISTED_DIRECTORY = 1, LISTED_FILE = 2, LISTED_LINK = 3 };

struct listed_file {
    struct span path;   /* lives with the page */
    struct span target; /* links; lives with the page */
    enum listed_kind kind;
    uint32_t mode;
    uint64_t size;
    int64_t mtime_s;
    struct digest sha256, verity; /* files */
};

struct listed_page {
    struct listed_file *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
    void *memory; /* private */
};

/* In the order of FORMATS 1. prefix: a directory (everything below it, itself not) or "" (all); a
 * path that is a file or a link gives that entry alone; nothing there: an empty page. */
int listings_page(struct services *services, const struct identity *identity, const char *project,
                  const char *app, const char *reference, struct span prefix,
                  const struct page_request *request, struct listed_page *out, struct refusal *why,
                  struct error *err);
void listed_page_release(struct listed_page *page);

struct meta_stream;

int meta_stream_open(struct services *services, const struct identity *identity,
                     const char *project, const char *app, const char *reference,
                     struct meta_stream **out, struct refusal *why, struct error *err);
/* Up to `size` bytes; *out_size 0 at the end. May fault pages in: on a worker. */
int meta_stream_read(struct meta_stream *stream, void *out, size_t size, size_t *out_size,
                     struct error *err);
struct meta_stream *meta_stream_close(struct meta_stream *stream);
