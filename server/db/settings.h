/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct database;
struct error;
struct actor;

/* settings - values that are changed while the server runs, and keys that all servers share. */

/* Appends the value. -ENOENT: not set. */
int setting_get(struct database *database, const char *name, struct buf *out, struct error *err);
/* With when it was set and by whom. */
struct setting_change {
    int64_t at_s;
    char by[65]; /* "": nobody is known */
};
int setting_get_changed(struct database *database, const char *name, struct buf *out,
                        struct setting_change *out_change, struct error *err);
/* value NULL: as if it had never been set. An act: `config.set`, `config.changed`. */
int setting_put(struct database *database, const char *name, const char *value,
                const struct actor *by, struct error *err);

/* A random key under a name, the same for every server of this database; made at the first call. */
#define SHARED_KEY_SIZE 32
int shared_key_get(struct database *database, const char *name, unsigned char out[SHARED_KEY_SIZE],
                   struct error *err);
