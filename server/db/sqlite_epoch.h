/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;

/*
 * sqlite_epoch - a counter that all processes with this database share.
 *
 * Eight bytes mapped from PATH-epoch beside the database. It only counts up; a
 * lost or new file starts again at zero, which differs from what was remembered.
 */
struct sqlite_epoch;

/* path NULL: of this process alone, for a database in memory. */
int sqlite_epoch_open(const char *path, struct sqlite_epoch **out, struct error *err);
struct sqlite_epoch *sqlite_epoch_close(
    struct sqlite_epoch *epoch); /* NULL is fine; returns NULL */

uint64_t sqlite_epoch_get(struct sqlite_epoch *epoch);
void sqlite_epoch_advance(struct sqlite_epoch *epoch);
