/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/acts.h"
#include "server/db/driver.h"
#include "server/db/leases.h"
#include "server/db/version_rows.h"

#define WORDS_MAX 100 /* of names in a text */

struct removal {
    int64_t id;
    const struct actor *by;
    const char *reason;
    bool force;
    struct protection protection;
};

static int find(struct transaction *tx, const struct removal *removal, struct version *out,
                struct error *err)
{
    int r = version_find_id(tx, removal->id, out, err);

    return r == 0 ? error_set(err, -ENOENT, "no such version") : r;
}

static int tell(struct transaction *tx, const char *operation, const char *event,
                const struct version *version, const struct removal *removal, struct error *err)
{
    const struct act act = { .operation = operation,
                             .event = event,
                             .project = version->project,
                             .app = version->app,
                             .version = version->name,
                             .data = removal->force ? "{\"forced\":true}" : NULL };

    return act_write(tx, removal->by, &act, err);
}

/* One more, when there is room for it. */
static void name_add(struct protection *out, size_t *used, struct span name)
{
    if (out->count == PROTECTION_NAMES_MAX || name.size >= sizeof(out->names) - *used)
        return;
    memcpy(out->names + *used, name.bytes, name.size);
    out->names[*used + name.size] = '\0';
    *used += name.size + 1;
    out->count++;
}

static int channels_of(struct transaction *tx, int64_t version_id, struct protection *out,
                       struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    size_t used = 0;
    int r =
        transaction_query(tx,
                          "SELECT name FROM channels WHERE version_id = $1 OR previous_id = $1"
                          " ORDER BY name LIMIT $2",
                          VALUES(value_integer(version_id), value_integer(PROTECTION_NAMES_MAX)),
                          &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        name_add(out, &used, rows_bytes(&rows, 0));
    return r;
}

static int hosts_of(struct transaction *tx, int64_t version_id, struct protection *out,
                    struct error *err)
{
    char hosts[PROTECTION_NAMES_MAX][LEASE_HOST_SIZE];
    uint64_t total;
    size_t count = 0, used = 0;
    int r = lease_hosts(tx, version_id, PROTECTION_NAMES_MAX, hosts, &count, &total, err);

    for (size_t i = 0; r == 0 && i < count; i++)
        name_add(out, &used, span_text(hosts[i]));
    return r;
}

/* As many names as a line of words holds. */
static int protected_by(const struct version *version, enum protection_kind kind, const char *what,
                        struct protection *out, struct error *err)
{
    cleanup(buf_release) struct buf names = buf_init(PROTECTION_NAMES_SIZE);
    const char *at = out->names;

    for (size_t i = 0; i < out->count && names.size < WORDS_MAX; i++) {
        buf_format(&names, "%s%s", i == 0 ? "" : ", ", at);
        at += strlen(at) + 1;
    }
    out->kind = kind;
    return error_set(err, -EBUSY, "version %.64s is %s%.100s", version->name, what,
                     buf_text(&names));
}

/* Promoted (or the one before that on its channel), pinned, or in use. */
static int refuse_protected(struct transaction *tx, const struct version *version,
                            struct protection *out, struct error *err)
{
    int r = channels_of(tx, version->id, out, err);

    if (r == 0 && out->count > 0)
        return protected_by(version, PROTECTION_PROMOTED, "promoted, or the one before that, on ",
                            out, err);
    if (r == 0 && version->pinned)
        return protected_by(version, PROTECTION_PINNED, "pinned", out, err);
    if (r == 0)
        r = hosts_of(tx, version->id, out, err);
    if (r == 0 && out->count > 0)
        return protected_by(version, PROTECTION_LEASED, "in use by ", out, err);
    return r;
}

static int trash(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct removal *removal = context;
    int r = find(tx, removal, &version, err);

    removal->protection = (struct protection){ .kind = PROTECTION_NONE };
    if (r >= 0 && version.state != VERSION_READY)
        return 0;
    if (r >= 0 && !removal->force)
        r = refuse_protected(tx, &version, &removal->protection, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "UPDATE versions SET state = 'trashed', trashed_at = $2,"
                            " trashed_by = $3, trash_reason = $4 WHERE id = $1",
                            VALUES(value_integer(version.id), value_integer(transaction_now_s(tx)),
                                   value_text(removal->by->name), value_text(removal->reason)),
                            err);
    return r < 0 ? r : tell(tx, "version.trash", "version.trashed", &version, removal, err);
}

int version_trash(struct database *database, int64_t id, const struct actor *by, const char *reason,
                  bool force, struct protection *out_protection, struct error *err)
{
    struct removal removal = { .id = id, .by = by, .reason = reason, .force = force };
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

    return r < 0 ? r : version_restore_in(tx, &version, removal->by, err);
}

int version_restore(struct database *database, int64_t id, const struct actor *by,
                    struct error *err)
{
    struct removal removal = { .id = id, .by = by };
    int r = transaction_write(database, restore, &removal, err);

    if (r == 0)
        database_version_epoch_advance(database);
    return r;
}
