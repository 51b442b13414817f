/* SPDX-License-Identifier: MIT */
#include "common/client/api_reads.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"

CLEANUP_DEFINE(json, json_free);

#define PATH_MAXIMUM ((size_t)64 * 1024)
#define ANSWER_MAXIMUM (READS_JSON_MAX + 4096)

/* One request, until it is answered. */
struct asking {
    struct buf path, body;
    api_reads_done *done;
    api_reads_told *told;
    void *context;
};

static struct asking *asking_free(struct asking *asking)
{
    if (asking == NULL)
        return NULL;
    buf_release(&asking->path);
    buf_release(&asking->body);
    return memory_free(asking);
}
CLEANUP_DEFINE(asking, asking_free);

static struct asking *asking_new(const char *project, const char *app, const char *version,
                                 void *context)
{
    struct asking *asking = memory_new(sizeof(*asking));

    if (asking == NULL)
        return NULL;
    asking->path = buf_init(PATH_MAXIMUM);
    asking->body = buf_init(ANSWER_MAXIMUM);
    asking->context = context;
    api_path_version(&asking->path, project, app, version);
    buf_add_text(&asking->path, "/reads");
    return asking;
}

static int start(struct api_client *client, struct asking **asking, enum http_method method,
                 uint64_t timeout_ms, api_call_done *done, struct api_call **out_call,
                 struct error *err)
{
    struct asking *self = *asking;
    struct api_call_spec spec = { .method = method,
                                  .path = buf_text(&self->path),
                                  .accept = "application/json",
                                  .once = true,
                                  .is_hint = true,
                                  .body_maximum = ANSWER_MAXIMUM,
                                  .timeout_ms = timeout_ms,
                                  .done = done,
                                  .context = self };
    int r = buf_check(&self->path, err);

    if (self->body.size > 0) {
        spec.content_type = "application/json";
        spec.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                        .span = buf_span(&self->body),
                                        .size = self->body.size };
    }
    if (r == 0)
        r = buf_check(&self->body, err);
    if (r == 0)
        r = api_call_start(client, &spec, out_call, err);
    if (r == 0)
        *asking = NULL; /* the call's */
    return r;
}

static int read_answer(struct span body, struct reads *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    char pointer[READS_POINTER_SIZE];
    int r = json_parse(body, &json, err);

    if (r == 0)
        r = reads_parse(json_member(json_root(json), "reads"), out, pointer, err);
    return r == 0 || r == -ENOMEM ? r : api_bad_answer(r, err);
}

static void got(void *context, const struct api_answer *answer)
{
    cleanup(cleanup_asking) struct asking *asking = context;
    cleanup(reads_release) struct reads reads = reads_init();
    struct error err = answer->err;
    int r = answer->code;

    if (r == 0)
        r = read_answer(answer->body, &reads, &err);
    asking->done(asking->context, r == 0 ? &reads : NULL, r == 0 ? NULL : &err);
}

int api_reads_get_start(struct api_client *client, const char *project, const char *app,
                        const char *version, uint64_t timeout_ms, api_reads_done *done,
                        void *context, struct api_call **out_call, struct error *err)
{
    cleanup(cleanup_asking) struct asking *asking = asking_new(project, app, version, context);

    if (asking == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    asking->done = done;
    return start(client, &asking, HTTP_GET, timeout_ms, got, out_call, err);
}

static void told(void *context, const struct api_answer *answer)
{
    cleanup(cleanup_asking) struct asking *asking = context;

    asking->told(asking->context, answer->code, answer->code == 0 ? NULL : &answer->err);
}

int api_reads_put_start(struct api_client *client, const char *project, const char *app,
                        const char *version, const char *host, const struct reads *reads,
                        uint64_t timeout_ms, api_reads_told *done, void *context,
                        struct api_call **out_call, struct error *err)
{
    cleanup(cleanup_asking) struct asking *asking = asking_new(project, app, version, context);
    struct json_writer writer;

    if (asking == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    asking->told = done;
    writer = json_writer_init(&asking->body);
    json_begin_object(&writer, NULL);
    json_text(&writer, "host", host);
    reads_write(reads, &writer, "reads");
    json_end(&writer);
    return start(client, &asking, HTTP_PUT, timeout_ms, told, out_call, err);
}
