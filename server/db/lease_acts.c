/* SPDX-License-Identifier: MIT */
#include "server/db/lease_acts.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "server/db/lease_telling.h"
#include "server/db/transaction.h"

static const char *const mode_names[] = {
    [LEASE_PULL] = "pull",
    [LEASE_MOUNT] = "mount",
    [LEASE_ATTACH] = "attach",
};
#define MODE_COUNT (sizeof(mode_names) / sizeof(mode_names[0]))

const char *lease_mode_name(enum lease_mode mode)
{
    return mode_names[mode];
}

int lease_mode_parse(const char *text, enum lease_mode *out)
{
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(mode_names[i], text) == 0) {
            *out = (enum lease_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

int lease_read(struct rows *rows, struct lease *out, struct error *err)
{
    const struct {
        char *text;
        size_t size;
    } texts[] = {
        { out->host, sizeof(out->host) },
        { out->place, sizeof(out->place) },
        { out->project, sizeof(out->project) },
        { out->app, sizeof(out->app) },
        { out->version, sizeof(out->version) },
        { out->state, sizeof(out->state) },
        { out->token_name, sizeof(out->token_name) },
        { out->token_id, sizeof(out->token_id) },
    };
    char mode[16];
    int r = 0;

    for (unsigned i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        r = rows_text(rows, i, texts[i].text, texts[i].size, err);
    if (r >= 0)
        r = rows_text(rows, 8, mode, sizeof(mode), err);
    if (r < 0)
        return r;
    if (lease_mode_parse(mode, &out->mode) < 0)
        return error_set(err, -EBADMSG, "the database has a lease of mode \"%s\"", mode);
    out->since_s = rows_integer(rows, 9);
    out->renewed_at_s = rows_integer(rows, 10);
    out->expires_at_s = rows_integer(rows, 11);
    return 0;
}

int lease_take_away(struct transaction *tx, const struct lease *lease, enum lease_change change,
                    struct lease_telling *telling, struct error *err)
{
    const struct lease_told told = { .project = lease->project,
                                     .app = lease->app,
                                     .version = lease->version,
                                     .token_id = lease->token_id,
                                     .host = lease->host,
                                     .place = lease->place,
                                     .mode = lease->mode };
    int r =
        transaction_run(tx, "DELETE FROM leases WHERE token_id = $1 AND host = $2 AND place = $3",
                        VALUES(value_text(lease->token_id), value_text(lease->host),
                               value_text(lease->place)),
                        err);

    return r < 0 ? r : lease_telling_add(telling, change, &told, err);
}
