/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/error.h"
#include "server/db/places.h"
#include "server/db/retention.h"
#include "server/db/transaction.h"

struct overriding {
    const char *project, *app;
    int64_t keep;
    const struct actor *by;
};

static int find_place(struct transaction *tx, const struct overriding *self, int64_t *out_id,
                      struct error *err)
{
    return self->app == NULL ? place_find_project(tx, self->project, out_id, err)
                             : place_find_app(tx, self->project, self->app, out_id, err);
}

static int override(struct transaction *tx, void *context, struct error *err)
{
    const struct overriding *self = context;
    const struct value keep = self->keep < 0 ? value_null() : value_integer(self->keep);
    const bool of_app = self->app != NULL;
    char data[64];
    const struct act act = { .operation = of_app ? "app.set" : "project.set",
                             .event = of_app ? "app.changed" : "project.changed",
                             .project = self->project,
                             .app = self->app,
                             .data = data };
    int64_t id;
    int r = find_place(tx, self, &id, err);

    if (r < 0)
        return r;
    r = of_app ? transaction_run(tx,
                                 "UPDATE apps SET retain_count = $2 WHERE id = $1"
                                 " AND retain_count IS DISTINCT FROM $2",
                                 VALUES(value_integer(id), keep), err)
               : transaction_run(tx,
                                 "UPDATE projects SET retain_count = $2 WHERE id = $1"
                                 " AND retain_count IS DISTINCT FROM $2",
                                 VALUES(value_integer(id), keep), err);
    if (r <= 0)
        return r;
    if (self->keep < 0)
        snprintf(data, sizeof(data), "{\"retain_versions\":null}");
    else
        snprintf(data, sizeof(data), "{\"retain_versions\":%lld}", (long long)self->keep);
    return act_write(tx, self->by, &act, err);
}

int retention_override(struct database *database, const char *project, const char *app,
                       int64_t keep, const struct actor *by, struct error *err)
{
    struct overriding self = { .project = project, .app = app, .keep = keep, .by = by };

    return transaction_write(database, override, &self, err);
}
