/* SPDX-License-Identifier: MIT */
#include "common/client/api_acts.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define BODY_MAXIMUM (64 * 1024)
#define ANSWER_MAXIMUM (1024 * 1024)

CLEANUP_DEFINE(json, json_free);

static int take_name(const struct json_value *object, const char *member, enum name_kind kind,
                     bool needed, char *out, size_t size, struct error *err)
{
    const char *text = NULL;
    int r = json_member_text(object, member, &text, err);

    if (r == 0 && (text != NULL || needed))
        r = name_check(kind, span_text(text == NULL ? "" : text), err);
    if (r < 0)
        return r;
    if (text == NULL)
        text = "";
    memcpy(out, text, strnlen(text, size - 1) + 1);
    return 0;
}

static int read_channel(const struct json_value *object, const char *name, struct api_channel *out,
                        struct error *err)
{
    struct api_channel channel = { .trashed = false };
    int r = take_name(object, name, NAME_CHANNEL, true, channel.name, sizeof(channel.name), err);

    if (r == 0)
        r = take_name(object, "version", NAME_VERSION, true, channel.version,
                      sizeof(channel.version), err);
    if (r == 0)
        r = take_name(object, "previous", NAME_VERSION, false, channel.previous,
                      sizeof(channel.previous), err);
    if (r == 0)
        r = json_member_bool(object, "trashed", &channel.trashed, err);
    if (r == 0)
        *out = channel;
    return r;
}

void api_channels_release(struct api_channels *channels)
{
    memory_free(channels->items);
    *channels = (struct api_channels){ .items = NULL };
}

const struct api_channel *api_channels_find(const struct api_channels *channels, const char *name)
{
    for (size_t i = 0; i < channels->count; i++) {
        if (strcmp(channels->items[i].name, name) == 0)
            return &channels->items[i];
    }
    return NULL;
}

/* A server that knows of no channels has none. */
static int read_channels(const struct json_value *list, struct api_channels *out, struct error *err)
{
    const struct json_value *at = NULL;
    int r = 0;

    if (json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return error_set(err, -EINVAL, "channels are no list");
    out->items = memory_array(json_count(list), sizeof(*out->items));
    if (out->items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    while (r == 0 && (at = json_next(list, at)) != NULL)
        r = read_channel(at, "name", &out->items[out->count++], err);
    return r;
}

int api_channels_get(struct api_client *client, const char *project, const char *app,
                     struct api_channels *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(api_channels_release) struct api_channels channels = { .items = NULL };
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .accept = "application/json",
                                  .body_maximum = ANSWER_MAXIMUM };
    int r;

    api_path_app(&path, project, app);
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return api_problem_about(&result.problem, r, project, app, NULL, err);
    r = json_parse(buf_span(&result.body), &json, err);
    if (r == 0)
        r = read_channels(json_member(json_root(json), "channels"), &channels, err);
    if (r < 0)
        return api_bad_answer(r, err);
    *out = channels;
    channels = (struct api_channels){ .items = NULL };
    return 0;
}

static int read_promoted(struct span text, struct api_promoted *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const char *state = NULL;
    struct api_promoted promoted;
    int r = json_parse(text, &json, err);

    if (r == 0)
        r = read_channel(json_root(json), "channel", &promoted.channel, err);
    if (r == 0)
        r = json_get_text(json_member(json_root(json), "state"), "state", &state, err);
    if (r < 0)
        return api_bad_answer(r, err);
    promoted.moved = strcmp(state, "current") != 0;
    *out = promoted;
    return 0;
}

/* Sends `body` to `path`; the caller reads, and names what it was about. */
static int post(struct api_client *client, struct buf *path, struct buf *body, bool repeatable,
                struct api_result *result, struct error *err)
{
    struct api_call_spec spec = { .method = HTTP_POST,
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .repeatable = repeatable,
                                  .body_maximum = ANSWER_MAXIMUM };
    int r = buf_check(path, err);

    if (r == 0)
        r = buf_check(body, err);
    if (r < 0)
        return r;
    spec.path = buf_text(path);
    spec.body =
        (struct http_body){ .kind = HTTP_BODY_SPAN, .size = body->size, .span = buf_span(body) };
    return api_call_run(client, &spec, result, err);
}

/* `member` is what the body calls the version, `step` the path's last one. */
static int move(struct api_client *client, const struct api_promotion *promotion, const char *step,
                const char *member, bool repeatable, struct api_promoted *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(buf_release) struct buf body = buf_init(BODY_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct json_writer writer = json_writer_init(&body);
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, member, promotion->version);
    json_text(&writer, "channel", promotion->channel);
    json_text(&writer, "expect", promotion->expect);
    json_text(&writer, "note", promotion->note);
    json_end(&writer);
    api_path_app(&path, promotion->project, promotion->app);
    url_add_step(&path, step);
    r = post(client, &path, &body, repeatable, &result, err);
    if (r < 0)
        return api_problem_about(&result.problem, r, promotion->project, promotion->app, NULL, err);
    return read_promoted(buf_span(&result.body), out, err);
}

int api_promote(struct api_client *client, const struct api_promotion *promotion,
                struct api_promoted *out, struct error *err)
{
    return move(client, promotion, "promote", "version", promotion->expect == NULL, out, err);
}

int api_rollback(struct api_client *client, const struct api_promotion *promotion,
                 struct api_promoted *out, struct error *err)
{
    return move(client, promotion, "rollback", "to",
                promotion->version != NULL && promotion->expect == NULL, out, err);
}

static int act(struct api_client *client, enum http_method method, struct buf *path,
               const char *project, const char *app, const char *version, struct api_version *out,
               struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = method,
                                  .accept = "application/json",
                                  .repeatable = true,
                                  .body_maximum = ANSWER_MAXIMUM };
    int r = buf_check(path, err);

    spec.path = buf_text(path);
    if (r == 0)
        r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return api_problem_about(&result.problem, r, project, app, version, err);
    return api_version_read(buf_span(&result.body), project, app, version, out, err);
}

int api_version_delete(struct api_client *client, const char *project, const char *app,
                       const char *version, bool force, struct api_version *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);

    api_path_version(&path, project, app, version);
    if (force)
        url_add_query(&path, "force", span_text("1"));
    return act(client, HTTP_DELETE, &path, project, app, version, out, err);
}

int api_version_restore(struct api_client *client, const char *project, const char *app,
                        const char *version, struct api_version *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);

    api_path_version(&path, project, app, version);
    url_add_step(&path, "restore");
    return act(client, HTTP_POST, &path, project, app, version, out, err);
}

static void write_copy(const char *project, const char *app, const char *version, struct buf *out)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_text(&writer, "project", project);
    json_text(&writer, "app", app);
    json_text(&writer, "version", version);
    json_end(&writer);
}

/* What the copy is called when nobody says: as what is copied, if that was named exactly. */
static const char *copy_name(const struct version_ref *from, const char *to_version)
{
    if (to_version != NULL)
        return to_version;
    return from->kind == VERSION_REF_VERSION ? from->version : NULL;
}

int api_version_copy(struct api_client *client, const struct version_ref *from,
                     const char *to_project, const char *to_app, const char *to_version,
                     struct api_version *out, bool *out_created, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(buf_release) struct buf body = buf_init(BODY_MAXIMUM);
    cleanup(buf_release) struct buf name = buf_init(256);
    cleanup(api_result_release) struct api_result result = api_result_init();
    int r;

    version_ref_format_version(from, &name);
    api_path_version(&path, from->project, from->app, buf_text(&name));
    url_add_step(&path, "copy");
    write_copy(to_project, to_app, to_version, &body);
    r = post(client, &path, &body, true, &result, err);
    if (r < 0)
        return api_problem_about(&result.problem, r, from->project, from->app, buf_text(&name),
                                 err);
    *out_created = result.status == 201;
    return api_version_read(buf_span(&result.body), to_project, to_app, copy_name(from, to_version),
                            out, err);
}
