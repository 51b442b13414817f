/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "server/db/acts.h"
#include "server/db/versions.h"

/*
 * purge - the end of a version, out of the trash and for ever.
 *
 * Its edges go and leave candidates for the sweep (sweep.h), its name stays spent (names.h), and a
 * note is left that the store's record of it has to say so too, all in one transaction. A version
 * that a host holds by a lease is not purged, however it came into the trash. A channel that points
 * at it still, since it was deleted by force, goes with it.
 */

/* Those that were trashed at `before_s` or earlier and that nobody holds, oldest first. */
int purge_due(struct database *database, int64_t before_s, size_t limit, int64_t *out_ids,
              size_t *out_count, struct error *err);

/* How many they are. */
int purge_due_count(struct database *database, int64_t before_s, uint64_t *out, struct error *err);

/* -EBUSY: not in the trash, or not since `before_s`, or held; -ENOENT: gone. One that was found due
 * may have been restored and thrown away anew since: its time in the trash begins again. */
int version_purge(struct database *database, int64_t id, int64_t before_s, const struct actor *by,
                  struct error *err);

/* What the store does not know yet. */
struct purged_record {
    int64_t id;
    char project[NAME_SIZE], app[NAME_SIZE], version[VERSION_NAME_SIZE];
    struct digest content;
    int64_t created_at_s, purged_at_s; /* created_at_s: of the version */
};

/* The oldest ones; memory_free() the items. */
int purged_record_list(struct database *database, size_t limit, struct purged_record **out_items,
                       size_t *out_count, struct error *err);
int purged_record_done(struct database *database, int64_t id, struct error *err);
