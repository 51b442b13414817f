/* SPDX-License-Identifier: MIT */
#include "server/db/acts.h"

#include "server/db/audit.h"
#include "server/db/events_outbox.h"

const struct actor actor_host = { .name = "host" };

static int tell(struct transaction *tx, const struct actor *by, const struct act *act,
                struct error *err)
{
    const struct event_draft event = { .type = act->event,
                                       .project = act->project,
                                       .app = act->app,
                                       .version = act->version,
                                       .actor = by->name,
                                       .data = act->data };

    return act->event == NULL ? 0 : event_add(tx, &event, err);
}

int act_write(struct transaction *tx, const struct actor *by, const struct act *act,
              struct error *err)
{
    const struct audit_entry entry = { .actor = by->name,
                                       .token_id = by->token_id,
                                       .address = by->address,
                                       .request_id = by->request_id,
                                       .operation = act->operation,
                                       .project = act->project,
                                       .app = act->app,
                                       .version = act->version,
                                       .result = "ok",
                                       .data = act->data };
    int r = tell(tx, by, act, err);

    return r < 0 ? r : audit_write(tx, &entry, err);
}
