/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct buf;
struct error;

/*
 * http_metrics - what was asked and how it went, in Prometheus' text form:
 * http_requests_total{route,method,code}, http_request_duration_seconds{route}
 * (histogram), http_requests_in_flight, http_received_bytes_total (bodies), http_sent_bytes_total.
 * Any thread; a counter costs one short lock.
 */
struct http_metrics;

int http_metrics_new(struct http_metrics **out_metrics, struct error *err);
struct http_metrics *http_metrics_free(struct http_metrics *metrics);

struct http_measure {
    const char *route; /* lives as long as the metrics */
    const char *method;
    unsigned status; /* 0: the client went before an answer */
    uint64_t duration_ns;
    uint64_t received_bytes, sent_bytes;
};

void http_metrics_begin(struct http_metrics *metrics);
void http_metrics_end(struct http_metrics *metrics, const struct http_measure *measure);

/* Appends the text. */
void http_metrics_write(struct http_metrics *metrics, struct buf *out);
