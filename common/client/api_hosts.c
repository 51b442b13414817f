/* SPDX-License-Identifier: MIT */
#include "common/client/api_hosts.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define BODY_MAXIMUM (64 * 1024)
#define SAY_TIMEOUT_MS 10000
#define RENEW_MAX_S (30 * 86400)

struct walk {
    api_lease_each *each;
    void *context;
};

static int text_member(const struct json_value *item, const char *name, const char **out,
                       struct error *err)
{
    return json_get_text(json_member(item, name), name, out, err);
}

static int name_member(const struct json_value *item, const char *name, enum name_kind kind,
                       const char **out, struct error *err)
{
    int r = text_member(item, name, out, err);

    return r < 0 ? r : name_check(kind, span_text(*out), err);
}

static int time_member(const struct json_value *item, const char *name, int64_t *out,
                       struct error *err)
{
    const char *text;
    int r = text_member(item, name, &text, err);

    return r < 0 ? r : clock_parse(span_text(text), out, err);
}

static int read_lease(const struct json_value *item, struct api_lease *out, struct error *err)
{
    int r = name_member(item, "host", NAME_HOST, &out->host, err);

    if (r == 0)
        r = name_member(item, "project", NAME_PROJECT, &out->project, err);
    if (r == 0)
        r = name_member(item, "app", NAME_APP, &out->app, err);
    if (r == 0)
        r = name_member(item, "version", NAME_VERSION, &out->version, err);
    if (r == 0)
        r = text_member(item, "place", &out->place, err);
    if (r == 0)
        r = text_member(item, "mode", &out->mode, err);
    if (r == 0)
        r = text_member(item, "state", &out->state, err);
    if (r == 0)
        r = json_member_text(item, "token", &out->token, err);
    if (r == 0)
        r = time_member(item, "since", &out->since_s, err);
    if (r == 0)
        r = time_member(item, "renewed_at", &out->renewed_at_s, err);
    if (r == 0)
        r = time_member(item, "expires_at", &out->expires_at_s, err);
    return r < 0 ? r : json_get_bool(json_member(item, "stale"), "stale", &out->stale, err);
}

static int give_lease(void *context, const struct json_value *item, struct error *err)
{
    struct walk *walk = context;
    struct api_lease lease = { 0 };
    int r = read_lease(item, &lease, err);

    return r < 0 ? api_bad_answer(r, err) : walk->each(walk->context, &lease, err);
}

int api_hosts_list(struct api_client *client, const char *project, const char *app,
                   const char *version, api_lease_each *each, void *context, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct walk walk = { each, context };
    struct api_problem problem;
    int r;

    buf_add_text(&path, "/hosts");
    if (project != NULL)
        url_add_query(&path, "project", span_text(project));
    if (app != NULL)
        url_add_query(&path, "app", span_text(app));
    if (version != NULL)
        url_add_query(&path, "version", span_text(version));
    r = buf_check(&path, err);
    api_problem_clear(&problem);
    return r < 0 ? r : api_walk_pages(client, buf_text(&path), give_lease, &walk, &problem, err);
}

/* One of the two requests, while it is on its way. */
struct saying {
    struct buf path, body;
    struct json_writer writer;
    int result;
    uint32_t renew_in_s; /* of a lease that was taken; 0: not said */
    struct error err;
    bool done;
};

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

static void said(void *context, const struct api_answer *answer)
{
    struct saying *saying = context;

    saying->result = answer->code;
    if (answer->code == 0)
        saying->renew_in_s = read_renewal(answer->body);
    saying->err = answer->err;
    saying->done = true;
}

static void saying_init(struct saying *saying)
{
    memset(saying, 0, sizeof(*saying));
    saying->path = buf_init(PATH_MAXIMUM);
    saying->body = buf_init(BODY_MAXIMUM);
    saying->writer = json_writer_init(&saying->body);
}

static void saying_release(struct saying *saying)
{
    buf_release(&saying->path);
    buf_release(&saying->body);
}

static void write_pull(struct saying *saying, const struct api_in_use *what)
{
    api_path_version(&saying->path, what->project, what->app, what->version);
    buf_add_text(&saying->path, "/pulls");
    json_begin_object(&saying->writer, NULL);
    json_text(&saying->writer, "host", what->host);
    json_end(&saying->writer);
}

static void write_lease(struct saying *saying, const struct api_in_use *what)
{
    struct json_writer *writer = &saying->writer;

    buf_add_text(&saying->path, "/hosts");
    url_add_step(&saying->path, what->host);
    buf_add_text(&saying->path, "/leases");
    json_begin_object(writer, NULL);
    json_begin_array(writer, "leases");
    json_begin_object(writer, NULL);
    json_text(writer, "project", what->project);
    json_text(writer, "app", what->app);
    json_text(writer, "version", what->version);
    json_text(writer, "place", what->place);
    json_text(writer, "mode", "pull");
    json_text(writer, "state", "complete");
    json_end(writer);
    json_end(writer);
    json_end(writer);
}

static int start(struct api_client *client, enum http_method method, struct saying *saying,
                 struct api_call **out_call, struct error *err)
{
    struct api_call_spec spec = { .method = method,
                                  .path = buf_text(&saying->path),
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .body = { .kind = HTTP_BODY_SPAN,
                                            .span = buf_span(&saying->body),
                                            .size = saying->body.size },
                                  .once = true,
                                  .timeout_ms = client->timeout_ms < SAY_TIMEOUT_MS
                                                    ? client->timeout_ms
                                                    : SAY_TIMEOUT_MS,
                                  .done = said,
                                  .context = saying };
    int r = buf_check(&saying->path, err);

    if (r == 0)
        r = buf_check(&saying->body, err);
    return r < 0 ? r : api_call_start(client, &spec, out_call, err);
}

struct both {
    const struct api_client *client;
    struct saying lease, pull; /* one that is not said is done */
};

static bool both_done(void *context)
{
    const struct both *both = context;

    return (both->lease.done && both->pull.done) || api_client_is_interrupted(both->client);
}

/* At once: whoever waits for the end of this waits for one answer. */
static int say_both(struct api_client *client, struct both *both, struct error *err)
{
    struct api_call *lease = NULL, *pull = NULL;
    int r = start(client, HTTP_PUT, &both->lease, &lease, err);

    if (r == 0 && !both->pull.done)
        r = start(client, HTTP_POST, &both->pull, &pull, err);
    if (r == 0)
        r = http_loop_run_until(client->loop, both_done, both, UINT64_MAX, err);
    if (lease != NULL && !both->lease.done)
        api_call_cancel(lease);
    if (pull != NULL && !both->pull.done)
        api_call_cancel(pull);
    return r;
}

static int say(struct api_client *client, const struct api_in_use *what, bool is_pulled,
               uint32_t *out_renew_in_s, struct error *err)
{
    struct both both = { .client = client };
    const struct saying *failed;
    int r;

    saying_init(&both.lease);
    saying_init(&both.pull);
    write_lease(&both.lease, what);
    if (is_pulled)
        write_pull(&both.pull, what);
    else
        both.pull.done = true;
    r = say_both(client, &both, err);
    failed = both.lease.result < 0 ? &both.lease : &both.pull;
    if (r == 0 && failed->result < 0)
        r = error_set(err, failed->result, "%s", failed->err.text);
    if (r == 0)
        *out_renew_in_s = both.lease.renew_in_s;
    saying_release(&both.lease);
    saying_release(&both.pull);
    return r;
}

int api_hosts_say_pulled(struct api_client *client, const struct api_in_use *what,
                         uint32_t *out_renew_in_s, struct error *err)
{
    return say(client, what, true, out_renew_in_s, err);
}

int api_hosts_renew(struct api_client *client, const struct api_in_use *what,
                    uint32_t *out_renew_in_s, struct error *err)
{
    return say(client, what, false, out_renew_in_s, err);
}
