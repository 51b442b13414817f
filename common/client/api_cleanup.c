/* SPDX-License-Identifier: MIT */
#include "common/client/api_cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_jobs.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)

CLEANUP_DEFINE(json, json_free);

void api_cleanup_release(struct api_cleanup *cleanup)
{
    api_names_free(cleanup->versions, cleanup->version_count);
    memset(cleanup, 0, sizeof(*cleanup));
}

/* ------------------------------------------------------------ reading */

static int read_kept(const struct json_value *kept, struct api_cleanup *out, struct error *err)
{
    const struct json_value *member = NULL;
    int r = 0;

    out->kept_count = 0;
    while (r == 0 && (member = json_next(kept, member)) != NULL) {
        const char *reason = json_name(member);

        if (out->kept_count == API_CLEANUP_REASONS_MAX ||
            name_check(NAME_APP, span_text(reason), NULL) < 0 ||
            strlen(reason) >= sizeof(out->kept[0].reason))
            return error_set(err, -EINVAL, "reasons that are none");
        memcpy(out->kept[out->kept_count].reason, reason, strlen(reason) + 1);
        r = api_read_count(member, reason, &out->kept[out->kept_count].count, err);
        out->kept_count++;
    }
    return r;
}

static int read_sums(const struct json_value *object, struct api_cleanup *out, struct error *err)
{
    int r = api_read_count(json_member(object, "trashed"), "trashed", &out->trashed, err);

    if (r == 0)
        r = api_read_count(json_member(object, "bytes"), "bytes", &out->bytes, err);
    return r < 0 ? r : read_kept(json_member(object, "kept"), out, err);
}

static int add_version(struct api_cleanup *out, const char *name, struct error *err)
{
    int r = name_check(NAME_VERSION, span_text(name), err);

    if (r < 0)
        return r;
    return api_names_add(&out->versions, &out->version_count, name, err);
}

/* A page of a look; *out_cursor is that of the next, "" at the end. */
static int read_page(const struct json_value *object, struct api_cleanup *out, char *out_cursor,
                     size_t cursor_size, struct error *err)
{
    const struct json_value *item = NULL;
    const char *limit = "", *cursor = "";
    int r = read_sums(object, out, err);

    if (r == 0)
        r = json_member_text(object, "safety_limit", &limit, err);
    if (r == 0)
        r = json_member_text(object, "next_cursor", &cursor, err);
    if (r == 0 && strlen(cursor) >= cursor_size)
        r = error_set(err, -EINVAL, "a cursor that is none");
    while (r == 0 && (item = json_next(json_member(object, "items"), item)) != NULL) {
        const char *action = "", *version = "";

        r = json_get_text(json_member(item, "action"), "action", &action, err);
        if (r == 0)
            r = json_get_text(json_member(item, "version"), "version", &version, err);
        if (r == 0 && strcmp(action, "trash") == 0)
            r = add_version(out, version, err);
    }
    if (r < 0)
        return api_bad_answer(r, err);
    snprintf(out->safety_limit, sizeof(out->safety_limit), "%s", limit);
    memcpy(out_cursor, cursor, strlen(cursor) + 1);
    return 0;
}

/* P/A/V, of which V is the name. */
static int read_names(const struct json_value *names, struct api_cleanup *out, struct error *err)
{
    const struct json_value *item = NULL;
    int r = 0;

    while (r == 0 && (item = json_next(names, item)) != NULL) {
        const char *text = "", *slash;

        r = json_get_text(item, "versions", &text, err);
        slash = r == 0 ? strrchr(text, '/') : NULL;
        if (r == 0)
            r = add_version(out, slash != NULL ? slash + 1 : text, err);
    }
    return r;
}

/* ------------------------------------------------------------ asking */

static struct api_call_spec post_of(const char *path, const char *body)
{
    return (struct api_call_spec){
        .method = HTTP_POST,
        .path = path,
        .accept = "application/json",
        .content_type = "application/json",
        .body = { .kind = HTTP_BODY_SPAN, .size = strlen(body), .span = span_text(body) },
        .repeatable = true
    };
}

static int look_page(struct api_client *client, const char *path, const char *project,
                     const char *app, struct json **out, struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    const struct api_call_spec spec = post_of(path, "{\"dry_run\":true}");
    int r = api_call_run(client, &spec, &result, err);

    if (r < 0)
        return api_problem_about(&result.problem, r, project, app, NULL, err);
    r = json_parse(buf_span(&result.body), out, err);
    return r < 0 ? api_bad_answer(r, err) : 0;
}

static int path_of(struct buf *out, const char *project, const char *app, struct error *err)
{
    buf_clear(out);
    api_path_app(out, project, app);
    buf_add_text(out, "/cleanup");
    return buf_check(out, err);
}

int api_cleanup_look(struct api_client *client, const char *project, const char *app,
                     struct api_cleanup *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    char cursor[1024] = "", next[1024] = "";
    int r;

    *out = (struct api_cleanup){ .trashed = 0 };
    do {
        cleanup(cleanup_json) struct json *json = NULL;

        memcpy(cursor, next, sizeof(cursor));
        r = path_of(&path, project, app, err);
        url_add_query(&path, "limit", span_text("500"));
        if (cursor[0] != '\0')
            url_add_query(&path, "cursor", span_text(cursor));
        if (r == 0)
            r = buf_check(&path, err);
        if (r == 0)
            r = look_page(client, buf_text(&path), project, app, &json, err);
        if (r == 0)
            r = read_page(json_root(json), out, next, sizeof(next), err);
        if (r == 0 && next[0] != '\0' && strcmp(next, cursor) == 0)
            r = error_set(err, -EBADMSG, "the server's answer: a list without an end");
    } while (r == 0 && next[0] != '\0');
    return r;
}

/* api_job_result */
static int read_result(void *context, const struct json_value *result, struct error *err)
{
    int r = read_sums(result, context, err);

    return r < 0 ? r : read_names(json_member(result, "versions"), context, err);
}

int api_cleanup_run(struct api_client *client, const char *project, const char *app, bool force,
                    struct api_cleanup *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct api_call_spec spec;
    int r = path_of(&path, project, app, err);

    *out = (struct api_cleanup){ .trashed = 0 };
    if (r < 0)
        return r;
    spec = post_of(buf_text(&path), force ? "{\"force\":true}" : "{}");
    return api_job_run(client, &spec, project, app, read_result, out, err);
}
