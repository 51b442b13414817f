/* SPDX-License-Identifier: MIT */
#include "server/service/retention_schedule.h"

#include <stdio.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/cron.h"
#include "common/model/zone.h"
#include "server/db/jobs.h"
#include "server/db/schedules.h"
#include "server/service/context.h"
#include "server/service/policy.h"

#define NAME "retention"

CLEANUP_DEFINE(zone, zone_free);

static int next_of(struct services *services, const struct policy *policy, int64_t *out_s,
                   struct error *err)
{
    cleanup(cleanup_zone) struct zone *zone = NULL;
    struct cron cron;
    int r = cron_parse(span_text(policy->retention_schedule), &cron, err);

    if (r == 0)
        r = zone_load(policy->time_zone, &zone, err);
    return r < 0 ? r : cron_next(&cron, zone, services_now(services), out_s, err);
}

static int advance(struct services *services, const struct schedule *schedule, int64_t next_s,
                   size_t *out_count, struct error *err)
{
    static const struct actor by = { .name = "schedule" };
    static const struct job_draft draft = { .kind = "retention",
                                            .lane = "delete",
                                            .params = "{\"force\":false}" };
    bool asked = false;
    int r = schedule_advance(services->database, schedule, next_s, &by, &draft, &asked, err);

    if (r < 0)
        return r;
    *out_count = asked ? 1 : 0;
    if (asked)
        event_written(services);
    return 0;
}

int retention_schedule_step(struct services *services, size_t *out_count, struct error *err)
{
    char plan[2 * POLICY_TEXT_SIZE + 1];
    const struct schedule schedule = { NAME, plan };
    struct policy policy;
    int64_t planned_s, next_s;
    int r = policy_get(services, &policy, err);

    *out_count = 0;
    if (r < 0)
        return r;
    if (!policy_has_schedule(&policy))
        return schedule_forget(services->database, NAME, err);
    snprintf(plan, sizeof(plan), "%s %s", policy.retention_schedule, policy.time_zone);
    r = schedule_next(services->database, &schedule, &planned_s, err);
    if (r == 0)
        r = next_of(services, &policy, &next_s, err);
    if (r < 0 || (planned_s > services_now(services) && planned_s <= next_s))
        return r;
    return advance(services, &schedule, next_s, out_count, err);
}
