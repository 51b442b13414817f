/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/number.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/url.h"
#include "server/service/event_listener.h"

static enum http_feed_turn take(void *context, void *out, size_t size, size_t *out_size)
{
    static const enum http_feed_turn turns[] = {
        [EVENT_TURN_BYTES] = HTTP_FEED_BYTES,
        [EVENT_TURN_WAIT] = HTTP_FEED_WAIT,
        [EVENT_TURN_LOAD] = HTTP_FEED_LOAD,
        [EVENT_TURN_END] = HTTP_FEED_END,
    };

    return turns[event_listener_take(context, out, size, out_size)];
}

static int load(void *context, struct error *err)
{
    return event_listener_load(context, err);
}

static void close_listener(void *context)
{
    event_listener_close(context);
}

static void wake(void *context)
{
    http_feed_wake(context);
}

static int refuse(struct request *request, int r)
{
    return r == -EINVAL || r == -EFBIG ? refusal_at(&request->why, "", r) : r;
}

static int read_name(struct http_exchange *exchange, const char *key, enum name_kind kind,
                     char out[NAME_TEXT_SIZE], struct error *err)
{
    const char *value = http_exchange_query(exchange, key);
    int r;

    if (value == NULL)
        return 0;
    r = name_check(kind, span_text(value), err);
    if (r < 0)
        return refuse(request_of(exchange), error_prefix(err, r, "%s", key));
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

static int read_types(struct http_exchange *exchange, struct event_filter *filter,
                      struct error *err)
{
    const struct url *url = http_exchange_url(exchange);
    int r = 0;

    for (size_t i = 0; r == 0 && i < url->query_count; i++) {
        if (span_equal_text(url->query[i].key, "type"))
            r = event_filter_add_types(filter, url->query[i].value, err);
    }
    return refuse(request_of(exchange), r);
}

/* What the token cannot see is not there for it, also not to wait for. */
static int read_filter(struct http_exchange *exchange, struct event_filter *filter,
                       struct error *err)
{
    struct request *request = request_of(exchange);
    int r = read_name(exchange, "project", NAME_PROJECT, filter->project, err);

    if (r == 0)
        r = read_name(exchange, "app", NAME_APP, filter->app, err);
    if (r == 0 && filter->app[0] != '\0' && filter->project[0] == '\0')
        r = refuse(request, error_set(err, -EINVAL, "app needs project"));
    if (r == 0)
        r = read_types(exchange, filter, err);
    if (r < 0)
        return r;
    return access_check(request_services(exchange), &request->caller.identity, ACCESS_PULL,
                        ACCESS_VISIBLE, filter->project[0] != '\0' ? filter->project : NULL,
                        filter->app[0] != '\0' ? filter->app : NULL, &request->why, err);
}

/* Last-Event-ID is what a browser sends when it comes back to the same address: it goes before
 * ?after=, which clients use that cannot set headers. */
static int read_after(struct http_exchange *exchange, int64_t *number, const int64_t **out,
                      struct error *err)
{
    const char *text = http_exchange_header(exchange, "Last-Event-ID");
    const char *name = "Last-Event-ID";
    uint64_t parsed;
    int r;

    if (text == NULL || text[0] == '\0') {
        name = "after";
        text = http_exchange_query(exchange, name);
    }
    if (text == NULL || text[0] == '\0' || strcmp(text, "now") == 0)
        return 0;
    r = number_parse(span_text(text), INT64_MAX, &parsed, err);
    if (r < 0)
        return refuse(request_of(exchange),
                      error_set(err, -EINVAL, "%s: it has to be the number of an event", name));
    *number = (int64_t)parsed;
    *out = number;
    return 0;
}

static int answer(struct http_exchange *exchange, struct event_listener *listener,
                  struct error *err)
{
    const struct http_feed_source source = { listener, take, load, close_listener };
    struct http_feed *feed = NULL;
    int r = http_answer_header(exchange, "Cache-Control", "no-store", err);

    if (r == 0) /* a proxy that gathers answers would keep events back */
        r = http_answer_header(exchange, "X-Accel-Buffering", "no", err);
    if (r < 0) {
        event_listener_close(listener);
        return r;
    }
    r = http_answer_feed(exchange, "text/event-stream", &source, &feed, err);
    if (r == 0 && feed != NULL)
        event_listener_on_wake(listener, wake, feed);
    return r;
}

static int listen_to(struct http_exchange *exchange, struct event_filter *filter, struct error *err)
{
    struct request *request = request_of(exchange);
    struct event_wish wish = { .identity = &request->caller.identity, .filter = filter };
    struct event_listener *listener = NULL;
    int64_t after = 0;
    int r = read_filter(exchange, filter, err);

    if (r == 0)
        r = read_after(exchange, &after, &wish.after, err);
    if (r == 0)
        r = event_listener_open(request_services(exchange), &wish, &listener, &request->why, err);
    return r < 0 ? r : answer(exchange, listener, err);
}

int api_events_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct event_filter filter;
    int r;

    event_filter_init(&filter, &request_of(exchange)->caller.identity);
    r = listen_to(exchange, &filter, err);
    event_filter_release(&filter);
    return r;
}
