/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/api_private.h"

#define STALL_MIN_S 1
#define STALL_BYTES 256  /* a second: less is as good as nothing */
#define STRANGER_TRIES 5 /* of a server that has never answered */
#define JSON_TYPE "application/json"

struct api_call {
    struct api_client *client;
    struct api_call *next, *previous;
    struct api_call_spec spec;
    struct buf path, texts; /* copies */
    struct http_header *headers;
    size_t header_count;
    struct http_request *request;
    struct http_timer timer;
    struct buf body;
    size_t server;
    uint64_t tried;  /* servers, in this round */
    uint32_t rounds; /* over, so far */
    int status;
    struct http_headers answer_headers;
    uint64_t retry_after_ms;
    uint64_t sent, received;
    bool gave_bytes, is_cancelled;
    bool is_strange; /* the answer came from another store */
};

static void call_free(struct api_call *call)
{
    struct api_client *client = call->client;

    if (call->next != NULL)
        call->next->previous = call->previous;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else if (client->calls == call)
        client->calls = call->next;
    http_timer_clear(client->loop, &call->timer);
    buf_release(&call->path);
    buf_release(&call->texts);
    buf_release(&call->body);
    memory_free(call->headers);
    memory_free(call);
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static void call_end(struct api_call *call, int code, const struct error *err)
{
    struct api_answer answer = { .code = code, .status = call->status };
    api_call_done *done = call->spec.done;
    void *context = call->spec.context;

    api_problem_clear(&answer.problem);
    answer.headers = call->status > 0 ? &call->answer_headers : NULL;
    answer.body = buf_span(&call->body);
    answer.sent = call->sent;
    answer.received = call->received;
    answer.server = call->server;
    if (err != NULL)
        answer.err = *err;
    if (code != 0 && call->status > 0 && !is_success(call->status)) {
        struct api_refused refused = { .server = api_client_server(call->client, call->server),
                                       .status = call->status,
                                       .headers = &call->answer_headers,
                                       .body = buf_span(&call->body),
                                       .had_token = call->client->token != NULL };
        struct error told = { 0 };
        int told_code = api_problem_read(&refused, &answer.problem, &told);
        /* A whole answer says more than what the transport can. */
        if (err == NULL) {
            answer.code = told_code;
            answer.err = told;
        }
    }
    done(context, &answer);
    call_free(call);
}

/* One try ------------------------------------------------------------------ */

static int on_headers(void *context, int status, const struct http_headers *headers,
                      struct error *err)
{
    struct api_call *call = context;
    int r;

    call->status = status;
    call->answer_headers = *headers;
    call->retry_after_ms =
        retry_after_parse(http_headers_get(headers, "Retry-After"), clock_now_s());
    if (call->spec.outside)
        return 0;
    r = api_client_check_store(call->client, call->server, headers, err);
    call->is_strange = r < 0;
    return r;
}

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct api_call *call = context;
    int r;

    if (call->spec.on_body != NULL && is_success(call->status)) {
        r = call->spec.on_body(call->spec.context, bytes, err);
        if (r == 0)
            call->gave_bytes = true;
        return r;
    }
    buf_add_span(&call->body, bytes);
    r = buf_check(&call->body, NULL);
    if (r == -EFBIG)
        return error_set(err, r, "the answer is larger than %zu bytes", call->body.maximum);
    return r < 0 ? error_set(err, r, "out of memory") : 0;
}

static void on_sent(void *context)
{
    struct api_call *call = context;

    call->spec.on_sent(call->spec.context);
}

static void call_try(void *context);
static void on_done(void *context, const struct http_result *result);

static bool may_repeat(const struct api_call *call)
{
    const struct api_call_spec *spec = &call->spec;

    if (spec->once || (call->gave_bytes && spec->on_restart == NULL))
        return false;
    return spec->repeatable || (spec->method != HTTP_POST && spec->method != HTTP_PATCH);
}

static uint64_t left_ms(const struct api_call *call)
{
    uint64_t now_ms = clock_monotonic_ms(), deadline_ms = call->spec.deadline_ms;

    if (deadline_ms == 0)
        return UINT64_MAX;
    return deadline_ms > now_ms ? deadline_ms - now_ms : 0;
}

static bool try_after(struct api_call *call, uint64_t wait_ms)
{
    if (call->gave_bytes)
        call->spec.on_restart(call->spec.context);
    call->gave_bytes = false;
    if (http_timer_set(call->client->loop, &call->timer, clock_monotonic_ms() + wait_ms) < 0)
        return false;
    /* Cancelled while it waits: what this try answered is gone with its request. */
    call->status = 0;
    buf_clear(&call->body);
    return true;
}

/* A server that was not asked in this round is asked now. False: there is none. */
static bool try_another(struct api_call *call)
{
    return may_repeat(call) && servers_is_left(call->client->servers, call->tried) &&
           left_ms(call) > 0 && try_after(call, 0);
}

/* True when another try was arranged: every server once, then a pause, then again; `tries`
 * rounds. */
static bool try_again(struct api_call *call)
{
    struct api_client *client = call->client;
    struct retry_policy policy = client->retry;
    uint64_t wait = 0, later_ms = call->retry_after_ms;
    uint32_t random = 0;

    if (!may_repeat(call))
        return false;
    if (try_another(call))
        return true;
    call->tried = 0;
    call->rounds++;
    if (client->server_count > 1)
        later_ms = servers_later_ms(client->servers, clock_monotonic_ms());
    /* One that was there comes back, after a restart; one that never was is an address to look
     * at. */
    if (!client->has_answered && policy.tries > STRANGER_TRIES)
        policy.tries = STRANGER_TRIES;
    random_bytes(&random, sizeof(random), NULL);
    return retry_wait(&policy, call->rounds + 1, later_ms, random, &wait) && left_ms(call) > wait &&
           try_after(call, wait);
}

/* Whether something else than an object of the API came where one was asked for: somebody's page,
 * with a status that says all is well. */
static bool is_foreign(const struct api_call *call)
{
    struct span body = span_trim(buf_span(&call->body));

    return is_success(call->status) && call->spec.on_body == NULL && call->spec.accept != NULL &&
           strcmp(call->spec.accept, JSON_TYPE) == 0 && (body.size == 0 || body.bytes[0] != '{');
}

static int foreign(const struct api_call *call, struct error *err)
{
    return error_set(err, -EIO,
                     "%.100s: answered %d, but without JSON: is this a kkArtifact server?",
                     api_client_server(call->client, call->server), call->status);
}

/* An answer, but none of the API's: somebody's page, a redirect, what a proxy says. 401 and 403 are
 * what they are, whoever says them: a token that is refused is not tried elsewhere. */
static bool is_wrong(const struct api_call *call)
{
    if (call->spec.any_status || call->status == 401 || call->status == 403)
        return false;
    return is_foreign(call) || call->status < 200 || (call->status >= 300 && call->status < 400) ||
           (call->status >= 400 && !api_problem_is_ours(&call->answer_headers));
}

/* What came of a try, for the choice of servers. True: it is arranged that another one is asked. */
static bool judge(struct api_call *call, const struct http_result *result)
{
    struct api_client *client = call->client;
    enum retry_verdict verdict = retry_judge(result->code, result->status);
    bool is_well = result->code == 0 && verdict == RETRY_DONE;
    char why[64];

    if (call->is_strange)
        return try_another(call);
    if (is_well || !call->spec.is_hint)
        api_client_report(client, call->server, result, call->retry_after_ms);
    if (call->is_cancelled || result->code == -ECANCELED)
        return false;
    if (verdict == RETRY_NEXT)
        return !(call->spec.any_status && result->code == 0) && try_again(call);
    if (result->code == -EPROTO) /* its certificate */
        return try_another(call);
    if (result->code != 0 || call->spec.is_hint || !is_wrong(call))
        return false;
    (void)snprintf(why, sizeof(why), "answered %d, but not as kkArtifact does", call->status);
    api_client_note(client, call->server, SERVER_WRONG, why);
    return try_another(call);
}

static void on_done(void *context, const struct http_result *result)
{
    struct api_call *call = context;
    struct error err;

    call->request = NULL;
    call->client->has_answered |= result->status > 0;
    call->sent += result->sent;
    call->received += result->received;
    if (result->status == 0)
        call->status = 0;
    if (judge(call, result))
        return;
    if (result->code != 0)
        call_end(call, result->code, &result->err);
    else if (is_foreign(call))
        call_end(call, foreign(call, &err), &err);
    else if (is_success(call->status) || call->spec.any_status)
        call_end(call, 0, NULL);
    else
        call_end(call, -EIO, NULL); /* the problem tells */
}

/* How long the server may be silent, and what a try may take, though bytes still come. While
 * another one could be asked, a reader that would be given an answer there does not wait for the
 * end of all patience. */
static void set_limits(const struct api_call *call, struct http_request_spec *spec)
{
    const struct api_client *client = call->client;
    uint64_t timeout_ms = call->spec.timeout_ms > 0 ? call->spec.timeout_ms : client->timeout_ms;
    uint64_t patience_ms = servers_policy_of(client->servers)->patience;
    bool reads = call->spec.method == HTTP_GET || call->spec.method == HTTP_HEAD;
    uint64_t most_ms = left_ms(call);

    if (most_ms < API_CALL_LEAST_MS)
        most_ms = API_CALL_LEAST_MS;
    spec->stall_s = (uint32_t)(timeout_ms / 1000) + STALL_MIN_S;
    if (call->spec.on_body == NULL && call->spec.body.size < 1024 * 1024 && timeout_ms < most_ms)
        most_ms = timeout_ms;
    if (most_ms != UINT64_MAX)
        spec->total_ms = most_ms;
    if (!reads || !may_repeat(call) ||
        !servers_has_ok(client->servers, call->tried, clock_monotonic_ms()))
        return;
    spec->first_ms = patience_ms < timeout_ms / 3 ? patience_ms : timeout_ms / 3 + 1;
    spec->stall_s = (uint32_t)(spec->first_ms / 1000) + STALL_MIN_S;
    spec->stall_bytes = STALL_BYTES;
}

static int send_try(struct api_call *call, struct error *err)
{
    struct api_client *client = call->client;
    cleanup(buf_release) struct buf url = buf_init(64 * 1024);
    struct http_request_spec spec = { .method = call->spec.method };
    int r;

    call->server = servers_pick(client->servers, call->tried, clock_monotonic_ms());
    call->tried |= (uint64_t)1 << call->server;
    r = api_client_prepare(client, call->server, call->tried, buf_text(&call->path), &url, &spec,
                           err);
    if (r < 0)
        return r;
    if (call->spec.outside) {
        buf_clear(&url);
        buf_add_text(&url, api_client_server(client, call->server));
        buf_add_text(&url, buf_text(&call->path));
        r = buf_check(&url, err);
        if (r < 0)
            return r;
        spec.url = buf_text(&url);
    }
    spec.headers = call->headers;
    spec.header_count = call->header_count;
    spec.body = call->spec.body;
    set_limits(call, &spec);
    spec.on_headers = on_headers;
    spec.on_body = on_body;
    spec.on_sent = call->spec.on_sent != NULL ? on_sent : NULL;
    spec.on_done = on_done;
    spec.context = call;
    call->status = 0;
    call->is_strange = false;
    buf_clear(&call->body);
    return http_request_start(client->loop, &spec, &call->request, err);
}

static void call_try(void *context)
{
    struct api_call *call = context;
    struct error err = { 0 };
    int r = send_try(call, &err);

    if (r < 0)
        call_end(call, r, &err);
}

/* Calls -------------------------------------------------------------------- */

static void add_header(struct api_call *call, const char *name, const char *value)
{
    struct http_header *header = &call->headers[call->header_count];

    if (name == NULL || value == NULL)
        return;
    /* Offsets first: the texts move while they grow. */
    header->name = (const char *)(uintptr_t)call->texts.size;
    buf_add(&call->texts, name, strlen(name) + 1);
    header->value = (const char *)(uintptr_t)call->texts.size;
    buf_add(&call->texts, value, strlen(value) + 1);
    call->header_count++;
}

static int copy_spec(struct api_call *call, const struct api_call_spec *spec, struct error *err)
{
    int r;

    call->spec = *spec;
    call->path = buf_init(64 * 1024);
    call->texts = buf_init(64 * 1024);
    call->body = buf_init((size_t)(spec->body_maximum > 0 ? spec->body_maximum : API_ANSWER_MAX));
    call->headers = memory_array(spec->header_count + 2, sizeof(*call->headers));
    if (call->headers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    add_header(call, "Accept", spec->accept);
    add_header(call, "Content-Type", spec->content_type);
    for (size_t i = 0; i < spec->header_count; i++)
        add_header(call, spec->headers[i].name, spec->headers[i].value);
    buf_add_text(&call->path, spec->path);
    buf_text(&call->path);
    r = buf_check(&call->texts, err);
    if (r == 0)
        r = buf_check(&call->path, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < call->header_count; i++) {
        call->headers[i].name = (const char *)call->texts.bytes + (uintptr_t)call->headers[i].name;
        call->headers[i].value =
            (const char *)call->texts.bytes + (uintptr_t)call->headers[i].value;
    }
    call->spec.headers = NULL;
    call->spec.path = NULL;
    return 0;
}

int api_call_start(struct api_client *client, const struct api_call_spec *spec,
                   struct api_call **out_call, struct error *err)
{
    struct api_call *call = memory_new(sizeof(*call));
    int r;

    if (call == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    call->client = client;
    call->timer = (struct http_timer){ .function = call_try, .context = call };
    r = copy_spec(call, spec, err);
    if (r == 0)
        r = send_try(call, err);
    if (r < 0) {
        call_free(call);
        return r;
    }
    call->next = client->calls;
    if (call->next != NULL)
        call->next->previous = call;
    client->calls = call;
    if (out_call != NULL)
        *out_call = call;
    return 0;
}

uint64_t api_call_sent(const struct api_call *call)
{
    return call->request != NULL ? http_request_sent(call->request) : 0;
}

void api_call_cancel(struct api_call *call)
{
    struct error err;

    call->is_cancelled = true;
    if (call->request != NULL) {
        http_request_cancel(call->request); /* on_done ends the call */
        return;
    }
    error_set(&err, -ECANCELED, "cancelled");
    call_end(call, -ECANCELED, &err);
}
