/* SPDX-License-Identifier: MIT */
#include "common/client/event_follow.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/net/event_parser.h"

#define MESSAGE_MAX ((size_t)2 << 20)
#define PROBLEM_MAX ((size_t)64 << 10)
#define SILENCE_MS 45000
#define BASE_MS 500
#define MAX_MS 30000
/* A loop that did not turn for so long has heard nothing, whatever came. */
#define LATE_MS 1000
#define STALL_S 1000000000u /* our own clock ends a silent stream */

CLEANUP_DEFINE(json, json_free);

struct event_follow {
    struct api_client *client;
    struct event_follow_spec spec;
    struct buf path;
    struct event_parser parser; /* of the stream that is open */
    char *last_id;              /* NULL: none yet */
    struct http_request *request;
    struct http_timer timer; /* of silence while a request runs, else of the next one */
    size_t server;
    uint64_t tried; /* servers that failed since a stream was open */
    int status;
    struct http_headers headers; /* of the answer, while its request is there */
    struct buf problem;          /* the body of a refusal */
    uint64_t retry_after_ms;
    uint64_t heard_ms;
    uint32_t failures; /* in a row */
    bool is_silent;    /* cancelled for it */
    bool ends;         /* stopped, or at its end */
};

static void open_stream(void *context);

static void end(struct event_follow *follow, const struct error *err)
{
    follow->ends = true;
    follow->spec.on_end(follow->spec.context, err);
}

static void end_without_memory(struct event_follow *follow)
{
    struct error err;

    error_set(&err, -ENOMEM, "out of memory");
    end(follow, &err);
}

static void set_timer(struct event_follow *follow, uint64_t wait_ms)
{
    if (http_timer_set(follow->client->loop, &follow->timer, clock_monotonic_ms() + wait_ms) < 0)
        end_without_memory(follow);
}

/* The stream ---------------------------------------------------------------- */

static void forget_id(struct event_follow *follow)
{
    follow->last_id = memory_free(follow->last_id);
}

static int keep_id(struct event_follow *follow, struct error *err)
{
    const char *id = event_parser_id(&follow->parser);
    char *copy;

    if (id[0] == '\0' || (follow->last_id != NULL && strcmp(follow->last_id, id) == 0))
        return 0;
    for (const char *at = id; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') /* it goes back in a header */
            return error_set(err, -EIO, "the number of an event is none");
    }
    copy = memory_text(id);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memory_free(follow->last_id);
    follow->last_id = copy;
    return 0;
}

static int take(void *context, const struct event_message *message, struct error *err)
{
    struct event_follow *follow = context;

    if (span_equal_text(message->type, "gone"))
        follow->spec.on_anew(follow->spec.context);
    else
        follow->spec.on_event(follow->spec.context, message->type, message->data);
    return 0;
}

static bool is_stream(const struct http_headers *headers)
{
    const char *type = http_headers_get(headers, "Content-Type");

    return type != NULL && strncasecmp(type, "text/event-stream", 17) == 0;
}

static int on_headers(void *context, int status, const struct http_headers *headers,
                      struct error *err)
{
    const struct http_result opened = { .status = status };
    struct event_follow *follow = context;
    int r;

    follow->status = status;
    follow->headers = *headers;
    follow->heard_ms = clock_monotonic_ms();
    follow->retry_after_ms =
        retry_after_parse(http_headers_get(headers, "Retry-After"), clock_now_s());
    r = api_client_check_store(follow->client, follow->server, headers, err);
    if (r < 0 || status != 200)
        return r;
    if (!is_stream(headers))
        return error_set(err, -EIO, "%.100s: answered, but not with events",
                         api_client_server(follow->client, follow->server));
    follow->failures = 0;
    follow->tried = 0;
    api_client_report(follow->client, follow->server, &opened, 0);
    if (follow->last_id == NULL)
        follow->spec.on_anew(follow->spec.context);
    return 0;
}

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct event_follow *follow = context;
    int r;

    follow->heard_ms = clock_monotonic_ms();
    if (follow->status != 200) {
        buf_add_span(&follow->problem, bytes);
        return buf_check(&follow->problem, err);
    }
    r = event_parser_feed(&follow->parser, bytes, err);
    return r == 0 ? keep_id(follow, err) : r;
}

/* What comes after it -------------------------------------------------------- */

static void pause_then_open(struct event_follow *follow, const struct error *err)
{
    struct retry_policy policy = follow->spec.retry;
    uint64_t wait_ms = policy.max_ms;
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    policy.tries = UINT32_MAX;
    follow->failures += follow->failures < 1000;
    if (!retry_wait(&policy, follow->failures + 1, follow->retry_after_ms, random, &wait_ms))
        wait_ms = policy.max_ms;
    if (follow->spec.on_pause != NULL)
        follow->spec.on_pause(follow->spec.context, follow->failures, wait_ms, err);
    set_timer(follow, wait_ms);
}

/* What another try would not change. */
static bool is_final(const struct event_follow *follow, const struct http_result *result)
{
    if (result->code == -EPROTO) /* its certificate */
        return !servers_is_left(follow->client->servers, follow->tried);
    if (result->code == -ENOMEM || (result->code == -EACCES && result->status == 0))
        return true;
    return result->code == 0 && result->status != 200 && result->status != 410 &&
           retry_judge(0, result->status) == RETRY_DONE;
}

static void read_failure(const struct event_follow *follow, const struct http_result *result,
                         struct error *out)
{
    const struct api_refused refused = {
        .server = api_client_server(follow->client, follow->server),
        .status = result->status,
        .headers = &follow->headers,
        .body = buf_span(&follow->problem),
        .had_token = follow->client->token != NULL,
    };
    struct api_problem problem;

    api_problem_clear(&problem);
    *out = result->err;
    if (follow->is_silent)
        error_set(out, -ETIMEDOUT, "%.100s: silent for too long", refused.server);
    else if (result->code == 0 && result->status == 200)
        error_set(out, -EIO, "%.100s: ended the stream", refused.server);
    else if (result->code == 0)
        api_problem_read(&refused, &problem, out);
}

/* The next one is asked, and nobody's Retry-After keeps the others from being. */
static void note_failure(struct event_follow *follow, const struct http_result *result,
                         const struct error *err)
{
    follow->tried |= (uint64_t)1 << follow->server;
    if (follow->is_silent)
        api_client_note(follow->client, follow->server, SERVER_LOST, err->text);
    else
        api_client_report(follow->client, follow->server, result, follow->retry_after_ms);
    if (servers_is_left(follow->client->servers, follow->tried))
        follow->retry_after_ms = 0;
}

static void on_done(void *context, const struct http_result *result)
{
    struct event_follow *follow = context;
    struct error err = { 0 };

    follow->request = NULL;
    http_timer_clear(follow->client->loop, &follow->timer);
    event_parser_release(&follow->parser);
    if (follow->ends)
        return;
    read_failure(follow, result, &err);
    if (result->status != 200)
        note_failure(follow, result, &err);
    if (result->status == 410)
        forget_id(follow);
    if (is_final(follow, result))
        end(follow, &err);
    else
        pause_then_open(follow, &err);
}

static int send(struct event_follow *follow, struct error *err)
{
    cleanup(buf_release) struct buf url = buf_init(64 * 1024);
    const struct http_header headers[] = { { "Accept", "text/event-stream" },
                                           { "Last-Event-ID", follow->last_id } };
    struct http_request_spec spec = { .method = HTTP_GET };
    uint64_t others;
    int r;

    if (!servers_is_left(follow->client->servers, follow->tried))
        follow->tried = 0;
    follow->server = servers_pick(follow->client->servers, follow->tried, clock_monotonic_ms());
    others = follow->tried | (uint64_t)1 << follow->server;
    r = api_client_prepare(follow->client, follow->server, others, buf_text(&follow->path), &url,
                           &spec, err);
    if (r < 0)
        return r;
    if (servers_has_ok(follow->client->servers, others, clock_monotonic_ms()))
        spec.first_ms = servers_policy_of(follow->client->servers)->patience;
    spec.headers = headers;
    spec.header_count = follow->last_id != NULL ? 2 : 1;
    spec.stall_s = STALL_S;
    spec.on_headers = on_headers;
    spec.on_body = on_body;
    spec.on_done = on_done;
    spec.context = follow;
    return http_request_start(follow->client->loop, &spec, &follow->request, err);
}

static void open_stream(void *context)
{
    struct event_follow *follow = context;
    struct error err = { 0 };

    event_parser_init(&follow->parser, MESSAGE_MAX, take, follow);
    buf_clear(&follow->problem);
    follow->status = 0;
    follow->is_silent = false;
    follow->heard_ms = clock_monotonic_ms();
    if (send(follow, &err) < 0) {
        event_parser_release(&follow->parser);
        end(follow, &err);
        return;
    }
    set_timer(follow, follow->spec.silence_ms);
}

static void on_timer(void *context)
{
    struct event_follow *follow = context;
    const uint64_t now_ms = clock_monotonic_ms();
    const uint64_t due_ms = follow->timer.due_ms;
    uint64_t silent_ms;

    if (follow->request == NULL) {
        open_stream(follow);
        return;
    }
    if (now_ms - due_ms > LATE_MS)
        follow->heard_ms = now_ms;
    silent_ms = now_ms - follow->heard_ms;
    if (silent_ms < follow->spec.silence_ms) {
        set_timer(follow, follow->spec.silence_ms - silent_ms);
        return;
    }
    follow->is_silent = true;
    http_request_cancel(follow->request);
}

static void follow_free(struct event_follow *follow)
{
    buf_release(&follow->path);
    buf_release(&follow->problem);
    memory_free(follow->last_id);
    memory_free(follow);
}

static int make_path(struct event_follow *follow, struct error *err)
{
    const struct event_follow_spec *spec = &follow->spec;

    buf_add_text(&follow->path, "/events");
    if (spec->project != NULL)
        url_add_query(&follow->path, "project", span_text(spec->project));
    if (spec->app != NULL)
        url_add_query(&follow->path, "app", span_text(spec->app));
    if (spec->types != NULL)
        url_add_query(&follow->path, "type", span_text(spec->types));
    buf_text(&follow->path);
    return buf_check(&follow->path, err);
}

int event_follow_start(struct api_client *client, const struct event_follow_spec *spec,
                       struct event_follow **out, struct error *err)
{
    struct event_follow *follow = memory_new(sizeof(*follow));
    int r;

    if (follow == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    follow->client = client;
    follow->spec = *spec;
    follow->path = buf_init(4096);
    follow->problem = buf_init(PROBLEM_MAX);
    follow->timer = (struct http_timer){ .function = on_timer, .context = follow };
    if (follow->spec.silence_ms == 0)
        follow->spec.silence_ms = SILENCE_MS;
    if (follow->spec.retry.base_ms == 0)
        follow->spec.retry = (struct retry_policy){ .base_ms = BASE_MS,
                                                    .max_ms = MAX_MS,
                                                    .retry_after_max_ms = MAX_MS };
    r = make_path(follow, err);
    if (r == 0 && http_timer_set(client->loop, &follow->timer, clock_monotonic_ms()) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        follow_free(follow);
        return r;
    }
    *out = follow;
    return 0;
}

struct event_follow *event_follow_stop(struct event_follow *follow)
{
    if (follow == NULL)
        return NULL;
    follow->ends = true;
    http_timer_clear(follow->client->loop, &follow->timer);
    if (follow->request != NULL)
        http_request_cancel(follow->request);
    follow_free(follow);
    return NULL;
}

bool event_follow_is_of_channel(struct span data, const char *channel)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *inner;
    const char *named = NULL;

    if (json_parse(data, &json, NULL) < 0)
        return true;
    inner = json_member(json_root(json), "data");
    if (inner == NULL || json_member_text(inner, "channel", &named, NULL) < 0 || named == NULL)
        return true;
    return strcmp(named, channel) == 0;
}
