/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/acts.h"
#include "server/db/driver.h"
#include "server/db/jobs.h"
#include "server/db/version_rows.h"

struct removal {
    int64_t id;
    struct version_trashing how;
    struct protection protection;
};

static int find(struct transaction *tx, const struct removal *removal, struct version *out,
                struct error *err)
{
    int r = version_find_id(tx, removal->id, out, err);

    return r == 0 ? error_set(err, -ENOENT, "no such version") : r;
}

static int tell(struct transaction *tx, const struct version *version,
                const struct version_trashing *how, struct error *err)
{
    char data[JOB_ID_SIZE + 32];
    const struct act act = { .operation = "version.trash",
                             .event = "version.trashed",
                             .project = version->project,
                             .app = version->app,
                             .version = version->name,
                             .data = how->force || how->job != NULL ? data : NULL };

    snprintf(data, sizeof(data), "{%s%s%s%s%s}", how->force ? "\"forced\":true" : "",
             how->force && how->job != NULL ? "," : "", how->job != NULL ? "\"job\":\"" : "",
             how->job != NULL ? how->job : "", how->job != NULL ? "\"" : "");
    return act_write(tx, how->by, &act, err);
}

int version_trash_in(struct transaction *tx, const struct version *version,
                     const struct version_trashing *how, struct protection *out_protection,
                     struct error *err)
{
    int r = 0;

    if (version->state != VERSION_READY)
        return 0;
    if (!how->force)
        r = protection_of_version(tx, version, out_protection, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "UPDATE versions SET state = 'trashed', trashed_at = $2,"
                            " trashed_by = $3, trash_reason = $4 WHERE id = $1",
                            VALUES(value_integer(version->id), value_integer(transaction_now_s(tx)),
                                   value_text(how->by->name), value_text(how->reason)),
                            err);
    return r < 0 ? r : tell(tx, version, how, err);
}

static int trash(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct removal *removal = context;
    int r = find(tx, removal, &version, err);

    removal->protection = (struct protection){ .kind = PROTECTION_NONE };
    return r < 0 ? r : version_trash_in(tx, &version, &removal->how, &removal->protection, err);
}

int version_trash(struct database *database, int64_t id, const struct actor *by, const char *reason,
                  bool force, struct protection *out_protection, struct error *err)
{
    struct removal removal = { .id = id, .how = { .by = by, .reason = reason, .force = force } };
    int r = transaction_write(database, trash, &removal, err);

    if (r == 0)
        database_version_epoch_advance(database);
    if (out_protection != NULL)
        *out_protection = removal.protection;
    return r;
}

static int restore(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct removal *removal = context;
    int r = find(tx, removal, &version, err);

    return r < 0 ? r : version_restore_in(tx, &version, removal->how.by, err);
}

int version_restore(struct database *database, int64_t id, const struct actor *by,
                    struct error *err)
{
    struct removal removal = { .id = id, .how = { .by = by } };
    int r = transaction_write(database, restore, &removal, err);

    if (r == 0)
        database_version_epoch_advance(database);
    return r;
}
