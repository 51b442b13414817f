/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/catalog/catalog_list.h"

struct error;
struct http_loop;

/*
 * catalog - what stands above the versions: projects, apps, and which versions there are.
 *
 * A place is the root (project and app NULL), a project (app NULL) or an app. Each has a list,
 * which is believed for CATALOG_FRESH_MS; then it is still shown, and asked for again behind the
 * one who looked. Whoever needs a name that the list lacks asks, and waits: all who wait for a
 * place share one request. An answer "no" (-EPERM, -EACCES, the server is away) is remembered as
 * long as a fresh list, so that a storm of look-ups asks once a second and not once each.
 *
 * Names and answers come from a function, so that the rules here need neither network nor clock.
 */
struct catalog;

#define CATALOG_FRESH_MS 1500
#define CATALOG_CERTAIN_MS 20 /* so old may a list be that says "no such name" */

/* Fetches the list of a place, unsealed. Called on the loop's thread; done is to be called there,
 * once, never from inside. list is handed over; NULL on failure. */
typedef void catalog_fetched(void *context, struct catalog_list *list, const struct error *err);
typedef int catalog_fetch(void *context, const char *project, const char *app, uint64_t deadline_ms,
                          catalog_fetched *done, void *done_context, struct error *err);
/* The node of an item below a place. Any thread. */
typedef int catalog_number(void *context, const char *project, const char *app,
                           const struct catalog_item *item, uint64_t *out_node);

struct catalog_options {
    struct http_loop *loop; /* outlives the catalog */
    catalog_fetch *fetch;
    void *fetch_context;
    catalog_number *number;
    void *number_context;
    uint64_t (*clock_ms)(void); /* NULL: clock_monotonic_ms */
    const char
        *only_project;    /* or NULL: nothing else is shown, and the list above is not asked for */
    const char *only_app; /* or NULL */
};

int catalog_new(struct catalog **out_catalog, const struct catalog_options *options,
                struct error *err);
/* Those who wait are told -ECANCELED. Loop thread; fetches must have ended before. */
struct catalog *catalog_free(struct catalog *catalog);

bool catalog_is_idle(struct catalog *catalog); /* no fetch runs */

/* The list of the place, a reference, or NULL when there was none yet; *out_fresh whether it need
 * not be asked for. Any thread; waits for nothing. */
struct catalog_list *catalog_peek(struct catalog *catalog, const char *project, const char *app,
                                  bool *out_fresh);
/* Has the place asked for again when it is not fresh; nobody waits. Any thread. */
void catalog_refresh(struct catalog *catalog, const char *project, const char *app,
                     uint64_t deadline_ms);

/* The list as it is now (at most CATALOG_CERTAIN_MS ago): done comes on the loop's thread, with a
 * list that is the catalog's until done returns, or NULL and why. Any thread. */
typedef void catalog_done(void *context, struct catalog_list *list, const struct error *err);
int catalog_ask(struct catalog *catalog, const char *project, const char *app, uint64_t deadline_ms,
                catalog_done *done, void *context, struct error *err);

/* The code of the last answer for any place: 0, -EPERM, -EACCES, -EAGAIN ... Any thread. */
int catalog_last_result(struct catalog *catalog);
