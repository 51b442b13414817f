/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * metric_text - counters in the text form of Prometheus (version 0.0.4), for every program that has
 * some. Names, kinds and helps are the caller's constants; values of labels that are not go through
 * metric_label.
 */
#define METRIC_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The two lines in front of a metric; kind: "gauge", "counter", "histogram". */
void metric_head(struct buf *out, const char *kind, const char *name, const char *help);
/* A metric of one value, with its head. */
void metric_number(struct buf *out, const char *kind, const char *name, const char *help,
                   uint64_t value);
/* The value of a label with its quotes, escaped. */
void metric_label(struct buf *out, const char *value);
/* NAME{version="..."} 1, with its head. */
void metric_build_info(struct buf *out, const char *name, const char *version);

/* How long things took, in buckets from 0.5 ms to 30 s. Plain data; zeroed it is an empty one. */
#define METRIC_BUCKETS 15
struct metric_histogram {
    uint64_t count, sum_us;
    uint64_t below[METRIC_BUCKETS]; /* not cumulated; what is longer is in count alone */
};
void metric_histogram_add(struct metric_histogram *histogram, uint64_t duration_us);
/* Without a head. labels: `route="/a"`, or "". */
void metric_histogram_write(struct buf *out, const char *name, const char *labels,
                            const struct metric_histogram *histogram);
