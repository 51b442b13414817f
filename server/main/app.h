/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct blob_store;
struct cache;
struct database;
struct error;
struct services;
struct settings;

/*
 * app - the backends that the settings name, opened in order, and the services over them.
 *
 * A backend is one line of a table in app.c.
 */
enum app_use {
    APP_LOOK,  /* what is there; a data directory without a database is an error, and stays so */
    APP_MAKE,  /* what is not there yet is made: the data directory, the database, the store */
    APP_SERVE, /* likewise, and this process has the data directory for itself until app_close()
                * (-EBUSY: another one has it; those that do not serve may come beside it). After an
                * unclean end the database is looked through first. */
};

struct app {
    struct database *database;
    struct blob_store *store;
    struct cache *cache;
    struct services *services;
    bool is_serving; /* `marker` is open, locked, and tells of an unclean end */
    int marker;
};

int app_open(const struct settings *settings, enum app_use use, struct app *out_app,
             struct error *err);
void app_close(struct app *app); /* a zeroed one is fine */

/* Brings the database's schema up to date; `check`: -EBADMSG when it is not. */
int app_migrate(const struct settings *settings, bool check, struct error *err);
