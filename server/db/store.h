/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct database;
struct error;

/* store - the identity that this database shares with its blob store. Made with the first
 * migration. */
#define STORE_ID_SIZE 37 /* a UUID in text, with the NUL */

struct store {
    char id[STORE_ID_SIZE];
    int64_t created_at_s;
    bool is_new; /* no blob was ever recorded: the blob store may be founded */
};

int store_get(struct database *database, struct store *out, struct error *err);

/* -EBADMSG when the database belongs to another store than `id`. */
int store_require(struct database *database, const char *id, struct error *err);
