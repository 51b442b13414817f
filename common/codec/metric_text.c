/* SPDX-License-Identifier: MIT */
#include "common/codec/metric_text.h"

#include <inttypes.h>

#include "common/base/buf.h"

/* Upper edges in microseconds, and how Prometheus writes them in seconds. */
static const struct {
    uint64_t limit_us;
    const char *text;
} buckets[METRIC_BUCKETS] = {
    { 500, "0.0005" },  { 1000, "0.001" },  { 2500, "0.0025" }, { 5000, "0.005" },
    { 10000, "0.01" },  { 25000, "0.025" }, { 50000, "0.05" },  { 100000, "0.1" },
    { 250000, "0.25" }, { 500000, "0.5" },  { 1000000, "1" },   { 2500000, "2.5" },
    { 5000000, "5" },   { 10000000, "10" }, { 30000000, "30" },
};

void metric_head(struct buf *out, const char *kind, const char *name, const char *help)
{
    buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

void metric_number(struct buf *out, const char *kind, const char *name, const char *help,
                   uint64_t value)
{
    metric_head(out, kind, name, help);
    buf_format(out, "%s %" PRIu64 "\n", name, value);
}

void metric_label(struct buf *out, const char *value)
{
    buf_add_byte(out, '"');
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buf_add_text(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)*value);
    }
    buf_add_byte(out, '"');
}

void metric_build_info(struct buf *out, const char *name, const char *version)
{
    metric_head(out, "gauge", name, "The program's version.");
    buf_format(out, "%s{version=", name);
    metric_label(out, version);
    buf_add_text(out, "} 1\n");
}

void metric_histogram_add(struct metric_histogram *histogram, uint64_t duration_us)
{
    histogram->count++;
    histogram->sum_us += duration_us;
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        if (duration_us <= buckets[i].limit_us) {
            histogram->below[i]++;
            break;
        }
    }
}

void metric_histogram_write(struct buf *out, const char *name, const char *labels,
                            const struct metric_histogram *histogram)
{
    const char *comma = labels[0] != '\0' ? "," : "";
    const char *open = labels[0] != '\0' ? "{" : "", *end = labels[0] != '\0' ? "}" : "";
    uint64_t below = 0;

    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        below += histogram->below[i];
        buf_format(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
                   buckets[i].text, below);
    }
    buf_format(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
               histogram->count);
    buf_format(out, "%s_sum%s%s%s %" PRIu64 ".%06" PRIu64 "\n", name, open, labels, end,
               histogram->sum_us / 1000000, histogram->sum_us % 1000000);
    buf_format(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, end, histogram->count);
}
