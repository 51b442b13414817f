/* SPDX-License-Identifier: MIT */
#include "common/client/api_leases.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/net/retry.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define BODY_MAXIMUM ((size_t)1024 * 1024) /* more is refused by the server */
#define TIMEOUT_MS 10000
#define RENEW_MAX_S (30 * 86400)
#define POINTER "/leases/"

struct api_leases_put {
    struct api_call *call;
    struct buf body;
    size_t count;
    api_leases_done *done;
    void *context;
};

static void write_leases(struct buf *out, const struct api_leases *leases)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    if (leases->within != NULL) {
        json_bool(&writer, "replace", true);
        json_text(&writer, "within", leases->within);
    }
    json_begin_array(&writer, "leases");
    for (size_t i = 0; i < leases->count; i++) {
        const struct api_lease_item *item = &leases->items[i];

        json_begin_object(&writer, NULL);
        json_text(&writer, "project", item->project);
        json_text(&writer, "app", item->app);
        json_text(&writer, "version", item->version);
        json_text(&writer, "place", item->place);
        json_text(&writer, "mode", item->mode);
        json_text(&writer, "state", item->state);
        json_end(&writer);
    }
    json_end(&writer);
    json_end(&writer);
}

static struct api_leases_put *put_free(struct api_leases_put *put)
{
    buf_release(&put->body);
    return memory_free(put);
}

/* What cannot be read was not said. */
static uint32_t read_renewal(struct span body)
{
    struct json *json = NULL;
    int64_t said = 0;

    if (json_parse(body, &json, NULL) < 0)
        return 0;
    json_member_integer(json_root(json), "renew_in_s", &said, NULL);
    json_free(json);
    return said > 0 && said <= RENEW_MAX_S ? (uint32_t)said : 0;
}

/* The first of the problem's errors whose pointer is one of `count` leases, or a member of it. */
static size_t read_refused(struct span body, size_t count)
{
    const struct json_value *errors, *at = NULL;
    struct json *json = NULL;
    size_t refused = SIZE_MAX;

    if (json_parse(body, &json, NULL) < 0)
        return SIZE_MAX;
    errors = json_member(json_root(json), "errors");
    while (refused == SIZE_MAX && (at = json_next(errors, at)) != NULL) {
        const char *pointer = "";
        struct span rest, number;
        uint64_t index = 0;

        if (json_member_text(at, "pointer", &pointer, NULL) < 0 ||
            strncmp(pointer, POINTER, strlen(POINTER)) != 0)
            continue;
        rest = span_text(pointer + strlen(POINTER));
        span_cut(&rest, '/', &number);
        if (count > 0 && number_parse(number, count - 1, &index, NULL) == 0)
            refused = (size_t)index;
    }
    json_free(json);
    return refused;
}

static void said(void *context, const struct api_answer *answer)
{
    struct api_leases_put *put = context;
    struct api_leases_answer told = { .code = answer->code,
                                      .err = answer->err,
                                      .refused = SIZE_MAX };
    api_leases_done *done = put->done;
    void *done_context = put->context;

    if (answer->code == 0)
        told.renew_in_s = read_renewal(answer->body);
    else if (answer->status >= 400 && answer->status < 500)
        told.refused = read_refused(answer->body, put->count);
    if (answer->headers != NULL)
        told.retry_after_ms =
            retry_after_parse(http_headers_get(answer->headers, "Retry-After"), clock_now_s());
    put_free(put);
    done(done_context, &told);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int start(struct api_client *client, const struct api_leases *leases,
                 struct api_leases_put *put, struct buf *path, struct error *err)
{
    struct api_call_spec spec = { .method = HTTP_PUT,
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .once = true,
                                  .timeout_ms = least(client->timeout_ms, TIMEOUT_MS),
                                  .done = said,
                                  .context = put };
    int r;

    buf_add_text(path, "/hosts");
    url_add_step(path, leases->host);
    buf_add_text(path, "/leases");
    write_leases(&put->body, leases);
    r = buf_check(path, err);
    if (r == 0)
        r = buf_check(&put->body, err);
    if (r < 0)
        return r;
    if (leases->timeout_ms != 0)
        spec.timeout_ms = least(spec.timeout_ms, leases->timeout_ms);
    spec.path = buf_text(path);
    spec.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                    .span = buf_span(&put->body),
                                    .size = put->body.size };
    return api_call_start(client, &spec, &put->call, err);
}

int api_leases_start(struct api_client *client, const struct api_leases *leases,
                     api_leases_done *done, void *context, struct api_leases_put **out_put,
                     struct error *err)
{
    struct buf path = buf_init(PATH_MAXIMUM);
    struct api_leases_put *put;
    int r;

    if (leases->count > API_LEASES_MAX)
        return error_set(err, -EFBIG, "at most %d leases at once", API_LEASES_MAX);
    put = memory_new(sizeof(*put));
    if (put == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    put->body = buf_init(BODY_MAXIMUM);
    put->count = leases->count;
    put->done = done;
    put->context = context;
    r = start(client, leases, put, &path, err);
    buf_release(&path);
    if (r < 0)
        put_free(put);
    else if (out_put != NULL)
        *out_put = put;
    return r;
}

void api_leases_cancel(struct api_leases_put *put)
{
    api_call_cancel(put->call);
}
