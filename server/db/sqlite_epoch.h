/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/db/driver.h"

struct error;

/*
 * sqlite_epoch - counters that all processes with this database share.
 *
 * Eight bytes each, mapped from PATH-epoch beside the database. They only count up; a
 * lost or new file starts again at zero, which differs from what was remembered.
 */
struct sqlite_epoch;

/* path NULL: of this process alone, for a database in memory. */
int sqlite_epoch_open(const char *path, struct sqlite_epoch **out, struct error *err);
struct sqlite_epoch *sqlite_epoch_close(
    struct sqlite_epoch *epoch); /* NULL is fine; returns NULL */

uint64_t sqlite_epoch_get(struct sqlite_epoch *epoch, enum epoch_kind kind);
void sqlite_epoch_advance(struct sqlite_epoch *epoch, enum epoch_kind kind);
