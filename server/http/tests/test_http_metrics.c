/* SPDX-License-Identifier: MIT */
#include "server/http/http_metrics.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void measure(struct http_metrics *metrics, const char *route, unsigned status,
                    uint64_t duration_ns)
{
    const struct http_measure one = { route, "GET", status, duration_ns, 10, 100 };

    http_metrics_begin(metrics);
    http_metrics_end(metrics, &one);
}

static void assert_line(const char *text, const char *line)
{
    if (strstr(text, line) != NULL)
        return;
    print_error("not found: %s\n", line);
    assert_string_equal(text, line); /* shows the text */
}

static void text_form(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct http_metrics *metrics = NULL;
    const char *text;

    assert_int_equal(http_metrics_new(&metrics, NULL), 0);
    measure(metrics, "/a/{b}", 200, 400000);
    measure(metrics, "/a/{b}", 200, 3000000);
    measure(metrics, "/a/{b}", 404, 60000000000);
    measure(metrics, "none", 0, 1);
    http_metrics_begin(metrics);
    http_metrics_write(metrics, &out);
    text = buf_text(&out);
    assert_line(text, "http_requests_total{route=\"/a/{b}\",method=\"GET\",code=\"200\"} 2\n");
    assert_line(text, "http_requests_total{route=\"/a/{b}\",method=\"GET\",code=\"404\"} 1\n");
    assert_line(text, "http_requests_total{route=\"none\",method=\"GET\",code=\"0\"} 1\n");
    assert_line(text, "_bucket{route=\"/a/{b}\",le=\"0.0005\"} 1\n");
    assert_line(text, "_bucket{route=\"/a/{b}\",le=\"0.0025\"} 1\n");
    assert_line(text, "_bucket{route=\"/a/{b}\",le=\"0.005\"} 2\n");
    assert_line(text, "_bucket{route=\"/a/{b}\",le=\"30\"} 2\n");
    assert_line(text, "_bucket{route=\"/a/{b}\",le=\"+Inf\"} 3\n");
    assert_line(text, "_sum{route=\"/a/{b}\"} 60.003400\n");
    assert_line(text, "http_requests_in_flight 1\n");
    assert_line(text, "http_received_bytes_total 40\n");
    assert_line(text, "http_sent_bytes_total 400\n");
    assert_null(http_metrics_free(metrics));
}

/* A counter that finds no memory is not counted; nothing else happens. */
static void no_memory(void **state)
{
    struct http_metrics *metrics = NULL;
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    assert_int_equal(http_metrics_new(&metrics, NULL), 0);
    memory_fail_after(0);
    measure(metrics, "/a", 200, 1);
    memory_fail_after(-1);
    http_metrics_write(metrics, &out);
    assert_null(strstr(buf_text(&out), "route="));
    http_metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
