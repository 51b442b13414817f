/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/codec/metric_text.h"
#include "server/api/api_state.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_metrics.h"
#include "server/service/collection.h"
#include "server/service/event_hub.h"
#include "server/service/jobs.h"
#include "server/service/leases.h"
#include "server/service/services.h"

#define METRICS_MAX ((size_t)8 << 20)

/* Left out when the database does not answer: the other counters are wanted then, too. */
static void leases_write(struct services *services, struct buf *body)
{
    struct lease_counts counts;

    if (leases_count(services, &counts, NULL) < 0)
        return;
    metric_number(body, "gauge", "kkartifact_leases",
                  "Leases of versions in use that have not expired.", counts.leases);
    metric_number(body, "gauge", "kkartifact_leases_stale",
                  "Those of them that missed two renewals.", counts.stale);
    metric_number(body, "gauge", "kkartifact_hosts", "Hosts that hold a lease.", counts.hosts);
}

static void collection_write_counts(struct services *services, struct buf *body)
{
    struct sweep_counts counts;

    if (collection_count(services, &counts, NULL) < 0)
        return;
    metric_number(body, "gauge", "kkartifact_blobs_condemned",
                  "Blobs that nothing refers to, in their grace.", counts.condemned);
    metric_number(body, "gauge", "kkartifact_blobs_broken",
                  "Blobs that are missing or have other bytes.", counts.broken);
    metric_number(body, "gauge", "kkartifact_tombstones", "Objects that wait to be removed.",
                  counts.tombstones);
}

static void jobs_write(const struct services *services, struct buf *body)
{
    static const enum job_state ends[] = { JOB_DONE, JOB_FAILED, JOB_CANCELLED };

    metric_head(body, "counter", "kkartifact_jobs_total", "Jobs that ended in this process.");
    for (size_t kind = 0; kind < job_kind_count; kind++) {
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
            buf_format(body, "kkartifact_jobs_total{kind=\"%s\",state=\"%s\"} %llu\n",
                       job_kinds[kind].name, job_state_name(ends[i]),
                       (unsigned long long)jobs_ended(services, kind, ends[i]));
    }
}

/* Also of jobs of other processes, and of verbs: what a missing backup is told by. */
static void jobs_write_ends(struct services *services, struct buf *body)
{
    cleanup_memory struct job_last_end *ends = NULL;
    size_t count;

    if (jobs_last_ends(services, &ends, &count, NULL) < 0)
        return;
    metric_head(body, "gauge", "kkartifact_job_last_done_timestamp_seconds",
                "When the last job that was for everything was done.");
    for (size_t i = 0; i < count; i++)
        buf_format(body, "kkartifact_job_last_done_timestamp_seconds{kind=\"%s\"} %lld\n",
                   ends[i].kind, (long long)ends[i].finished_at_s);
}

static void events_write(const struct api *api, struct buf *body)
{
    struct event_hub_counts counts;

    event_hub_count(api->options.services, &counts);
    metric_number(body, "gauge", "kkartifact_event_listeners", "Streams of events that are open.",
                  counts.listeners);
    metric_number(body, "counter", "kkartifact_events_sent_total",
                  "Events told, to all listeners together.", counts.sent);
}

int api_metrics(struct http_exchange *exchange, void *context, struct error *err)
{
    const struct api *api = context;
    cleanup(buf_release) struct buf body = buf_init(METRICS_MAX);

    if (api->options.metrics != NULL)
        http_metrics_write(api->options.metrics, &body);
    metric_build_info(&body, "kkartifact_build_info", KKARTIFACT_VERSION);
    metric_number(&body, "gauge", "kkartifact_uptime_seconds", "Since this process was started.",
                  (clock_monotonic_ms() - api->started_ms) / 1000);
    metric_number(&body, "gauge", "kkartifact_workers_waiting",
                  "Requests that wait for a worker thread.", workers_waiting(api->options.workers));
    metric_number(&body, "counter", "kkartifact_wrong_deltas_total",
                  "Deltas that did not make their blob.",
                  services_wrong_deltas(api->options.services));
    leases_write(api->options.services, &body);
    collection_write_counts(api->options.services, &body);
    jobs_write(api->options.services, &body);
    jobs_write_ends(api->options.services, &body);
    events_write(api, &body);
    return http_answer_text(exchange, 200, METRIC_TEXT_TYPE, &body, true, err);
}
