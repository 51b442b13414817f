/* SPDX-License-Identifier: MIT */
#include "server/http/http_metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/metric_text.h"

struct request_counter {
    const char *route, *method;
    unsigned status;
    uint64_t count;
};

struct duration_counter {
    const char *route;
    struct metric_histogram histogram;
};

struct http_metrics {
    pthread_mutex_t lock;
    struct request_counter *requests;
    size_t request_count;
    struct duration_counter *durations;
    size_t duration_count;
    uint64_t in_flight, received_bytes, sent_bytes;
};

int http_metrics_new(struct http_metrics **out_metrics, struct error *err)
{
    struct http_metrics *metrics = memory_new(sizeof(*metrics));

    if (metrics == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&metrics->lock, NULL);
    *out_metrics = metrics;
    return 0;
}

struct http_metrics *http_metrics_free(struct http_metrics *metrics)
{
    if (metrics == NULL)
        return NULL;
    memory_free(metrics->requests);
    memory_free(metrics->durations);
    pthread_mutex_destroy(&metrics->lock);
    return memory_free(metrics);
}

/* Routes, methods and codes are few: a walk over an array of them. NULL: out of memory, not
 * counted. */
static struct request_counter *request_counter(struct http_metrics *metrics,
                                               const struct http_measure *measure)
{
    struct request_counter *grown;

    for (size_t i = 0; i < metrics->request_count; i++) {
        struct request_counter *at = &metrics->requests[i];

        if (at->status == measure->status && strcmp(at->route, measure->route) == 0 &&
            strcmp(at->method, measure->method) == 0)
            return at;
    }
    grown = memory_resize(metrics->requests, metrics->request_count + 1, sizeof(*grown));
    if (grown == NULL)
        return NULL;
    metrics->requests = grown;
    grown = &grown[metrics->request_count++];
    *grown = (struct request_counter){ measure->route, measure->method, measure->status, 0 };
    return grown;
}

static struct duration_counter *duration_counter(struct http_metrics *metrics, const char *route)
{
    struct duration_counter *grown;

    for (size_t i = 0; i < metrics->duration_count; i++) {
        if (strcmp(metrics->durations[i].route, route) == 0)
            return &metrics->durations[i];
    }
    grown = memory_resize(metrics->durations, metrics->duration_count + 1, sizeof(*grown));
    if (grown == NULL)
        return NULL;
    metrics->durations = grown;
    grown = &grown[metrics->duration_count++];
    *grown = (struct duration_counter){ .route = route };
    return grown;
}

void http_metrics_begin(struct http_metrics *metrics)
{
    pthread_mutex_lock(&metrics->lock);
    metrics->in_flight++;
    pthread_mutex_unlock(&metrics->lock);
}

void http_metrics_end(struct http_metrics *metrics, const struct http_measure *measure)
{
    struct request_counter *request;
    struct duration_counter *duration;

    pthread_mutex_lock(&metrics->lock);
    metrics->in_flight--;
    metrics->received_bytes += measure->received_bytes;
    metrics->sent_bytes += measure->sent_bytes;
    request = request_counter(metrics, measure);
    if (request != NULL)
        request->count++;
    duration = duration_counter(metrics, measure->route);
    if (duration != NULL)
        metric_histogram_add(&duration->histogram, measure->duration_ns / 1000);
    pthread_mutex_unlock(&metrics->lock);
}

static void requests_write(const struct http_metrics *metrics, struct buf *out)
{
    metric_head(out, "counter", "http_requests_total",
                "Requests that ended, by route, method and status (0: the client went away).");
    for (size_t i = 0; i < metrics->request_count; i++) {
        const struct request_counter *at = &metrics->requests[i];

        buf_format(out, "http_requests_total{route=\"%s\",method=\"%s\",code=\"%u\"} %" PRIu64 "\n",
                   at->route, at->method, at->status, at->count);
    }
}

static void durations_write(const struct http_metrics *metrics, struct buf *out)
{
    static const char name[] = "http_request_duration_seconds";

    metric_head(out, "histogram", name, "From the request line to the last byte of the answer.");
    for (size_t i = 0; i < metrics->duration_count; i++) {
        cleanup(buf_release) struct buf label = buf_init(BUF_UNLIMITED);

        buf_add_text(&label, "route=");
        metric_label(&label, metrics->durations[i].route);
        metric_histogram_write(out, name, buf_text(&label), &metrics->durations[i].histogram);
    }
}

void http_metrics_write(struct http_metrics *metrics, struct buf *out)
{
    pthread_mutex_lock(&metrics->lock);
    requests_write(metrics, out);
    durations_write(metrics, out);
    metric_number(out, "gauge", "http_requests_in_flight", "Requests being served.",
                  metrics->in_flight);
    metric_number(out, "counter", "http_received_bytes_total", "Bytes of request bodies.",
                  metrics->received_bytes);
    metric_number(out, "counter", "http_sent_bytes_total",
                  "Bytes of answers' bodies whose length was known at their start.",
                  metrics->sent_bytes);
    pthread_mutex_unlock(&metrics->lock);
}
