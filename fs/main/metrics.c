/* SPDX-License-Identifier: MIT */
#include "fs/main/metrics.h"

#include <inttypes.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/codec/metric_text.h"
#include "common/net/http_loop.h"
#include "fs/care/care.h"
#include "fs/care/scrubber.h"
#include "fs/main/rooms.h"
#include "fs/main/worker_config.h"
#include "fs/pins/pins.h"

#define NAME "kkartifact_fs_"

/* Everything, looked at once. */
struct facts {
    struct ops_counts ops;
    struct blob_cache_stats cache;
    struct blob_fetch_stats engine;
    struct scrub_progress scrub;
    uint64_t http_requests, wrong_bytes, pins, restarts, uptime_s, last_scrub_s;
    uint64_t online, unauthorised, offline, holder, degraded, scrubs;
};

/* One line a metric. */
static const struct {
    const char *name, *help;
    size_t offset;
} table[] = {
#define METRIC(name, member, help)                      \
    {                                                   \
        NAME name, help, offsetof(struct facts, member) \
    }
    METRIC("uptime_seconds", uptime_s, "Since the process that answers was started."),
    METRIC("worker_restarts_total", restarts, "Workers that followed one that had ended."),
    METRIC("holder_up", holder, "Whether somebody follows the worker when it ends."),
    METRIC("online", online, "Whether the last request reached a server."),
    METRIC("offline", offline, "Whether the mount was told to ask nothing."),
    METRIC("unauthorised", unauthorised, "Whether the last answer refused the token."),
    METRIC("questions_waiting", ops.waiting, "Requests of the kernel that wait for an answer."),
    METRIC("versions_open", ops.versions_open, "Versions whose tree is open."),
    METRIC("versions_shown", ops.versions_shown, "Versions that were opened so far."),
    METRIC("pins", pins, "Versions that stay in the cache."),
    METRIC("http_requests_total", http_requests, "Requests made to servers."),
    METRIC("fetched_bytes_total", engine.fetched_bytes, "Bytes of blobs and trees that came."),
    METRIC("hit_bytes_total", engine.hit_bytes, "Bytes that were given from the cache."),
    METRIC("integrity_failures_total", wrong_bytes,
           "Answers and cached objects that were not what their digest says."),
    METRIC("engine_memory_bytes", engine.memory_bytes, "Bytes on their way, in memory."),
    METRIC("cache_bytes", cache.bytes, "Bytes in the cache."),
    METRIC("cache_limit_bytes", cache.quota_bytes, "Most bytes in the cache; 0: no limit."),
    METRIC("cache_objects", cache.objects, "Complete objects in the cache."),
    METRIC("cache_evictions_total", cache.evicted, "Objects that had to go for others."),
    METRIC("cache_degraded", degraded, "Whether the cache keeps nothing at the moment."),
    METRIC("cache_damaged_total", cache.damaged, "Pieces and objects found wrong in the cache."),
    METRIC("cache_set_aside_total", cache.set_aside, "Objects that were set aside as wrong."),
    METRIC("scrub_active", scrubs, "Whether this mount's scrubber goes over the cache."),
    METRIC("scrub_passes", scrub.passes, "Passes of the scrubber over the cache, all mounts."),
    METRIC("scrub_objects", scrub.objects, "Objects hashed in this pass, or in the last."),
    METRIC("scrub_wrong", scrub.wrong, "Wrong ones of those."),
    METRIC("scrub_last_end_timestamp_seconds", last_scrub_s, "End of the last pass; 0: none yet."),
#undef METRIC
};

static int count_pin(void *context, const struct pin *pin)
{
    ++*(uint64_t *)context;
    return 0;
}

static void find_facts(const struct metrics_source *source, struct facts *out)
{
    const struct rooms *rooms = source->rooms;

    *out = (struct facts){ .http_requests = http_loop_request_count(rooms->loop) };
    ops_count(rooms->ops, &out->ops);
    blob_cache_stats(rooms->cache, &out->cache);
    blob_fetch_stats(rooms->engine, &out->engine);
    care_scrub_progress(rooms->care, &out->scrub);
    pins_each(rooms->pins, rooms->entry.store, count_pin, &out->pins);
    out->wrong_bytes = out->engine.integrity_failures + out->cache.damaged;
    out->uptime_s = (clock_monotonic_ms() - source->started_ms) / 1000;
    out->online = api_client_online(rooms->client);
    out->offline = api_client_is_offline(rooms->client);
    out->unauthorised = api_client_unauthorised(rooms->client);
    out->degraded = out->cache.degraded;
    out->scrubs = out->scrub.state == SCRUB_RUNS;
    out->last_scrub_s = (uint64_t)out->scrub.ended_at_s;
    if (source->config != NULL) {
        out->restarts = source->config->restarts;
        out->holder = !atomic_load(source->holder_gone);
    }
}

/* A counter's name says so. */
static bool is_counter(const char *name)
{
    struct span text = span_text(name);

    return text.size > 6 && span_equal_text(span_slice(text, text.size - 6, 6), "_total");
}

static void write_requests(const struct ops_counts *counts, struct buf *out)
{
    static const char name[] = NAME "requests_total";

    metric_head(out, "counter", name, "Requests of the kernel, by kind.");
    for (size_t i = 0; i < OPS_REQUEST_KINDS; i++)
        buf_format(out, "%s{kind=\"%s\"} %" PRIu64 "\n", name, counts->requests[i].name,
                   counts->requests[i].count);
}

void metrics_write(void *context, struct buf *out)
{
    const struct metrics_source *source = context;
    struct facts facts;

    find_facts(source, &facts);
    metric_build_info(out, NAME "build_info", KKARTIFACT_VERSION);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        metric_number(out, is_counter(table[i].name) ? "counter" : "gauge", table[i].name,
                      table[i].help,
                      *(const uint64_t *)(const void *)((const char *)&facts + table[i].offset));
    write_requests(&facts.ops, out);
    metric_head(out, "histogram", NAME "read_wait_seconds",
                "Reads that had to wait for the network, until they were answered.");
    metric_histogram_write(out, NAME "read_wait_seconds", "", &facts.ops.waits);
}
