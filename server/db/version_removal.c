/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/events_outbox.h"
#include "server/db/version_rows.h"

struct removal {
    int64_t id;
    const char *actor, *reason;
    bool force;
};

static int find(struct transaction *tx, const struct removal *removal, struct version *out,
                struct error *err)
{
    int r = version_find_id(tx, removal->id, out, err);

    return r == 0 ? error_set(err, -ENOENT, "no such version") : r;
}

static int tell(struct transaction *tx, const char *type, const struct version *version,
                const char *actor, struct error *err)
{
    struct event_draft event = { .type = type,
                                 .project = version->project,
                                 .app = version->app,
                                 .version = version->name,
                                 .actor = actor };

    return event_add(tx, &event, err);
}

/* Promoted, or the one before that on its channel. */
static int refuse_protected(struct transaction *tx, const struct version *version,
                            struct error *err)
{
    int64_t count;
    int r;

    if (version->pinned)
        return error_set(err, -EBUSY, "version %s is pinned", version->name);
    r = transaction_integer(
        tx, "SELECT count(*) FROM channels WHERE version_id = $1 OR previous_id = $1",
        VALUES(value_integer(version->id)), &count, err);
    if (r < 0)
        return r;
    return count == 0 ? 0 : error_set(err, -EBUSY, "version %s is promoted", version->name);
}

static int trash(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct removal *removal = context;
    int r = find(tx, removal, &version, err);

    if (r >= 0 && version.state != VERSION_READY)
        return 0;
    if (r >= 0 && !removal->force)
        r = refuse_protected(tx, &version, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "UPDATE versions SET state = 'trashed', trashed_at = $2,"
                            " trashed_by = $3, trash_reason = $4 WHERE id = $1",
                            VALUES(value_integer(version.id), value_integer(transaction_now_s(tx)),
                                   value_text(removal->actor), value_text(removal->reason)),
                            err);
    return r < 0 ? r : tell(tx, "version.trashed", &version, removal->actor, err);
}

int version_trash(struct database *database, int64_t id, const char *actor, const char *reason,
                  bool force, struct error *err)
{
    struct removal removal = { .id = id, .actor = actor, .reason = reason, .force = force };

    return transaction_write(database, trash, &removal, err);
}

static int restore(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct removal *removal = context;
    int r = find(tx, removal, &version, err);

    return r < 0 ? r : version_restore_in(tx, &version, removal->actor, err);
}

int version_restore(struct database *database, int64_t id, const char *actor, struct error *err)
{
    struct removal removal = { .id = id, .actor = actor };

    return transaction_write(database, restore, &removal, err);
}
