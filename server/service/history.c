/* SPDX-License-Identifier: MIT */
#include "server/service/history.h"

#include <stdint.h>

#include "server/db/audit.h"
#include "server/db/events.h"
#include "server/db/jobs.h"
#include "server/service/context.h"
#include "server/service/policy.h"

#define BATCH 500

typedef int forgetter(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                      struct error *err);

static int forget(struct services *services, forgetter *function, int64_t age_s, size_t *total,
                  struct error *err)
{
    size_t count;
    int r;

    do {
        count = 0;
        r = services_go_on(services, err);
        if (r == 0)
            r = function(services->database, services_now(services) - age_s, BATCH, &count, err);
        *total += count;
    } while (r == 0 && count == BATCH);
    return r;
}

int history_forget(struct services *services, size_t *out_count, struct error *err)
{
    struct policy policy;
    size_t total = 0;
    int r = policy_get(services, &policy, err);

    if (r == 0)
        r = forget(services, job_forget, policy.job_age_s, &total, err);
    if (r == 0)
        r = forget(services, event_forget, policy.event_age_s, &total, err);
    if (r == 0)
        r = forget(services, audit_forget, policy.audit_age_s, &total, err);
    if (r == 0)
        *out_count = total;
    return r;
}
