/* SPDX-License-Identifier: MIT */
/* Calls that are waited for. */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"

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
