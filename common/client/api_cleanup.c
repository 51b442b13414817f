/* SPDX-License-Identifier: MIT */
#include "common/client/api_cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define LOOK_MS 200
#define JOB_ID_DIGITS 32
#define SAFETY_LIMIT "safety-limit"

CLEANUP_DEFINE(json, json_free);

void api_cleanup_release(struct api_cleanup *cleanup)
{
    for (size_t i = 0; i < cleanup->version_count; i++)
        memory_free(cleanup->versions[i]);
    memory_free(cleanup->versions);
    memset(cleanup, 0, sizeof(*cleanup));
}

/* ------------------------------------------------------------ reading */

static int read_count(const struct json_value *value, const char *what, uint64_t *out,
                      struct error *err)
{
    int64_t number = 0;
    int r = json_get_integer(value, what, &number, err);

    if (r == 0 && number < 0)
        r = error_set(err, -EINVAL, "%s is negative", what);
    if (r == 0)
        *out = (uint64_t)number;
    return r;
}

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
        r = read_count(member, reason, &out->kept[out->kept_count].count, err);
        out->kept_count++;
    }
    return r;
}

static int read_sums(const struct json_value *object, struct api_cleanup *out, struct error *err)
{
    int r = read_count(json_member(object, "trashed"), "trashed", &out->trashed, err);

    if (r == 0)
        r = read_count(json_member(object, "bytes"), "bytes", &out->bytes, err);
    return r < 0 ? r : read_kept(json_member(object, "kept"), out, err);
}

static int add_version(struct api_cleanup *out, const char *name, struct error *err)
{
    char **grown;
    int r = name_check(NAME_VERSION, span_text(name), err);

    if (r < 0)
        return r;
    grown = memory_resize(out->versions, out->version_count + 1, sizeof(*grown));
    if (grown == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    out->versions = grown;
    grown[out->version_count] = memory_text(name);
    if (grown[out->version_count] == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    out->version_count++;
    return 0;
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

static int post(struct api_client *client, const char *path, const char *body, const char *project,
                const char *app, struct json **out, struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    const struct api_call_spec spec = {
        .method = HTTP_POST,
        .path = path,
        .accept = "application/json",
        .content_type = "application/json",
        .body = { .kind = HTTP_BODY_SPAN, .size = strlen(body), .span = span_text(body) },
        .repeatable = true
    };
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
            r = post(client, buf_text(&path), "{\"dry_run\":true}", project, app, &json, err);
        if (r == 0)
            r = read_page(json_root(json), out, next, sizeof(next), err);
        if (r == 0 && next[0] != '\0' && strcmp(next, cursor) == 0)
            r = error_set(err, -EBADMSG, "the server's answer: a list without an end");
    } while (r == 0 && next[0] != '\0');
    return r;
}

/* ------------------------------------------------------------ waiting */

static bool is_interrupted(void *context)
{
    return api_client_is_interrupted(context);
}

static bool is_id(const char *text)
{
    return strlen(text) == JOB_ID_DIGITS && strspn(text, "0123456789abcdef") == JOB_ID_DIGITS;
}

static int get_job(struct api_client *client, const char *id, struct json **out, struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    char path[64];
    const struct api_call_spec spec = { .method = HTTP_GET,
                                        .path = path,
                                        .accept = "application/json" };
    int r;

    snprintf(path, sizeof(path), "/jobs/%s", id);
    r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return r;
    r = json_parse(buf_span(&result.body), out, err);
    return r < 0 ? api_bad_answer(r, err) : 0;
}

/* 1: it has ended; 0: not yet. */
static int read_job(const struct json_value *job, struct api_cleanup *out, struct error *err)
{
    const struct json_value *result = json_member(job, "result");
    const char *state = "", *problem = "";
    int r = json_get_text(json_member(job, "state"), "state", &state, err);

    if (r == 0)
        r = json_member_text(job, "problem", &problem, err);
    if (r < 0)
        return api_bad_answer(r, err);
    if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)
        return 0;
    if (strncmp(problem, SAFETY_LIMIT ":", strlen(SAFETY_LIMIT) + 1) == 0)
        return error_set(err, -EBUSY, "%s", problem);
    if (strcmp(state, "done") != 0)
        return error_set(err, -EINVAL, "the server's job has ended as %s: %s",
                         strcmp(state, "cancelled") == 0 ? state : "failed", problem);
    r = read_sums(result, out, err);
    if (r == 0)
        r = read_names(json_member(result, "versions"), out, err);
    return r < 0 ? api_bad_answer(r, err) : 1;
}

static int wait_for(struct api_client *client, const char *id, struct api_cleanup *out,
                    struct error *err)
{
    int r;

    for (;;) {
        cleanup(cleanup_json) struct json *json = NULL;

        r = get_job(client, id, &json, err);
        if (r == 0)
            r = read_job(json_root(json), out, err);
        if (r != 0)
            return r < 0 ? r : 0;
        http_loop_run_until(api_client_loop(client), is_interrupted, client,
                            clock_monotonic_ms() + LOOK_MS, NULL);
    }
}

int api_cleanup_run(struct api_client *client, const char *project, const char *app, bool force,
                    struct api_cleanup *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(cleanup_json) struct json *json = NULL;
    const char *id = "";
    int r = path_of(&path, project, app, err);

    *out = (struct api_cleanup){ .trashed = 0 };
    if (r == 0)
        r = post(client, buf_text(&path), force ? "{\"force\":true}" : "{}", project, app, &json,
                 err);
    if (r < 0)
        return r;
    r = json_get_text(json_member(json_root(json), "id"), "id", &id, err);
    if (r == 0 && !is_id(id))
        r = error_set(err, -EINVAL, "a job without an id");
    return r < 0 ? api_bad_answer(r, err) : wait_for(client, id, out, err);
}
