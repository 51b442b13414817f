/* SPDX-License-Identifier: MIT */
#include "common/client/api_hosts.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/api_leases.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define BODY_MAXIMUM (64 * 1024)
#define SAY_TIMEOUT_MS 10000

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

/* The lease, and the report of the pull, while they are on their way. */
struct saying {
    const struct api_client *client;
    struct api_leases_put *lease; /* NULL: it has ended */
    struct api_call *pull;        /* the same */
    uint32_t renew_in_s;
    struct error lease_err, pull_err;
};

static void lease_said(void *context, const struct api_leases_answer *answer)
{
    struct saying *saying = context;

    saying->lease = NULL;
    saying->lease_err = answer->err;
    saying->renew_in_s = answer->renew_in_s;
}

static void pull_said(void *context, const struct api_answer *answer)
{
    struct saying *saying = context;

    saying->pull = NULL;
    saying->pull_err = answer->err;
}

static int start_lease(struct api_client *client, const struct api_in_use *what,
                       struct saying *saying, struct error *err)
{
    const struct api_lease_item item = { .project = what->project,
                                         .app = what->app,
                                         .version = what->version,
                                         .place = what->place,
                                         .mode = "pull",
                                         .state = "complete" };
    const struct api_leases leases = { .host = what->host, .items = &item, .count = 1 };

    return api_leases_start(client, &leases, lease_said, saying, &saying->lease, err);
}

static int start_pull(struct api_client *client, const struct api_in_use *what, struct buf *body,
                      struct saying *saying, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct json_writer writer = json_writer_init(body);
    struct api_call_spec spec = { .method = HTTP_POST,
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .once = true,
                                  .timeout_ms = client->timeout_ms < SAY_TIMEOUT_MS
                                                    ? client->timeout_ms
                                                    : SAY_TIMEOUT_MS,
                                  .done = pull_said,
                                  .context = saying };
    int r;

    api_path_version(&path, what->project, what->app, what->version);
    buf_add_text(&path, "/pulls");
    json_begin_object(&writer, NULL);
    json_text(&writer, "host", what->host);
    json_end(&writer);
    r = buf_check(&path, err);
    if (r == 0)
        r = buf_check(body, err);
    if (r < 0)
        return r;
    spec.path = buf_text(&path);
    spec.body =
        (struct http_body){ .kind = HTTP_BODY_SPAN, .span = buf_span(body), .size = body->size };
    return api_call_start(client, &spec, &saying->pull, err);
}

static bool is_said(void *context)
{
    const struct saying *saying = context;

    return (saying->lease == NULL && saying->pull == NULL) ||
           api_client_is_interrupted(saying->client);
}

/* At once: whoever waits for the end of this waits for one answer. */
static int say(struct api_client *client, const struct api_in_use *what, bool is_pulled,
               uint32_t *out_renew_in_s, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(BODY_MAXIMUM);
    struct saying saying = { .client = client };
    const struct error *failure;
    int r = start_lease(client, what, &saying, err);

    if (r == 0 && is_pulled)
        r = start_pull(client, what, &body, &saying, err);
    if (r == 0)
        r = http_loop_run_until(client->loop, is_said, &saying, UINT64_MAX, err);
    if (saying.lease != NULL)
        api_leases_cancel(saying.lease);
    if (saying.pull != NULL)
        api_call_cancel(saying.pull);
    failure = saying.lease_err.code < 0 ? &saying.lease_err : &saying.pull_err;
    if (r == 0 && failure->code < 0)
        r = error_set(err, failure->code, "%s", failure->text);
    if (r == 0)
        *out_renew_in_s = saying.renew_in_s;
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
