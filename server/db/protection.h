/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct transaction;
struct version;

/*
 * protection - what keeps versions from the trash when somebody deletes them: they stand on a
 * channel, or stood there before; they are pinned; a host uses them. The first kind that does, in
 * this order, is told.
 */
enum protection_kind { PROTECTION_NONE, PROTECTION_PROMOTED, PROTECTION_PINNED, PROTECTION_LEASED };

/* Names stand one behind the other, each with its NUL: the first PROTECTION_NAMES_MAX that fit. */
#define PROTECTION_NAMES_MAX 32
#define PROTECTION_NAMES_SIZE 2048
struct name_list {
    size_t count;
    size_t size; /* bytes used */
    char text[PROTECTION_NAMES_SIZE];
};

struct protection {
    enum protection_kind kind;
    struct name_list by;       /* the channels, or the hosts; of one version sorted */
    struct name_list versions; /* of a place, which are protected so: P/A/V */
};

/* For functions of a transaction, on ready versions: 0, or -EBUSY and *out. */
int protection_of_version(struct transaction *tx, const struct version *version,
                          struct protection *out, struct error *err);
/* Of an app, or with app_id 0 of a project. */
int protection_of_place(struct transaction *tx, int64_t project_id, int64_t app_id,
                        struct protection *out, struct error *err);
