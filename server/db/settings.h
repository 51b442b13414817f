/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct database;
struct error;
struct actor;

/* settings - values that are changed while the server runs, and keys that all servers share. */

/* One that is set. */
struct setting {
    char name[64];
    char *value;
    int64_t updated_at_s;
    char updated_by[65]; /* "": nobody is known */
};

/* All of them as they stand at one moment, by name: they are few. setting_list_free() it. */
int setting_list(struct database *database, struct setting **out_items, size_t *out_count,
                 struct error *err);
struct setting *setting_list_free(struct setting *items, size_t count); /* returns NULL */

/* value NULL: as if it had never been set. */
struct setting_change {
    const char *name, *value;
};

/* All of them or none. Each is an act: `config.set`, `config.changed`. */
int setting_put(struct database *database, const struct setting_change *changes, size_t count,
                const struct actor *by, struct error *err);

/* A random key under a name, the same for every server of this database; made at the first call. */
#define SHARED_KEY_SIZE 32
int shared_key_get(struct database *database, const char *name, unsigned char out[SHARED_KEY_SIZE],
                   struct error *err);
