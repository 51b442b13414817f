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
    uint32_t tries; /* so far */
    int status;
    struct http_headers answer_headers;
    uint64_t retry_after_ms;
    uint64_t sent, received;
    bool gave_bytes, is_cancelled;
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
    const char *store = http_headers_get(headers, "X-Kkartifact-Store");

    call->status = status;
    call->answer_headers = *headers;
    call->retry_after_ms =
        retry_after_parse(http_headers_get(headers, "Retry-After"), clock_now_s());
    if (store != NULL && strlen(store) < API_STORE_SIZE)
        memcpy(call->client->store, store, strlen(store) + 1);
    return 0;
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

/* True when another try was arranged. */
static bool try_again(struct api_call *call)
{
    struct api_client *client = call->client;
    struct retry_policy policy = client->retry;
    uint32_t servers = (uint32_t)client->server_count, random = 0;
    uint64_t wait = 0;

    if (!may_repeat(call))
        return false;
    /* One that was there comes back, after a restart; one that never was is an address to look
     * at. */
    if (!client->has_answered && policy.tries > STRANGER_TRIES)
        policy.tries = STRANGER_TRIES;
    random_bytes(&random, sizeof(random), NULL);
    /* Every server once, then a pause, then again: `tries` rounds. */
    if (!retry_wait(&policy, call->tries / servers + 1, call->retry_after_ms, random, &wait))
        return false;
    if (call->tries % servers != 0 && call->retry_after_ms == 0)
        wait = 0;
    if (left_ms(call) <= wait)
        return false;
    if (call->gave_bytes)
        call->spec.on_restart(call->spec.context);
    call->gave_bytes = false;
    return http_timer_set(client->loop, &call->timer, clock_monotonic_ms() + wait) == 0;
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

static void on_done(void *context, const struct http_result *result)
{
    struct api_call *call = context;
    struct api_client *client = call->client;
    enum retry_verdict verdict = retry_judge(result->code, result->status);
    bool reached = result->status > 0 && (result->code == 0 || verdict == RETRY_NEVER);
    struct error err;

    call->request = NULL;
    client->has_answered |= result->status > 0;
    call->sent += result->sent;
    call->received += result->received;
    if (result->status == 0)
        call->status = 0;
    if (result->code != -ECANCELED && result->code != -ENOMEM)
        api_client_report(client, call->server,
                          reached && retry_judge(0, result->status) == RETRY_DONE, result->status);
    if (!call->is_cancelled && verdict == RETRY_NEXT &&
        !(call->spec.any_status && result->code == 0) && try_again(call)) {
        /* Cancelled while it waits: what this try answered is gone with its request. */
        call->status = 0;
        buf_clear(&call->body);
        return;
    }
    if (result->code != 0)
        call_end(call, result->code, &result->err);
    else if (is_foreign(call))
        call_end(call, foreign(call, &err), &err);
    else if (is_success(call->status) || call->spec.any_status)
        call_end(call, 0, NULL);
    else
        call_end(call, -EIO, NULL); /* the problem tells */
}

/* What a try may take, and whether it ends then although bytes still come. */
static void set_limits(const struct api_call *call, struct http_request_spec *spec)
{
    uint64_t timeout_ms =
        call->spec.timeout_ms > 0 ? call->spec.timeout_ms : call->client->timeout_ms;
    uint64_t most_ms = left_ms(call);

    if (most_ms < API_CALL_LEAST_MS)
        most_ms = API_CALL_LEAST_MS;
    spec->stall_s = (uint32_t)(timeout_ms / 1000) + STALL_MIN_S;
    if (call->spec.on_body == NULL && call->spec.body.size < 1024 * 1024 && timeout_ms < most_ms)
        most_ms = timeout_ms;
    if (most_ms != UINT64_MAX)
        spec->total_ms = most_ms;
}

static int send_try(struct api_call *call, struct error *err)
{
    struct api_client *client = call->client;
    cleanup(buf_release) struct buf url = buf_init(64 * 1024);
    struct http_request_spec spec = { .method = call->spec.method };
    int r;

    call->server = (client->current + call->tries % client->server_count) % client->server_count;
    if (call->tries > 0)
        call->server = client->current; /* reports have moved it on */
    r = api_client_prepare(client, call->server, buf_text(&call->path), &url, &spec, err);
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
    call->tries++;
    call->status = 0;
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

/* Waiting ------------------------------------------------------------------ */

struct api_result api_result_init(void)
{
    struct api_result result = { .body = buf_init(BUF_UNLIMITED),
                                 .header_texts = buf_init(BUF_UNLIMITED) };

    api_problem_clear(&result.problem);
    return result;
}

void api_result_release(struct api_result *result)
{
    buf_release(&result->body);
    buf_release(&result->header_texts);
    result->header_items = memory_free(result->header_items);
    result->headers = (struct http_headers){ 0 };
}

struct waiting {
    struct api_client *client;
    struct api_result *out;
    const struct api_call_spec *spec;
    bool done;
    int code;
    struct error err;
};

static int copy_headers(struct api_result *out, const struct http_headers *headers)
{
    const char *at;

    if (headers == NULL)
        return 0;
    for (size_t i = 0; i < headers->count; i++) {
        buf_add(&out->header_texts, headers->items[i].name, strlen(headers->items[i].name) + 1);
        buf_add(&out->header_texts, headers->items[i].value, strlen(headers->items[i].value) + 1);
    }
    memory_free(out->header_items);
    out->header_items = memory_array(headers->count, sizeof(*out->header_items));
    if (out->header_items == NULL || buf_check(&out->header_texts, NULL) < 0)
        return -ENOMEM;
    at = (const char *)out->header_texts.bytes;
    for (size_t i = 0; i < headers->count; i++) {
        out->header_items[i].name = at;
        at += strlen(at) + 1;
        out->header_items[i].value = at;
        at += strlen(at) + 1;
    }
    out->headers = (struct http_headers){ .items = out->header_items, .count = headers->count };
    return 0;
}

static void note_answer(void *context, const struct api_answer *answer)
{
    struct waiting *waiting = context;
    struct api_result *out = waiting->out;

    waiting->done = true;
    waiting->code = answer->code;
    waiting->err = answer->err;
    out->status = answer->status;
    out->problem = answer->problem;
    out->sent = answer->sent;
    out->received = answer->received;
    buf_add_span(&out->body, answer->body);
    if (copy_headers(out, answer->headers) < 0 || buf_check(&out->body, NULL) < 0)
        waiting->code = error_set(&waiting->err, -ENOMEM, "out of memory");
}

static int pass_body(void *context, struct span bytes, struct error *err)
{
    struct waiting *waiting = context;

    return waiting->spec->on_body(waiting->spec->context, bytes, err);
}

static void pass_restart(void *context)
{
    struct waiting *waiting = context;

    waiting->spec->on_restart(waiting->spec->context);
}

static bool is_answered(void *context)
{
    struct waiting *waiting = context;

    return waiting->done || atomic_load(&waiting->client->interrupted);
}

int api_call_run(struct api_client *client, const struct api_call_spec *spec,
                 struct api_result *out, struct error *err)
{
    struct waiting waiting = { .client = client, .out = out, .spec = spec };
    struct api_call_spec own = *spec;
    struct api_call *call = NULL;
    int r;

    buf_clear(&out->body);
    buf_clear(&out->header_texts);
    out->headers = (struct http_headers){ 0 };
    own.done = note_answer;
    own.context = &waiting;
    own.on_body = spec->on_body != NULL ? pass_body : NULL;
    own.on_restart = spec->on_restart != NULL ? pass_restart : NULL;
    if (atomic_load(&client->interrupted))
        return error_set(err, -ECANCELED, "interrupted");
    r = api_call_start(client, &own, &call, err);
    if (r < 0)
        return r;
    r = http_loop_run_until(client->loop, is_answered, &waiting, UINT64_MAX, err);
    if (!waiting.done)
        api_call_cancel(call);
    if (r < 0)
        return r;
    if (waiting.code != 0 && err != NULL)
        *err = waiting.err;
    return waiting.code;
}
