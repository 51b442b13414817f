/* SPDX-License-Identifier: MIT */
#pragma once

#include "fs/catalog/catalog.h"

struct api_client;
struct known_versions;

/*
 * catalog_fetch - where a catalog's lists come from: the API, page after page; and what is known
 * when nobody answers.
 *
 * Names that break the rules of names, and versions without a tree digest, end the fetch with
 * -EBADMSG: such a server is not believed.
 */
struct catalog_server {
    struct api_client *client;
    struct known_versions *known; /* of catalog_known_start alone */
};

/* A catalog_fetch; `context` is a struct catalog_server. */
int catalog_fetch_start(void *context, const char *project, const char *app, uint64_t deadline_ms,
                        catalog_fetched *done, void *done_context, struct error *err);

/* The same without a server: what is known is all there is, be it nothing. The loop is the
 * client's. */
int catalog_known_start(void *context, const char *project, const char *app, uint64_t deadline_ms,
                        catalog_fetched *done, void *done_context, struct error *err);

/* What is known below a place, as a list that is not sealed. Walks all that is known: for when no
 * list ever came. -ENOENT: nothing. Any thread. */
int catalog_known(struct known_versions *known, const char *project, const char *app,
                  struct catalog_list **out_list, struct error *err);
